"""Every operation of the URLconf against a stranger, a bad id and the ids of another workspace.

The table below names each address with its methods. One that is missing here fails the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tests.api.conftest import Api, problem
from workspaces.api import NotHere
from workspaces.models import ApiKey

pytestmark = pytest.mark.sqlite

OPERATIONS: dict[str, set[str]] = {
    "agents": {"GET"},
    "agents/<id:agent>": {"DELETE"},
    "agents/pair": {"POST"},
    "channels": {"GET", "POST"},
    "channels/<id:channel>": {"GET"},
    "channels/<id:channel>/connect": {"POST"},
    "conversations": {"GET"},
    "conversations/<id:conversation>": {"GET"},
    "conversations/<id:conversation>/messages": {"GET", "POST"},
    "events": {"GET"},
}
QUERIES = [("conversations", "channel"), ("conversations", "contact"), ("events", "channel")]
OPEN = {"schema": {"GET"}}  # says nothing of anybody

IDS: dict[str, Callable[[Api], str]] = {
    "agent": lambda api: api.agent.pk.hex,
    "channel": lambda api: api.channel.pk.hex,
    "contact": lambda api: api.contact.pk.hex,
    "conversation": lambda api: api.conversation.pk.hex,
}
BODY = {"text": "mine now", "kind": "webchat", "name": "mine now"}
NOT_IDS = [
    "1",
    "0" * 31,
    "0" * 33,
    "F" * 32,
    "x" * 32,
    "00000000-0000-0000-0000-000000000000",
    "%00",
    "..%2f",
    "%F0%9F%98%80",
]
ALL = [(method, route) for route, methods in sorted(OPERATIONS.items()) for method in sorted(methods)]
WITH_ID = [(method, route) for method, route in ALL if "<" in route]
NOT_OFFERED = list(product(["PUT", "PATCH", "TRACE", "BREW"], sorted(OPERATIONS)))
LISTS = [route for method, route in ALL if method == "GET" and "<" not in route]
NO_KEYS = ["", "Bearer", "Bearer amx_api_none", "Basic b3duZXI6b3duZXI=", "Bearer \xff"]
ELSEWHERE = ["", "/", "/%0a", "/nothing", "/channels/", "/conversations/x/messages/y", "/../admin"]


def routes(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, set[str]]]:
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith("api/v1/") and getattr(pattern.callback, "cls", None) is not NotHere:
            methods = {name.upper() for name in pattern.callback.cls().allowed_methods}  # type: ignore[attr-defined]
            yield path.removeprefix("api/v1/"), methods - {"OPTIONS", "HEAD"}


def address(route: str, api: Api) -> str:
    for name, of in IDS.items():
        route = route.replace(f"<id:{name}>", of(api))
    assert "<" not in route, "an id that IDS does not know"
    return f"/{route}"


def rows() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def test_the_table_names_every_operation_there_is() -> None:
    assert dict(routes(get_resolver().url_patterns)) == OPERATIONS | OPEN


@pytest.mark.parametrize(("method", "route"), ALL)
@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer amx_api_none", "Basic b3duZXI6b3duZXI=", "Bearer \xff"]
)
def test_a_stranger_learns_nothing(ours: Api, method: str, route: str, key: str) -> None:
    before = rows()
    answer = ours.call(method, address(route, ours), BODY, Authorization=key)
    assert problem(answer, 401)["code"] == "AMX-1401"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert rows() == before


@pytest.mark.parametrize(
    "ended", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}]
)
def test_a_key_that_has_ended_opens_nothing(ours: Api, ended: dict[str, Any]) -> None:
    ApiKey.objects.update(**ended)
    for method, route in ALL:
        problem(ours.call(method, address(route, ours), BODY), 401)


def test_a_console_session_is_no_key(ours: Api, admin_client: Client) -> None:
    problem(admin_client.get("/api/v1/channels"), 401)  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "route"), WITH_ID)
def test_rows_of_another_workspace_do_not_exist(ours: Api, theirs: Api, method: str, route: str) -> None:
    before = rows()
    told = problem(ours.call(method, address(route, theirs), BODY), 404)
    absent = problem(ours.call(method, address(route, theirs)[:-4] + "0000", BODY), 404)
    assert told["code"] == absent["code"] == "AMX-1404"
    assert rows() == before
    theirs.agent.refresh_from_db()
    assert theirs.agent.revoked_at is None


@pytest.mark.parametrize(("route", "name"), QUERIES)
def test_filters_do_not_reach_into_another_workspace(ours: Api, theirs: Api, route: str, name: str) -> None:
    problem(ours.call("GET", f"/{route}?{name}={IDS[name](theirs)}"), 404)
    assert ours.get(f"/{route}?{name}={IDS[name](ours)}")["results"]


@pytest.mark.parametrize("route", LISTS)
def test_lists_hold_only_our_rows(ours: Api, theirs: Api, route: str) -> None:
    shown = ours.call("GET", f"/{route}").content.decode()
    assert not [name for name, of in IDS.items() if of(theirs) in shown]
    assert len(ours.get(f"/{route}")["results"]) == 1


@pytest.mark.parametrize(("method", "route"), WITH_ID)
def test_what_is_no_id_is_no_address(ours: Api, method: str, route: str) -> None:
    for wrong in NOT_IDS:
        path = "/" + route.replace(route[route.index("<") : route.index(">") + 1], wrong)
        problem(ours.call(method, path, BODY), 404)


@pytest.mark.parametrize(("route", "name"), QUERIES)
def test_a_filter_that_is_no_id_is_refused(ours: Api, route: str, name: str) -> None:
    for wrong in (*NOT_IDS, "", "[]"):
        told = problem(ours.call("GET", f"/{route}?{name}={wrong}"), 400)
        assert list(told["errors"]) == [name]


def test_an_unknown_state_is_refused(ours: Api) -> None:
    problem(ours.call("GET", "/events?state=lost"), 400)


@pytest.mark.parametrize("path", ELSEWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "BREW"])
def test_other_addresses_are_a_problem_too(ours: Api, method: str, path: str) -> None:
    problem(ours.call(method, path), 404)


@pytest.mark.parametrize(("method", "route"), NOT_OFFERED)
def test_methods_that_are_not_offered_are_refused(ours: Api, method: str, route: str) -> None:
    told = problem(ours.call(method, address(route, ours), BODY), 405)
    assert told["code"] == "AMX-1405"


POSTS_WITH_BODY = ["channels", "conversations/<id:conversation>/messages"]
BROKEN = {
    "not JSON": b"{",
    "nothing": b"null",
    "a number": b"1e999",
    "not a number": b'{"text": NaN, "name": Infinity, "kind": "telegram"}',
    "not text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "deep in a field": b'{"kind": "webchat", "name": "W", "config": ' + b'{"a":' * 50_000,
    "a long number": b'{"text": ' + b"9" * 10_000 + b"}",
    "half a character": b'{"text": "\\ud800", "name": "\\ud800", "kind": "telegram"}',
    "an end": b'{"text": "\\u0000", "name": "\\u0000", "kind": "telegram"}',
    "wrong kinds": b'{"text": {}, "name": [], "kind": {}, "config": 3, "connect": "x"}',
}


@pytest.mark.parametrize("route", POSTS_WITH_BODY)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_body_is_refused(ours: Api, route: str, body: bytes) -> None:
    before = rows()
    headers = {"Authorization": f"Bearer {ours.key}"}
    path = f"/api/v1{address(route, ours)}"
    answer = ours.client.post(path, body, content_type="application/json", headers=headers)
    problem(answer, 400)  # type: ignore[arg-type]
    assert rows() == before


@pytest.mark.parametrize("route", POSTS_WITH_BODY)
def test_a_body_that_is_too_large_or_of_another_kind_is_refused(ours: Api, route: str) -> None:
    path, headers = f"/api/v1{address(route, ours)}", {"Authorization": f"Bearer {ours.key}"}
    large = b'{"text": "' + b"x" * 300_000 + b'"}'
    answer = ours.client.post(path, large, content_type="application/json", headers=headers)
    assert problem(answer, 413)["code"] == "AMX-1413"  # type: ignore[arg-type]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
        answer = ours.client.post(path, b"text=hi", content_type=kind, headers=headers)
        assert problem(answer, 415)["code"] == "AMX-1415"  # type: ignore[arg-type]


def test_what_we_cannot_write_is_not_answered_in_html(ours: Api) -> None:
    problem(ours.call("GET", "/channels", Accept="text/csv"), 406)
