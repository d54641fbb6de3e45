from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from studio import health

TOKEN = "a-token-for-prometheus"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    health.migrations.cache_clear()
    yield
    health.migrations.cache_clear()


def not_ready(client: Client, part: str) -> dict[str, Any]:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.content)
    assert (told["part"], told["code"], told["status"]) == (part, "AMX-1510", 503)
    assert told["next_step"]
    return told


def test_a_process_that_answers_is_alive(client: Client) -> None:
    assert json.loads(client.get("/healthz").content) == {"ok": True}


@pytest.mark.sqlite
def test_studio_is_ready_when_all_it_needs_is_there(client: Client, db: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.content
    assert "no-cache" in answer.headers["Cache-Control"]


@pytest.mark.sqlite
def test_a_database_older_than_the_code_is_not_ready_until_it_is_migrated(client: Client, db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET app = 'elsewhere' WHERE app = 'gateway'")
    assert "migrate" in not_ready(client, "migrations")["next_step"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET app = 'gateway' WHERE app = 'elsewhere'")
    assert client.get("/readyz").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def cursor(self) -> Any:
            raise health.DatabaseError("could not connect to postgresql://studio:p4ss@db")

    monkeypatch.setattr(health, "connection", Away())
    assert "p4ss" not in str(not_ready(client, "database"))


def test_a_redis_that_does_not_answer_is_not_ready(client: Client, db: None, settings: Any) -> None:
    settings.REDIS_URL = "redis://:p4ss@127.0.0.1:9/0"
    assert "p4ss" not in str(not_ready(client, "redis"))


@pytest.mark.sqlite
def test_without_redis_none_is_asked_for(client: Client, db: None, settings: Any) -> None:
    settings.REDIS_URL = ""
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
def test_metrics_are_for_this_computer(client: Client, address: str) -> None:
    answer = client.get("/metrics", REMOTE_ADDR=address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"studio_commit_queue" in answer.content


@pytest.mark.parametrize(
    "caller",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "localhost"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},  # a proxy on this computer stands for anybody
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer "},
        {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"},
    ],
)
def test_metrics_are_for_nobody_else(client: Client, caller: dict[str, Any]) -> None:
    answer = client.get("/metrics", **caller)
    assert answer.status_code == 403
    assert json.loads(answer.content)["code"] == "AMX-1511"


def test_metrics_are_for_who_knows_the_token(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    away = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", **away, HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 200
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer \xff"):
        assert client.get("/metrics", **away, HTTP_AUTHORIZATION=wrong).status_code == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_nothing_is_sent_to_these(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
