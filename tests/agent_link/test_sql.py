"""Statements, written once for two databases: what goes in comes out, on both."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_link.sql import TYPES, Statement, cursor_of, is_id, iso, utc
from local_agent.protocol.ids import new_id
from tests.make import make_workspace

ROOT = Path(__file__).parents[2]
ROOMS = ("agent_link", "gateway", "workspaces", "studio", "jobs")
EXAMPLES = {"id": "0" * 31 + "1", "text": "t", "int": 1, "real": 0.5, "bool": True, "time": utc(0)}


def statements() -> Iterator[Any]:
    """All there are, wherever they were written."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if "= Statement(" not in path.read_text():
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for word, value in vars(importlib.import_module(name)).items():
            if isinstance(value, Statement) and f"{word} = Statement(" in path.read_text():
                yield pytest.param(value, id=f"{name}.{word}")


ALL = list(statements())
TABLES = {model._meta.db_table: model for model in apps.get_models()}


def run(statement: Statement, *rows: dict[str, Any]) -> list[Any]:
    with transaction.atomic():
        return [tuple(row) for row in cursor_of(connection).run(statement, rows)]


@pytest.mark.sqlite
@pytest.mark.django_db
@pytest.mark.parametrize("statement", ALL)
def test_every_statement_is_understood(statement: Statement) -> None:
    """By the database of this run. The row is nonsense: constraints may refuse it, and mostly it finds nothing."""
    row = {name: EXAMPLES[kind] for name, kind in statement.columns.items()}
    with suppress(IntegrityError), connection.wrap_database_errors:
        run(statement, row)
    transaction.set_rollback(True)


@pytest.mark.parametrize("statement", ALL)
def test_a_row_has_exactly_the_columns_that_are_used(statement: Statement) -> None:
    """A column that nobody reads, or one that is read and not given, is a slip."""
    assert set(statement.columns.values()) <= set(TYPES)
    for name in statement.columns:
        assert re.search(
            rf"\b{name}\b", statement.postgres.replace(f"{name} {TYPES[statement.columns[name]]}", "")
        ), name
    assert not re.search(r"\{[a-z+ .]*\}", statement.postgres + statement.sqlite), "a word was not filled in"


@pytest.mark.parametrize("statement", [one for one in ALL if "INSERT" in one.values[0].postgres])
def test_an_insert_gives_every_column_that_has_no_default(statement: Statement) -> None:
    found = re.search(r"INSERT INTO (\w+)\s*\(([^)]*)\)", statement.postgres)
    assert found
    columns = {name.strip() for name in found[2].split(",")}
    fields = [f for f in TABLES[found[1]]._meta.get_fields() if isinstance(f, models.Field) and f.concrete]
    assert columns <= {field.column for field in fields}
    for field in fields:
        optional = field.null or field.has_db_default() or isinstance(field, models.AutoField)
        assert field.column in columns or optional, f"{field.column} is NOT NULL and not given"


@pytest.mark.sqlite
@pytest.mark.django_db
def test_no_rows_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert cursor_of(connection).run(Statement("SELECT nonsense {rows}", a="int"), []) == []


ECHO = Statement(
    "SELECT g.i, g.t, g.n, g.r, g.b FROM {rows} g", i="id", t="text", n="int", r="real", b="bool"
)


@pytest.mark.sqlite
@pytest.mark.django_db
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.integers(-(2**63), 2**63 - 1),
    real=st.floats(allow_nan=False, allow_infinity=False),
    yes=st.booleans(),
)
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
def test_values_come_out_as_they_went_in(text: str, number: int, real: float, yes: bool) -> None:
    """All but U+0000, which PostgreSQL cannot hold and SQLite would cut the text at."""
    row = new_id()
    (found,) = run(ECHO, {"i": row, "t": text, "n": number, "r": real, "b": yes})
    assert found == (row, text.replace("\x00", "\N{REPLACEMENT CHARACTER}"), number, real, yes)


@pytest.mark.sqlite
@pytest.mark.django_db
def test_a_nul_is_replaced_and_what_only_looks_like_one_is_not() -> None:
    said = [r"\u0000", "\\\x00", "\x00\x00 \\\\u0000", '"\\u0000"\x00']
    found = run(ECHO, *[{"i": new_id(), "t": text, "n": 0, "r": 0, "b": False} for text in said])
    assert [row[1] for row in found] == [text.replace("\x00", "\N{REPLACEMENT CHARACTER}") for text in said]


@pytest.mark.sqlite
@pytest.mark.django_db
def test_what_is_not_given_is_null() -> None:
    assert run(ECHO, {"i": None, "t": None}) == [(None,) * 5]


TOUCHED = Statement(
    "UPDATE workspaces_workspace AS w SET created_at = {now+g.later} FROM {rows} g WHERE w.id = g.id",
    id="id",
    later="real",
)
MADE = Statement(
    "UPDATE workspaces_workspace AS w SET created_at = g.at FROM {rows} g WHERE w.id = g.id",
    id="id",
    at="time",
)
PAST = Statement(
    "SELECT w.id FROM workspaces_workspace w JOIN {rows} g ON w.id = g.id WHERE w.created_at <= {now}",
    id="id",
)


@pytest.mark.sqlite
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("later", "past"), [(0, True), (-1e-5, True), (-86_400, True), (0.5, False), (30, False), (1e7, False)]
)
def test_later_is_later(later: float, past: bool) -> None:
    workspace = make_workspace()
    run(TOUCHED, {"id": workspace.pk.hex, "later": later})
    assert bool(run(PAST, {"id": workspace.pk.hex})) == past


@pytest.mark.sqlite
@pytest.mark.django_db
def test_times_are_kept_as_django_reads_them() -> None:
    workspace = make_workspace()
    run(MADE, {"id": workspace.pk.hex, "at": utc(1_700_000_000.125)})
    workspace.refresh_from_db()
    assert workspace.created_at == datetime(2023, 11, 14, 22, 13, 20, 125_000, tzinfo=UTC)


def test_other_programs_read_one_form_of_a_time() -> None:
    moment = datetime(2026, 11, 20, 9, 5, 0, 250_000, tzinfo=UTC)
    assert iso(moment) == iso("2026-11-20 09:05:00.250000") == "2026-11-20T09:05:00.250000Z"


@pytest.mark.parametrize(
    ("text", "could_be"),
    [
        ("0" * 32, True),
        (new_id(), True),
        ("0" * 31, False),
        ("G" * 32, False),
        ("0" * 32 + "\n", False),
        ("A" * 32, False),
    ],
)
def test_ids_are_32_hexadecimal_digits(text: str, could_be: bool) -> None:
    assert is_id(text) == could_be
