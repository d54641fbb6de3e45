from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from agent_link.bus import bus
from agent_link.models import Agent
from agent_link.pairing import Wanted, pair
from agent_link.sql import cursor_of
from tests.api.conftest import Api, problem

pytestmark = pytest.mark.sqlite


@pytest.mark.parametrize(
    ("connected", "silent_for", "presence"),
    [
        (True, 0, "online"),
        (True, 2.4, "online"),  # one ping missed
        (True, 2.6, "offline"),  # went without a word
        (False, 0, "offline"),  # said good-bye
    ],
)
def test_an_agent_is_online_while_its_connection_is_heard(
    ours: Api, settings: Any, connected: bool, silent_for: float, presence: str
) -> None:
    """`silent_for`: heartbeats."""
    seen = timezone.now() - timedelta(seconds=silent_for * settings.TUNNEL_HEARTBEAT)
    Agent.objects.filter(pk=ours.agent.pk).update(
        connection=uuid.uuid4() if connected else None, last_seen_at=seen
    )
    (told,) = ours.get("/agents")["results"]
    assert (told["id"], told["presence"]) == (ours.agent.pk.hex, presence)


def test_an_agent_that_never_came_is_offline(ours: Api) -> None:
    (told,) = ours.get("/agents")["results"]
    assert (told["presence"], told["last_seen_at"]) == ("offline", None)


def test_nothing_that_opens_a_door_is_told_of_an_agent(ours: Api) -> None:
    told = ours.call("GET", "/agents").content
    assert ours.agent.token_digest.encode() not in told


def test_a_pairing_code_makes_one_agent_of_this_workspace(ours: Api, settings: Any) -> None:
    answer = ours.call("POST", "/agents/pair")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    told = json.loads(answer.content)
    assert told["command"] == f"aimatrix pair {told['code']} --studio {settings.STUDIO_URL}"
    expires = parse_datetime(told["expires_at"])
    assert expires is not None
    assert expires > timezone.now() + timedelta(minutes=9)
    with transaction.atomic():
        first, second = pair(cursor_of(connection), [Wanted(told["code"]), Wanted(told["code"])])
    assert first is not None
    assert second is None
    assert first.workspace == ours.workspace.pk.hex


def test_a_revoked_agent_is_gone_and_its_connection_is_told(
    ours: Api, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[tuple[str, Any]] = []
    monkeypatch.setattr(bus, "publish", lambda topic, hint: hints.append((topic, hint)))
    with django_capture_on_commit_callbacks(execute=True):
        assert ours.call("DELETE", f"/agents/{ours.agent.pk.hex}").status_code == 204
    assert Agent.objects.get(pk=ours.agent.pk).revoked_at is not None
    assert hints == [
        ("agents", {"agent": ours.agent.pk.hex, "revoked": True}),
        (f"workspace:{ours.workspace.pk.hex}", {"t": "agents"}),
    ]
    assert ours.get("/agents")["results"] == []
    problem(ours.call("DELETE", f"/agents/{ours.agent.pk.hex}"), 404)


def test_a_list_costs_the_same_queries_however_long(ours: Api) -> None:
    ours.get("/agents")
    for number in range(4):
        with CaptureQueriesContext(connection) as queries:
            assert len(ours.get("/agents")["results"]) == number + 1
        assert len(queries) == 2
        Agent.objects.create(workspace=ours.workspace, name=f"den {number}", token_digest=f"{number}")
