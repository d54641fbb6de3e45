"""Two workspaces of the same make: what is asked with one's key about the other must find nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from agent_link.models import Agent
from gateway.models import Channel, Contact, Conversation
from tests import make
from workspaces.api_keys import new_api_key
from workspaces.models import Workspace

BOT_TOKEN: str = make.CONFIGS["telegram"]["bot_token"]


@dataclass
class Api:
    """A caller with a key, and what its workspace owns."""

    workspace: Workspace
    key: str
    client: Client
    channel: Channel
    agent: Agent
    conversation: Conversation

    @property
    def contact(self) -> Contact:
        return self.conversation.contact

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        headers = {"Authorization": f"Bearer {self.key}", **headers}
        return self.client.generic(method, f"/api/v1{path}", headers=headers, **given)  # type: ignore[return-value]

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)


def make_api(name: str, client: Client) -> Api:
    workspace = make.make_workspace(name)
    key, _ = new_api_key(workspace, "test")
    channel = make.make_channel(workspace, "telegram", "Shop bot")
    conversation = make.make_conversation(channel, "hello")
    return Api(workspace, key, client, channel, make.make_agent(workspace, online=False), conversation)


@pytest.fixture
def ours(db: None, client: Client) -> Api:
    return make_api("Ours", client)


@pytest.fixture
def theirs(db: None, client: Client) -> Api:
    return make_api("Theirs", client)


def problem(answer: HttpResponse, status: int) -> dict[str, Any]:
    """The body of an error, which must look as every error does."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert body["status"] == status
    assert body["code"].startswith("AMX-")
    assert body["title"]
    return body
