"""The one writer of the hot path: whoever asks while a transaction is under way shares the next.

There is no timer. While one batch commits, requests gather; then they are the next batch. An idle Studio commits a
single message at once, a busy one hundreds together, and nobody is answered before COMMIT.

An *operation* is a plain function `(cursor, rows) -> results`, one result per row, that can also be called inside any
transaction. A batch holds rows of several operations. If it fails, it is halved until the row at fault stands alone:
one bad row cannot fail its neighbours. Operations must be idempotent, because a batch may be tried again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Counter, Gauge, Histogram

from agent_link.crash import crash_point
from agent_link.sql import Cursor, cursor_of

log = logging.getLogger(__name__)

BATCH_ROWS = 500
RETRIES = 5

QUEUED = Gauge("studio_commit_queue", "Rows waiting to be written", ["writer"])
BATCH = Histogram("studio_commit_rows", "Rows per transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500))
TIME = Histogram("studio_commit_seconds", "Seconds per transaction")
BISECTED = Counter("studio_commit_bisected", "Batches halved to find a row at fault")

Operation = Callable[[Cursor, Sequence[Any]], Sequence[Any]]


class DatabaseAway(Exception):
    """The database cannot be reached, or too much is waiting for it. Nothing was stored; ask again."""

    code = "AMX-1503"


class Item(NamedTuple):
    operation: Operation
    row: Any
    done: asyncio.Future[Any]


class GroupCommit:
    """Start and stop it inside a running event loop; `submit` from that loop only."""

    def __init__(self, name: str, limit: int) -> None:
        self._limit = limit
        self._queued = QUEUED.labels(name)
        self._waiting: list[Item] = []
        self._something = threading.Condition()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name=f"commit-{name}", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Commits what is waiting, then ends."""
        with self._something:
            self._stopping = True
            self._something.notify()
        await asyncio.to_thread(self._thread.join)

    def submit(self, operation: Operation, row: Any) -> asyncio.Future[Any]:
        """The row's result, once it is committed. Raises DatabaseAway at once where the queue is full."""
        if len(self._waiting) >= self._limit:
            raise DatabaseAway("too many writes are waiting")
        done: asyncio.Future[Any] = self._loop.create_future()
        with self._something:
            if self._stopping:
                raise DatabaseAway("this Studio is stopping")
            self._waiting.append(Item(operation, row, done))
            if len(self._waiting) == 1:
                self._something.notify()
        return done

    def _run(self) -> None:
        own = connections[DEFAULT_DB_ALIAS] = own_connection()
        while batch := self._next():
            BATCH.observe(len(batch))
            with TIME.time():
                outcome = write(batch)
            self._loop.call_soon_threadsafe(settle, outcome)
        own.close()

    def _next(self) -> list[Item]:
        with self._something:
            while not self._waiting and not self._stopping:
                self._something.wait()
            batch, self._waiting = self._waiting[:BATCH_ROWS], self._waiting[BATCH_ROWS:]
            self._queued.set(len(self._waiting))
        return batch


Outcome = list[tuple[asyncio.Future[Any], Any]]


def settle(outcome: Outcome) -> None:
    """In the event loop: tells everyone of a batch what became of their row."""
    for done, result in outcome:
        if done.done():
            continue  # whoever asked has gone; the row is stored all the same
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def write(batch: Sequence[Item]) -> Outcome:
    """Commits the batch, or as much of it as is not at fault. Exceptions are results here."""
    for attempt in range(RETRIES):
        try:
            return _commit(batch)
        except (
            Exception
        ) as error:  # whatever it is, only the row at fault may hear of it, and the writer must live
            if _state(error) in RETRIED:
                continue
            if not _is_away(error):
                return _without_fault(batch, error)
            # A connection that died is opened anew once; if that fails too, the database is away.
            connection.close()
            if attempt > 0:
                return [(item.done, DatabaseAway(str(error).strip())) for item in batch]
    return [(item.done, DatabaseAway("the database kept refusing the transaction")) for item in batch]


def _without_fault(batch: Sequence[Item], error: Exception) -> Outcome:
    if len(batch) == 1:
        log.warning("a row was refused", exc_info=not isinstance(error, DatabaseError))
        return [(batch[0].done, error)]
    BISECTED.inc()
    middle = len(batch) // 2
    return write(batch[:middle]) + write(batch[middle:])


RETRIED = {"40001", "40P01"}  # serialization failure, deadlock: the same transaction may pass next time
TOO_MUCH = "54"  # the class of "program limit exceeded": an operational error, but half of it may pass


def _state(error: Exception) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _is_away(error: Exception) -> bool:
    return isinstance(error, OperationalError | InterfaceError) and not _state(error).startswith(TOO_MUCH)


def own_connection() -> BaseDatabaseWrapper:
    """Outside the pool, so that a database that is away is noticed at once and not after the pool's patience."""
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    return own


def _commit(batch: Sequence[Item]) -> Outcome:
    outcome: Outcome = []
    with transaction.atomic(), connection.wrap_database_errors:
        cursor = cursor_of(connection)
        crash_point("C1")
        for operation, items in _by_operation(batch).items():
            results = operation(cursor, [item.row for item in items])
            outcome.extend(zip([item.done for item in items], results, strict=True))
        crash_point("C2")
    crash_point("C3")
    return outcome


def _by_operation(batch: Sequence[Item]) -> dict[Operation, list[Item]]:
    grouped: dict[Operation, list[Item]] = {}
    for item in batch:
        grouped.setdefault(item.operation, []).append(item)
    return grouped
