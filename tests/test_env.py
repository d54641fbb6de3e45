from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from studio import env
from studio.env import (
    DECLARED,
    Declared,
    database,
    env_bool,
    env_float,
    env_int,
    env_list,
    env_secret,
    env_str,
)

NAME = "A_SETTING"
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    known = len(DECLARED)
    yield
    del DECLARED[known:]


READ: list[tuple[Any, str, Any]] = [
    (lambda: env_str(NAME, "x", ""), " as it is ", " as it is "),
    (lambda: env_int(NAME, 1, ""), "-42", -42),
    (lambda: env_float(NAME, 1, ""), "2.5", 2.5),
    (lambda: env_bool(NAME, False, ""), "Yes", True),
    (lambda: env_bool(NAME, True, ""), "off", False),
    (lambda: env_list(NAME, "", ""), " a, b,,c ", ["a", "b", "c"]),
    (lambda: env_secret(NAME, None, ""), KEY, b"k" * 32),
]


@pytest.mark.parametrize(("read", "given", "found"), READ)
def test_a_value_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, read: Any, given: str, found: Any
) -> None:
    monkeypatch.setenv(NAME, given)
    assert read() == found


@pytest.mark.parametrize(
    ("read", "default"),
    [
        (lambda: env_str(NAME, "x", ""), "x"),
        (lambda: env_int(NAME, 7, ""), 7),
        (lambda: env_float(NAME, 0.5, ""), 0.5),
        (lambda: env_bool(NAME, True, ""), True),
        (lambda: env_list(NAME, "a,b", ""), ["a", "b"]),
    ],
)
def test_without_a_value_the_default_holds(read: Any, default: Any) -> None:
    assert read() == default


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (lambda: env_int(NAME, 1, ""), "many"),
        (lambda: env_int(NAME, 1, ""), "1.5"),
        (lambda: env_int(NAME, 1, ""), ""),
        (lambda: env_float(NAME, 1, ""), "1,5"),
        (lambda: env_bool(NAME, True, ""), "perhaps"),
        (lambda: env_secret(NAME, None, ""), base64.urlsafe_b64encode(b"short").decode()),
        (lambda: env_secret(NAME, None, ""), "not base64"),
        (lambda: env_secret(NAME, None, ""), ""),
    ],
)
def test_a_bad_value_names_its_setting(monkeypatch: pytest.MonkeyPatch, read: Any, given: str) -> None:
    monkeypatch.setenv(NAME, given)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read()


def test_a_bad_secret_is_not_repeated_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "almost-a-secret")
    with pytest.raises(ImproperlyConfigured) as told:
        env_secret(NAME, None, "")
    assert "almost-a-secret" not in str(told.value)


def test_a_missing_secret_says_how_to_make_one() -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} is missing. Make one: python -c"):
        env_secret(NAME, None, "")


def test_a_value_is_read_from_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("42\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "value"))
    monkeypatch.setenv(NAME, "43")
    assert env_int(NAME, 1, "") == 42


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ImproperlyConfigured, match=rf"{NAME}_FILE=.*nowhere.*No such file"):
        env_str(NAME, "", "")


def test_a_secret_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    made = env_secret(NAME, tmp_path / "secrets", "")
    assert len(made) == 32
    assert env_secret(NAME, tmp_path / "secrets", "") == made
    kept = tmp_path / "secrets" / NAME.lower()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert env_secret("ANOTHER", tmp_path / "secrets", "") != made


def test_every_read_is_declared_with_its_meaning() -> None:
    env_int(NAME, 5, "apples in the basket")
    assert DECLARED[-1] == Declared(NAME, "5", "apples in the basket")
    assert all(one.meaning for one in DECLARED)


@pytest.mark.parametrize(
    ("url", "name"),
    [("sqlite:///var/studio.db", "var/studio.db"), ("sqlite:////srv/studio.db", "/srv/studio.db")],
)
def test_sqlite_is_named_by_its_path(url: str, name: str) -> None:
    made = database(url)
    assert made["NAME"] == name
    assert "synchronous=FULL" in str(made["OPTIONS"])


def test_postgresql_is_named_by_its_address() -> None:
    made = database("postgresql://studio:p%40ss%2Fword@db.example:5433/st%20udio")
    assert (made["USER"], made["PASSWORD"], made["NAME"]) == ("studio", "p@ss/word", "st udio")
    assert (made["HOST"], made["PORT"]) == ("db.example", "5433")


def test_another_database_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        database("mysql://localhost/studio")


@pytest.mark.parametrize(
    ("name", "value"),
    [("TUNNEL_LEASE", "soon"), ("WEBHOOK_MAX_BODY", "1 MB"), ("DEBUG", "maybe"), ("VAULT_KEY", "x")],
)
def test_a_bad_value_stops_the_start_and_names_itself(tmp_path: Path, name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=Path(env.__file__).parent.parent,
        env={"STUDIO_VAR": str(tmp_path), "PATH": "/usr/bin:/bin", name: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name}" in done.stderr
