"""What the agent must not forget when it dies: messages it took, and replies that Studio has not confirmed.

One SQLite file, written in full before the matching frame is sent. It is opened for this process alone, so a
second `aimatrix serve` on the same folder cannot answer the same message.

A message: RECEIVED → WORKING → REPLIED (its answer waits in the outbox, or its ending in `ending`) → CLOSED;
or WORKING → POSTPONED, until Studio sends it again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from .errors import AgentError
from .protocol import frames

KEEP_S: Final = 7 * 24 * 3600.0  # how long a closed message is remembered, against a late repeat

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS inbox (
    d TEXT PRIMARY KEY, conv TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL,
    lease INTEGER NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, ts REAL NOT NULL,
    state INTEGER NOT NULL, starts INTEGER NOT NULL DEFAULT 0, parts INTEGER NOT NULL DEFAULT 0, ending TEXT,
    touched_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inbox_open ON inbox (touched_at) WHERE state < 4;
CREATE TABLE IF NOT EXISTS outbox (
    r TEXT PRIMARY KEY, d TEXT NOT NULL, lease INTEGER NOT NULL, conv TEXT NOT NULL, part INTEGER NOT NULL,
    final INTEGER NOT NULL, payload TEXT NOT NULL, UNIQUE (d, part)
) WITHOUT ROWID;
"""
_RECEIVE: Final = """
INSERT INTO inbox (d, conv, seq, attempt, lease, kind, payload, ts, state, touched_at)
VALUES (:d, :conv, :seq, :attempt, :lease, :kind, :payload, :ts, 1, :now)
ON CONFLICT (d) DO UPDATE SET lease = max(lease, excluded.lease), attempt = max(attempt, excluded.attempt),
    state = CASE state WHEN 5 THEN 1 ELSE state END
"""
_NEWEST_LEASE: Final = "UPDATE outbox SET lease = max(lease, ?) WHERE d = ?"
_ENTRY: Final = """
SELECT d, conv, seq, attempt, lease, kind, payload, ts, state, starts, parts, ending FROM inbox
"""
_START: Final = "UPDATE inbox SET state = 2, starts = starts + 1 WHERE d = ? AND state IN (1, 2)"
_PART: Final = "UPDATE inbox SET parts = parts + 1, state = ? WHERE d = ? AND state = 2"
_SEND: Final = "INSERT INTO outbox (r, d, lease, conv, part, final, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"
_END: Final = "UPDATE inbox SET state = 3, ending = ? WHERE d = ? AND state IN (1, 2)"
_CLOSE: Final = "UPDATE inbox SET state = 4, payload = '{}', touched_at = ? WHERE d = ? AND state = 3"
_POSTPONE: Final = "UPDATE inbox SET state = 5, starts = 0 WHERE d = ? AND state = 2"
_PRUNE: Final = "DELETE FROM inbox WHERE state >= 4 AND touched_at < ?"
_OUTBOX: Final = "SELECT r, d, lease, conv, part, final, payload FROM outbox ORDER BY d, part"


