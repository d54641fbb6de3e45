from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from studio.api_docs import operations
from tests.api.conftest import Api
from tests.api.test_access import OPERATIONS
from tests.make import receive

pytestmark = pytest.mark.sqlite


@pytest.fixture
def document(client: Client, db: None) -> Any:
    return json.loads(client.get("/api/v1/schema").content)


def test_the_document_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))


def test_the_document_is_open_to_all_as_json_and_as_yaml(client: Client, document: Any, db: None) -> None:
    asked = client.get("/api/v1/schema?format=yaml")
    assert "yaml" in asked.headers["Content-Type"]
    assert yaml.safe_load(asked.content) == document


def test_the_document_names_every_operation(document: Any) -> None:
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    expected = {
        (method, "/api/v1/" + route.replace("<id:", "{").replace(">", "}"))
        for route, methods in OPERATIONS.items()
        for method in methods
    }
    assert told == expected


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has a type of its own."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


@pytest.mark.parametrize(
    "path", ["/channels", "/conversations", "/conversations/{conversation}/messages", "/events", "/agents"]
)
def test_answers_are_as_the_document_says(ours: Api, document: Any, path: str) -> None:
    receive(ours.channel, "more")
    thread = f"/conversations/{ours.conversation.pk.hex}/messages"
    ours.call("POST", thread, {"text": "We are open."})
    ours.call("POST", "/channels", {"kind": "webchat", "name": "Website"})
    schema = document["paths"][f"/api/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    validator = Draft202012Validator(as_json_schema({**schema, "components": document["components"]}))
    answer = ours.get(path.replace("{conversation}", ours.conversation.pk.hex) + "?limit=1")
    assert not list(validator.iter_errors(answer))
    assert not list(validator.iter_errors({**answer, "next": None}))
    assert list(validator.iter_errors({"results": [{}], "next": 7}))


def test_the_reader_shows_every_operation_and_needs_no_script(client: Client, db: None) -> None:
    page = client.get("/api/docs")
    text = page.content.decode()
    for operation in operations():
        assert f'id="{operation.anchor}"' in text
    for forbidden in ("<script", "<style", " style=", "onclick", "//cdn", "https://unpkg"):
        assert forbidden not in text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


def test_the_reader_can_be_tried_by_copying(client: Client) -> None:
    made = {operation.anchor: operation for operation in operations()}
    curl = made["channels_create"].curl
    assert '"bot_token": "123456:ABC…"' in curl
    assert "-X POST" in curl
    asked = [field.name for field in made["conversations_list"].parameters]
    assert asked == ["channel", "contact", "cursor", "limit"]
    assert "results[].parts[].state" in [field.name for field in made["messages_list"].answer]
