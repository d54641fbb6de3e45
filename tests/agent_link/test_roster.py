"""Who is connected, as rows: the newest connection speaks for its agent, and older ones have no say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from agent_link import roster
from agent_link.models import Agent
from local_agent.protocol.ids import new_id
from tests.make import make_agent, make_workspace, run
from workspaces.keys import digest

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def den() -> Agent:
    return make_agent(make_workspace(), online=False)


def arrive(agent: Agent, session: str = "") -> str:
    """On a new connection, whose id it gives."""
    connection = new_id()
    run(
        roster.arrive,
        row(agent, connection) | {"session": session or new_id(), "node": "here", "sdk": "test"},
    )
    return connection


def row(agent: Agent, connection: str) -> dict[str, Any]:
    return {"agent": agent.pk.hex, "connection": connection, "draining": False}


def current(agent: Agent) -> UUID | None:
    agent.refresh_from_db()
    return agent.connection


def test_an_agent_is_known_by_its_token(den: Agent) -> None:
    Agent.objects.update(token_digest=digest("token"))
    session = new_id()
    arrive(den, session)
    known, unknown, again = run(roster.by_token, digest("token"), digest("another"), digest("token"))
    assert unknown is None
    assert (
        known
        == again
        == roster.KnownAgent(den.pk.hex, den.workspace_id.hex, den.name, session, revoked=False)
    )
    Agent.objects.update(revoked_at=timezone.now())
    assert run(roster.by_token, digest("token"))[0].revoked


def test_the_newest_connection_speaks_for_the_agent(den: Agent) -> None:
    old, new = arrive(den), arrive(den)
    assert current(den) == UUID(hex=new)
    run(roster.leave, row(den, old))
    assert current(den) == UUID(hex=new), (
        "the end of the old one, noticed late, is not the end of the new one"
    )
    run(roster.leave, row(den, new))
    assert current(den) is None


def test_of_two_that_arrive_in_one_batch_the_later_stays(den: Agent) -> None:
    rows = [row(den, new_id()) | {"session": new_id(), "node": "here", "sdk": "test"} for _ in range(2)]
    run(roster.arrive, *rows)
    assert current(den) == UUID(hex=rows[1]["connection"])


def test_a_replaced_connection_hears_so_even_beside_the_new_one(den: Agent) -> None:
    old, new = arrive(den), arrive(den)
    assert run(roster.seen, row(den, old), row(den, new)) == [False, True]


def test_a_revoked_agent_is_not_seen_alive(den: Agent) -> None:
    here = arrive(den)
    assert run(roster.seen, row(den, here)) == [True]
    Agent.objects.update(revoked_at=timezone.now())
    assert run(roster.seen, row(den, here)) == [False]
