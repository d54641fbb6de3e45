"""The one writer: whoever asks while a transaction runs shares the next, and nobody is told before COMMIT."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from prometheus_client import REGISTRY

from agent_link import group_commit
from agent_link.group_commit import DatabaseAway, GroupCommit
from agent_link.models import Agent
from agent_link.sql import Cursor, Statement
from deploy.services import temporary_services
from local_agent.protocol.ids import new_id
from studio.env import database
from tests.make import make_workspace
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a fault that only PostgreSQL has")

BORN = Statement(
    """INSERT INTO agent_link_agent (id, workspace_id, name, token_digest, node, sdk, draining)
       SELECT id, workspace, name, id, '', '', false FROM {rows} g""",
    id="id",
    workspace="id",
    name="text",
)


def bear(cursor: Cursor, rows: Sequence[dict[str, Any]]) -> list[str]:
    """An operation: agents. That their workspace exists is checked at COMMIT."""
    cursor.run(BORN, rows)
    return [row["name"] for row in rows]


@pytest.fixture
async def commit() -> AsyncIterator[GroupCommit]:
    commit = GroupCommit("test", limit=200)
    commit.start()
    yield commit
    await commit.stop()


@pytest.fixture
def workspace() -> str:
    return make_workspace().pk.hex


class Gate:
    """An operation that lets nobody through until it is opened; it keeps the writer busy."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, cursor: Cursor, rows: Sequence[Any]) -> Sequence[Any]:
        self.reached.set()
        assert self.open.wait(10)
        return rows


def agent(workspace: str, name: str) -> dict[str, Any]:
    return {"id": new_id(), "workspace": workspace, "name": name}


def transactions() -> float:
    return REGISTRY.get_sample_value("studio_commit_rows_count") or 0.0


async def stored() -> set[str]:
    return await asyncio.to_thread(_stored)


def _stored() -> set[str]:
    try:
        return set(Agent.objects.values_list("name", flat=True))
    finally:
        connections.close_all()


async def busy(commit: GroupCommit) -> tuple[Gate, asyncio.Future[Any]]:
    """The writer works on something, until the gate is opened."""
    gate = Gate()
    first = commit.submit(gate, "first")
    await asyncio.to_thread(gate.reached.wait, 10)
    return gate, first


async def test_what_gathers_during_one_transaction_is_the_next(commit: GroupCommit, workspace: str) -> None:
    before = transactions()
    gate, first = await busy(commit)
    waiting = [commit.submit(bear, agent(workspace, f"a{n}")) for n in range(50)]
    waiting += [commit.submit(lambda cursor, rows: rows, "of another operation")]
    assert not first.done()
    gate.open.set()
    assert await asyncio.gather(*waiting) == [f"a{n}" for n in range(50)] + ["of another operation"]
    assert transactions() - before == 2
    assert await stored() == {f"a{n}" for n in range(50)}


async def test_a_batch_has_a_largest_size(workspace: str) -> None:
    commit = GroupCommit("test", limit=5_000)
    commit.start()
    sizes: list[int] = []

    def sized(cursor: Cursor, rows: Sequence[Any]) -> Sequence[Any]:
        sizes.append(len(rows))
        return rows

    gate, _ = await busy(commit)
    waiting = [commit.submit(sized, n) for n in range(1_100)]
    gate.open.set()
    assert await asyncio.gather(*waiting) == list(range(1_100))
    assert sizes == [500, 500, 100]
    await commit.stop()


@pytest.mark.parametrize("bad", [{0}, {7}, {3, 4}, set(range(8))])
async def test_a_bad_row_fails_alone(commit: GroupCommit, workspace: str, bad: set[int]) -> None:
    """Here one that only COMMIT refuses: even then nobody was told too early."""
    gate, _ = await busy(commit)
    waiting = [commit.submit(bear, agent(new_id() if n in bad else workspace, f"a{n}")) for n in range(8)]
    gate.open.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    for n, result in enumerate(results):
        assert isinstance(result, IntegrityError) if n in bad else result == f"a{n}"
    assert await stored() == {f"a{n}" for n in range(8) if n not in bad}


async def test_a_mistake_in_an_operation_fails_its_row_and_not_the_writer(commit: GroupCommit) -> None:
    def halves(cursor: Cursor, rows: Sequence[int]) -> list[float]:
        return [1 / row for row in rows]

    gate, _ = await busy(commit)
    waiting = [commit.submit(halves, row) for row in (1, 0, 2)]
    gate.open.set()
    one, nothing, two = await asyncio.gather(*waiting, return_exceptions=True)
    assert (one, two) == (1.0, 0.5)
    assert isinstance(nothing, ZeroDivisionError)
    assert await commit.submit(halves, 4) == 0.25


