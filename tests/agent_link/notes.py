"""Lanes of plain envelopes (kind `note`), without conversations around them; whoever answers is only remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import close_old_connections, connection, connections
from django.utils import timezone

from agent_link import answers, lanes
from agent_link.answers import Answer, Ending, Verdict
from agent_link.lanes import Assignment, Claim
from agent_link.models import Agent, Envelope, Lane
from agent_link.sql import Cursor
from local_agent.protocol.ids import new_id
from tests.make import make_agent, make_workspace, run

LEASE_S = 30.0


def accept(cursor: Cursor, pairs: Sequence[tuple[str, Answer]]) -> None:
    """The room that sent notes: it wants nothing of their answers."""


class Holder:
    """An agent on one connection."""

    def __init__(self, agent: Agent) -> None:
        self.id, self.workspace, self.connection = agent.pk.hex, agent.workspace_id.hex, new_id()

    def claim(self, lane: str, lease_s: float = LEASE_S) -> Claim | None:
        (claim,) = run(lanes.claim, self.wants(lane, lease_s))
        assert claim is None or isinstance(claim, Claim)
        return claim

    def take(self, lane: str) -> Claim:
        """As claim, where there is something to get."""
        claim = self.claim(lane)
        assert claim is not None
        return claim

    def wants(self, lane: str, lease_s: float = LEASE_S) -> Assignment:
        return Assignment(lane, self.id, self.connection, lease_s)

    def answer(self, claim: Claim, r: str = "", *, part: int = 0, final: bool = True) -> Answer:
        return Answer(
            r or new_id(), claim.envelope, claim.token, part, final, {}, self.workspace, self.id, time.time()
        )

    def reply(self, claim: Claim, r: str = "", *, part: int = 0, final: bool = True) -> Verdict:
        (verdict,) = run(answers.accept, self.answer(claim, r, part=part, final=final))
        return verdict  # type: ignore[no-any-return]  # what operations give is not typed

    def ending(self, claim: Claim, status: Any = "ok", retry_s: float = 0.0) -> Ending:
        return Ending(claim.envelope, claim.token, self.workspace, status, retry_s, "")

    def end(self, claim: Claim, status: Any = "ok", retry_s: float = 0.0) -> bool:
        return bool(run(answers.end, self.ending(claim, status, retry_s))[0])

    def extend(self, claim: Claim) -> bool:
        return bool(run(lanes.extend, {"lane": claim.lane, "token": claim.token, "lease_s": LEASE_S})[0])

    def release(self, claim: Claim, after_s: float = 0.0, untried: int = 0) -> bool:
        row = {"lane": claim.lane, "token": claim.token, "connection": self.connection}
        return bool(run(lanes.release, row | {"after_s": after_s, "untried": untried})[0])

    def adopt(self, claim: Claim) -> bool:
        """Comes back on a new connection and says that it still has this."""
        self.connection = new_id()
        row = {"envelope": claim.envelope, "token": claim.token, "agent": self.id}
        return run(lanes.adopt, row | {"connection": self.connection, "lease_s": LEASE_S})[0] is not None


def holder(workspace: Any = None) -> Holder:
    return Holder(make_agent(workspace or make_workspace()))


def open_lane(workspace: str, envelopes: int = 0) -> str:
    """A lane with so many envelopes."""
    lane = new_id()
    run(lambda cursor, rows: cursor.run(lanes.OPENED, rows), {"lane": lane, "workspace": workspace})
    put(lane, envelopes)
    return lane


def put(lane: str, envelopes: int = 1, *, beside: int = 0, payload: str = "{}") -> list[str]:
    """So many more envelopes; `beside` items of the lane that are no work come before them. Returns their ids."""
    ids = [new_id() for _ in range(envelopes)]

    def store(cursor: Cursor, rows: Sequence[str]) -> list[None]:
        counts = {"lane": lane, "items": envelopes + beside, "envelopes": envelopes}
        first = lanes.number(cursor, [counts])[lane] + beside
        wanted = [
            {"id": envelope, "lane": lane, "seq": first + n, "kind": "note", "payload": payload}
            for n, envelope in enumerate(rows)
        ]
        cursor.run(lanes.PUT, wanted)
        return [None] * len(rows)

    run(store, *ids)
    return ids


def row(lane: str) -> Lane:
    return Lane.objects.get(pk=UUID(hex=lane))


def envelope(claim: Claim) -> Envelope:
    return Envelope.objects.get(pk=UUID(hex=claim.envelope))


def expire(lane: str) -> None:
    """The lease runs out. (Far in the past: PostgreSQL's clock stands still within a test's transaction.)"""
    Lane.objects.filter(pk=UUID(hex=lane)).update(due_at=timezone.now() - timedelta(days=1))


def due_in(lane: str) -> float:
    """Seconds until the lane falls due, by the database's clock."""
    return (row(lane).due_at - now()).total_seconds()


def now() -> datetime:
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        found: datetime = cursor.fetchone()[0]
    return found


def together(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned; all at the same moment, each in a thread with its own connection."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def work(place: int) -> None:
        close_old_connections()
        try:
            barrier.wait(10)
            results[place] = calls[place]()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
