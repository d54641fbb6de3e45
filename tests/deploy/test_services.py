"""The servers under the tests: they break on request, keep what they promised, and are gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis

from deploy import postgres, redis_server
from deploy.postgres import Postgres
from deploy.redis_server import RedisServer
from deploy.servers import ServiceError
from deploy.services import Services, lacking, temporary_services

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with temporary_services(durable=False) as running:
        yield running


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "deploy.services", *words]


FAULTS: dict[str, list[Callable[[Services], None]]] = {
    "a crash": [Services.restart_postgres],
    "an orderly restart": [partial(Services.restart_postgres, immediate=False)],
    "kill -9": [Services.kill_postgres, Services.start_postgres],
    "a stop": [Services.stop_postgres, Services.start_postgres],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_committed_outlives_a_fault(services: Services, fault: str) -> None:
    """Connections break, committed rows do not; the address stays."""
    before = services.database_url
    client = psycopg.connect(services.database_url, autocommit=True)
    client.execute("CREATE TABLE IF NOT EXISTS kept (fault text)")
    client.execute("INSERT INTO kept VALUES (%s)", [fault])

    for step in FAULTS[fault]:
        step(services)

    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    client.close()
    assert services.database_url == before
    with psycopg.connect(services.database_url) as client:
        assert client.execute("SELECT count(*) FROM kept WHERE fault = %s", [fault]).fetchone() == (1,)


def test_redis_is_flushed_stopped_and_killed(services: Services) -> None:
    with redis.Redis.from_url(services.redis_url) as client:
        client.set("hint", "1")
        services.flush_redis()
        assert client.get("hint") is None
        for stop in (services.stop_redis, services.kill_redis):
            stop()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            services.start_redis()
            assert client.ping()


def test_a_strangers_server_is_left_alone(services: Services, tmp_path: Path) -> None:
    """A port that another server answers at is neither stopped nor flushed."""
    assert services.postgres
    assert services.redis
    with pytest.raises(ServiceError, match="it is left alone"):
        Postgres(tmp_path, services.postgres.port).stop(signal.SIGQUIT)
    with pytest.raises(ServiceError, match="it is left alone"):
        RedisServer(tmp_path, services.redis.port).flush()
    assert services.postgres.answers()
    assert services.redis.answers()


def test_servers_and_folders_are_gone_after_a_failure() -> None:
    def fail(within: Services) -> None:
        raise ZeroDivisionError(str(within.data_directory))

    with pytest.raises(ZeroDivisionError) as failure, temporary_services(durable=False) as services:
        fail(services)
    assert services.postgres
    assert services.redis
    assert not Path(str(failure.value)).exists()
    assert not services.postgres.answers()
    assert not services.redis.answers()


def test_run_gives_addresses_and_passes_the_exit_status_on() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["REDIS_URL"] = "redis://given"
    probe = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL']); raise SystemExit(7)"
    done = subprocess.run(
        command("run", "--fast", "--", sys.executable, "-c", probe),
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    database_url, redis_url = done.stdout.split()
    assert database_url.startswith("postgresql://studio@127.0.0.1:")
    assert redis_url == "redis://given"


def test_sigterm_reaches_the_command_and_then_the_servers() -> None:
    """Nothing is left running by whoever ends `run`."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}
    }
    probe = "import os, time; print(os.environ['REDIS_URL'], flush=True); time.sleep(60)"
    running = subprocess.Popen(
        command("run", "--fast", "--", sys.executable, "-c", probe),
        cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout
    with running.stdout:
        redis_url = running.stdout.readline().strip()
    running.terminate()
    assert running.wait(30) == 128 + signal.SIGTERM
    with redis.Redis.from_url(redis_url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_up_keeps_data_behind_a_password_until_down(tmp_path: Path) -> None:
    """`up` twice is `up` once; after `down` and `up` the data is there, at the same address."""

    def services(action: str) -> None:
        subprocess.run(
            command(action, "--dir", str(tmp_path / "s")), cwd=PROJECT, check=True, stdout=subprocess.PIPE
        )

    def urls() -> dict[str, str]:
        return dict(json.loads((tmp_path / "s" / "urls.json").read_text()))

    services("up")
    try:
        first = urls()
        assert (tmp_path / "s" / "urls.json").stat().st_mode & 0o777 == 0o600
        with (
            psycopg.connect(first["database_url"]) as client,
            redis.Redis.from_url(first["redis_url"]) as hints,
        ):
            client.execute("CREATE TABLE kept ()")
            hints.set("kept", "1")
        address = first["database_url"].rpartition("@")[2]
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(f"postgresql://studio@{address}")
        stranger = redis.Redis.from_url(f"redis://{first['redis_url'].rpartition('@')[2]}")
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        services("up")
        assert urls() == first
        services("down")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(first["database_url"])
        services("up")
        assert urls() == first
        with (
            psycopg.connect(first["database_url"]) as client,
            redis.Redis.from_url(first["redis_url"]) as hints,
        ):
            client.execute("SELECT * FROM kept")
            assert hints.get("kept") == b"1"
    finally:
        services("down")


@pytest.mark.parametrize(
    ("given", "brings"),
    [
        ({}, {"postgres": True, "redis": True}),
        ({"DATABASE_URL": "postgresql://x/y"}, {"postgres": False, "redis": True}),
        ({"REDIS_URL": "redis://x"}, {"postgres": True, "redis": False}),
        ({"DATABASE_URL": "sqlite:///studio.db"}, {"postgres": False, "redis": False}),
    ],
)
def test_what_is_offered_is_used(given: dict[str, str], brings: dict[str, bool]) -> None:
    assert lacking(given) == brings


def test_the_version_that_made_the_data_serves_it() -> None:
    with pytest.raises(ServiceError, match="made by PostgreSQL 8; this machine has"):
        postgres.find_binaries(8)


def test_a_machine_with_nothing_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_folders", lambda: iter(()))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(redis_server, "find_spec", lambda _name: None)
    with pytest.raises(ServiceError, match=r"apt install postgresql.*make \.venv/services.*DATABASE_URL"):
        postgres.find_binaries()
    with pytest.raises(ServiceError, match=r"apt install redis-server.*make \.venv/services.*REDIS_URL"):
        redis_server.find_binary()