@postgres
async def test_a_batch_too_large_for_one_statement_is_halved(commit: GroupCommit) -> None:
    """PostgreSQL calls that an operational error, as if it were away; but smaller ones pass."""
    repeated = Statement("SELECT length(repeat('x', g.n::int)) FROM {rows} g", n="int")

    def repeat(cursor: Cursor, rows: Sequence[int]) -> list[Any]:
        return [row[0] for row in cursor.run(repeated, [{"n": row} for row in rows])]

    gate, _ = await busy(commit)
    waiting = [commit.submit(repeat, n) for n in (1, 2**31 - 1, 3)]
    gate.open.set()
    one, too_much, three = await asyncio.gather(*waiting, return_exceptions=True)
    assert (one, three) == (1, 3)
    assert isinstance(too_much, OperationalError)


async def test_a_full_queue_says_so_at_once(workspace: str) -> None:
    commit = GroupCommit("test", limit=3)
    commit.start()
    gate, _ = await busy(commit)
    waiting = [commit.submit(bear, agent(workspace, f"a{n}")) for n in range(3)]
    with pytest.raises(DatabaseAway, match="too many"):
        commit.submit(bear, agent(workspace, "one too many"))
    gate.open.set()
    await asyncio.gather(*waiting)
    assert await commit.submit(bear, agent(workspace, "later")) == "later"
    await commit.stop()
    assert "one too many" not in await stored()


async def test_who_stops_waiting_is_stored_all_the_same(commit: GroupCommit, workspace: str) -> None:
    gate, _ = await busy(commit)
    gone = commit.submit(bear, agent(workspace, "gone"))
    gone.cancel()
    stays = commit.submit(bear, agent(workspace, "stays"))
    gate.open.set()
    assert await stays == "stays"
    assert await stored() == {"gone", "stays"}


async def test_stopping_commits_what_waits_and_takes_no_more(workspace: str) -> None:
    commit = GroupCommit("test", limit=200)
    commit.start()
    gate, _ = await busy(commit)
    waiting = [commit.submit(bear, agent(workspace, f"a{n}")) for n in range(3)]
    stopping = asyncio.create_task(commit.stop())
    await asyncio.sleep(0)
    gate.open.set()
    await stopping
    assert [one.result() for one in waiting] == ["a0", "a1", "a2"]
    with pytest.raises(DatabaseAway, match="stopp"):
        commit.submit(bear, agent(workspace, "too late"))


@postgres
async def test_a_deadlock_is_tried_again(commit: GroupCommit, workspace: str) -> None:
    """Two sessions want the same two rows crosswise. PostgreSQL ends ours after a second; the next try passes."""
    ours, theirs = threading.Event(), threading.Event()
    touched = Statement(
        "UPDATE workspaces_workspace AS w SET name = w.name FROM {rows} g WHERE w.id = g.id", id="id"
    )
    other = (await asyncio.to_thread(make_workspace)).pk.hex
    tries = []

    def cross(cursor: Cursor, rows: Sequence[str]) -> list[None]:
        tries.append(rows)
        cursor.run(touched, [{"id": workspace}])
        ours.set()
        assert theirs.wait(10)
        cursor.run(touched, [{"id": other}])
        return [None]

    def opponent() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '60s'")
            Workspace.objects.filter(pk=other).update(name="theirs")
            theirs.set()
            assert ours.wait(10)
            Workspace.objects.filter(pk=workspace).update(name="theirs")
        connections.close_all()

    await asyncio.gather(commit.submit(cross, "row"), asyncio.to_thread(opponent))
    assert len(tries) == 2


def elsewhere(url: str) -> Callable[[], Any]:
    """Our own connection, to another server."""

    def connect() -> Any:
        own = connections["default"].copy()
        own.settings_dict.update(database(url))
        own.settings_dict["OPTIONS"] = {}
        return own

    return connect


@postgres
async def test_the_database_may_go_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks meanwhile hears at once that nothing was stored; a restart between two writes goes unnoticed."""
    one = Statement("SELECT g.n FROM {rows} g", n="int")

    def read(cursor: Cursor, rows: Sequence[int]) -> list[Any]:
        return [row[0] for row in cursor.run(one, [{"n": row} for row in rows])]

    with temporary_services(redis=False) as services:
        monkeypatch.setattr(group_commit, "own_connection", elsewhere(services.database_url))
        commit = GroupCommit("test", limit=10)
        commit.start()
        assert await commit.submit(read, 1) == 1
        await asyncio.to_thread(services.restart_postgres)
        assert await commit.submit(read, 2) == 2
        await asyncio.to_thread(services.stop_postgres)
        for _ in range(2):
            with pytest.raises(DatabaseAway):
                await asyncio.wait_for(commit.submit(read, 3), 5)
        await asyncio.to_thread(services.start_postgres)
        assert await commit.submit(read, 4) == 4
        await commit.stop()