class State(IntEnum):
    """Where a message is in its life here."""

    RECEIVED = 1
    WORKING = 2
    REPLIED = 3
    CLOSED = 4
    POSTPONED = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in the journal. `starts` counts how often a handler began, `parts` what was said."""

    d: str
    conv: str
    seq: int
    attempt: int
    lease: int
    kind: str
    payload: dict[str, Any]
    ts: float
    state: State
    starts: int
    parts: int
    ending: str | None  # how it ended without a final reply: ok or error


class Journal:
    """The only writer of the file. Each method that writes is one transaction, on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._db = _open(path)

    def close(self) -> None:
        self._db.close()

    def receive(self, msg: frames.Msg) -> Entry:
        """Stores a message, or takes over the newest lease of one that is known; the entry as it then is."""
        row = {name: getattr(msg, name) for name in ("d", "conv", "seq", "attempt", "lease", "kind", "ts")}
        with self._transaction() as db:
            db.execute(_RECEIVE, row | {"payload": json.dumps(msg.payload), "now": time.time()})
            db.execute(_NEWEST_LEASE, (msg.lease, msg.d))
        entry = self.entry(msg.d)
        assert entry is not None
        return entry

    def start(self, d: str) -> bool:
        """A handler begins; False where the message is not ours to work on any more."""
        with self._transaction() as db:
            return db.execute(_START, (d,)).rowcount == 1

    def reply(self, d: str, r: str, payload: dict[str, Any], *, final: bool) -> frames.Reply | None:
        """Puts the next part of the answer in the outbox; None where nobody waits for it any more."""
        with self._transaction() as db:
            if db.execute(_PART, (State.REPLIED if final else State.WORKING, d)).rowcount != 1:
                return None
            entry = self._one(d)
            part = entry.parts - 1
            db.execute(_SEND, (r, d, entry.lease, entry.conv, part, final, json.dumps(payload)))
        return frames.Reply(
            r=r, d=d, lease=entry.lease, conv=entry.conv, part=part, final=final, payload=payload
        )

    def end(self, d: str, ending: str) -> Entry | None:
        """The message ends without a (further) answer; None where nobody waits for it any more."""
        with self._transaction() as db:
            ended = db.execute(_END, (ending, d)).rowcount == 1
        return self.entry(d) if ended else None

    def postpone(self, d: str) -> bool:
        """The message is to come again later; what was said of its answer stays said."""
        with self._transaction() as db:
            return db.execute(_POSTPONE, (d,)).rowcount == 1

    def replied(self, r: str, *, stored: bool) -> None:
        """Studio answered for reply `r`; its final one settles the message."""
        with self._transaction() as db:
            row = db.execute("SELECT d, final FROM outbox WHERE r = ?", (r,)).fetchone()
            db.execute("DELETE FROM outbox WHERE r = ?", (r,))
            if row and row[1]:
                self._settle(db, row[0], stored)

    def finished(self, d: str, *, stored: bool) -> None:
        """Studio answered for the ending of `d`."""
        with self._transaction() as db:
            self._settle(db, d, stored)

    def forget(self, d: str) -> None:
        """The message is not ours any more, nor is what we wanted to answer."""
        with self._transaction() as db:
            db.execute("DELETE FROM inbox WHERE d = ?", (d,))
            db.execute("DELETE FROM outbox WHERE d = ?", (d,))

    def entry(self, d: str) -> Entry | None:
        row = self._db.execute(f"{_ENTRY} WHERE d = ?", (d,)).fetchone()
        return _entry(row) if row else None

    def open_entries(self) -> list[Entry]:
        """What is not settled, oldest first."""
        rows = self._db.execute(f"{_ENTRY} WHERE state < 4 ORDER BY touched_at").fetchall()
        return [_entry(row) for row in rows]

    def outbox(self) -> list[frames.Reply]:
        """The replies that Studio has not confirmed, in the order of their parts."""
        return [
            frames.Reply(
                r=r, d=d, lease=lease, conv=conv, part=part, final=bool(final), payload=json.loads(p)
            )
            for r, d, lease, conv, part, final, p in self._db.execute(_OUTBOX)
        ]

    def prune(self) -> None:
        with self._transaction() as db:
            db.execute(_PRUNE, (time.time() - KEEP_S,))

    def _settle(self, db: sqlite3.Connection, d: str, stored: bool) -> None:
        if stored:
            db.execute(_CLOSE, (time.time(), d))
        else:
            # Stale: Studio has not taken it, so a new attempt of the same message is to be answered afresh.
            db.execute("DELETE FROM inbox WHERE d = ? AND state = 3", (d,))

    def _one(self, d: str) -> Entry:
        return _entry(self._db.execute(f"{_ENTRY} WHERE d = ?", (d,)).fetchone())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _entry(row: tuple[Any, ...]) -> Entry:
    d, conv, seq, attempt, lease, kind, payload, ts, state, starts, parts, ending = row
    return Entry(
        d, conv, seq, attempt, lease, kind, json.loads(payload), ts, State(state), starts, parts, ending
    )


def _open(path: Path) -> sqlite3.Connection:
    db: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, timeout=0)
        path.chmod(0o600)
        # Exclusive before WAL: the file is ours until we end, even by kill -9, and needs no shared memory.
        for statement in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {statement}")
        db.executescript(_SCHEMA)
    except (OSError, sqlite3.DatabaseError) as error:
        if db is not None:
            db.close()
        raise (_in_use(path) if "locked" in str(error) else _broken(path, error)) from error
    return db


def _in_use(path: Path) -> AgentError:
    return AgentError(
        "AMX-A40", f"{path} is in use.", "Another aimatrix serve runs on this folder; stop it first."
    )


def _broken(path: Path, error: Exception) -> AgentError:
    return AgentError(
        "AMX-A41",
        f"{path} cannot be used: {error}",
        "Look whether the disk is full and the folder yours. Without the file the agent starts afresh.",
    )
