"""The few words in which PostgreSQL and SQLite differ, so that every hot statement is written once.

A `Statement` takes a list of rows and sends them as one JSON parameter: of all the ways to hand a batch to PostgreSQL
from Python this one costs least (docs/architecture.md has the measurement). Ids go in and come out as 32 hexadecimal
digits, times go in as ISO text in UTC; `{words}` in the text are the dialect's. U+0000, which PostgreSQL cannot hold
and at which SQLite would cut the text, goes in as U+FFFD.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.adapt import Loader

Row = Sequence[Any]
Record = Mapping[str, Any]

TYPES = {
    "id": "uuid",
    "text": "text",
    "int": "bigint",
    "real": "float8",
    "bool": "boolean",
    "time": "timestamptz",
}

POSTGRES_WORDS = {
    "now": "now()",
    "lock of l": "FOR UPDATE OF l SKIP LOCKED",
    "lock of c": "FOR UPDATE OF c SKIP LOCKED",
    "wait for l": "FOR UPDATE OF l",
    "greatest": "GREATEST",
}
SQLITE_WORDS = {
    "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    "lock of l": "",
    "lock of c": "",
    "wait for l": "",
    "greatest": "MAX",
}

_ID = re.compile(r"[0-9a-f]{32}")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # not after an odd number of backslashes: that only spells it


def is_id(text: str) -> bool:
    """Whether `text` could be the id of a row: 32 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def _encoded(rows: Sequence[Record]) -> str:
    text = msgspec.json.encode(rows).decode()
    return _NUL.sub(r"\1\\ufffd", text) if r"\u0000" in text else text


class Cursor(Protocol):
    """What an operation gets to work with; made by `cursor_of`."""

    def run(self, statement: Statement, rows: Sequence[Record]) -> list[Row]:
        """Executes and gives what comes back; with no rows it does nothing."""


class HexId(Loader):
    """uuid → 32 hexadecimal digits, as SQLite keeps them and frames carry them."""

    def load(self, data: psycopg.abc.Buffer) -> str:
        return bytes(data).replace(b"-", b"").decode()


class PostgresCursor:
    """Server-side parameters and prepared statements, which Django's own cursors leave off."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = psycopg.Cursor(connection)
        self._cursor.adapters.register_loader("uuid", HexId)

    def run(self, statement: Statement, rows: Sequence[Record]) -> list[Row]:
        if not rows:
            return []
        self._cursor.execute(statement.postgres, (_encoded(rows),), prepare=True)
        return self._cursor.fetchall() if statement.returns else []


class SqliteCursor:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = sqlite3.Cursor(connection)

    def run(self, statement: Statement, rows: Sequence[Record]) -> list[Row]:
        if not rows:
            return []
        self._cursor.execute(statement.sqlite, (_encoded(rows),))
        return self._cursor.fetchall() if statement.returns else []


def cursor_of(connection: BaseDatabaseWrapper) -> Cursor:
    """A cursor for hot statements on Django's own connection, inside whatever transaction is open there."""
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        return PostgresCursor(connection.connection)
    return SqliteCursor(connection.connection)


class Statement:
    """One statement for both databases.

    `columns` names the rows' fields and their kinds (TYPES). In `text`, `{rows}` stands for a subquery of them, and
    `{now}`, `{now+COLUMN}` (seconds later), `{lock of l}`, `{wait for l}`, `{greatest}` for the dialect's words.
    """

    def __init__(self, text: str, /, **columns: str) -> None:
        self.columns = columns
        self.returns = "RETURNING" in text or text.lstrip().startswith("SELECT")
        named = ", ".join(f"{name} {TYPES[kind]}" for name, kind in columns.items())
        self.postgres = self._fill(
            text,
            POSTGRES_WORDS,
            rows=f"(SELECT * FROM jsonb_to_recordset(%s::jsonb) AS given({named}))",  # noqa: S608  (names of our own)
            later="now() + {} * interval '1 second'",
        )
        # SQLite knows no alias in RETURNING, and needs none: only the changed table's columns may stand there.
        body, returning, columns_back = text.partition("RETURNING")
        text = body + returning + re.sub(r"\b[a-z]\.", "", columns_back)
        picked = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
        self.sqlite = self._fill(
            text,
            SQLITE_WORDS,
            rows=f"(SELECT {picked} FROM json_each(?))",  # noqa: S608
            later="strftime('%Y-%m-%d %H:%M:%f000', 'now', {} || ' seconds')",
        )

    @staticmethod
    def _fill(text: str, words: dict[str, str], *, rows: str, later: str) -> str:
        text = text.replace("{rows}", rows)
        while "{now+" in text:
            before, _, rest = text.partition("{now+")
            column, _, after = rest.partition("}")
            text = before + later.format(column) + after
        for word, meaning in words.items():
            text = text.replace("{" + word + "}", meaning)
        return text


def utc(moment: float) -> str:
    """Seconds since 1970 → the text form in which both databases take and keep a time."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def iso(moment: datetime | str) -> str:
    """A time as either database gives it → ISO 8601 in UTC, as other programs read it."""
    if isinstance(moment, str):
        return moment.replace(" ", "T") + "Z"
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
