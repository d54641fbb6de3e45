"""Real PostgreSQL and real Redis on this machine, for tests, benchmarks and `make up`.

    python -m deploy.services run [--fast] -- COMMAND …     servers for as long as the command runs
    python -m deploy.services up --dir var/services         servers that stay, their data kept
    python -m deploy.services down --dir var/services

`run` sets DATABASE_URL and REDIS_URL; one that is set already is used as it is, and that server not started.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from deploy.postgres import Postgres
from deploy.redis_server import RedisServer
from deploy.servers import Server, ServiceError, free_port, is_free

CRASH = signal.SIGQUIT  # PostgreSQL's immediate stop: no checkpoint, the next start recovers from the log
FAST = signal.SIGINT  # PostgreSQL ends its sessions and writes a checkpoint


@dataclass(frozen=True)
class Services:
    """The servers that were asked for. The methods are faults to inject: clients' connections break."""

    postgres: Postgres | None
    redis: RedisServer | None

    @property
    def servers(self) -> list[Server]:
        return [server for server in (self.postgres, self.redis) if server]

    @property
    def database_url(self) -> str:
        return self._postgres().url

    @property
    def redis_url(self) -> str:
        return self._redis().url

    @property
    def data_directory(self) -> Path:
        """PostgreSQL's, as `SHOW data_directory` tells it."""
        return self._postgres().data

    @property
    def environment(self) -> dict[str, str]:
        """DATABASE_URL and REDIS_URL of the servers that run here."""
        servers = {"DATABASE_URL": self.postgres, "REDIS_URL": self.redis}
        return {name: server.url for name, server in servers.items() if server}

    def restart_postgres(self, *, immediate: bool = True) -> None:
        """`immediate` is a crash with recovery; else sessions are ended in order. Same port, same data."""
        self._postgres().stop(CRASH if immediate else FAST)
        self._postgres().start()

    def stop_postgres(self) -> None:
        self._postgres().stop(FAST)

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster; returns when its children are gone too, so that it can start again."""
        self._postgres().stop(signal.SIGKILL)

    def start_postgres(self) -> None:
        self._postgres().start()

    def flush_redis(self) -> None:
        self._redis().flush()

    def stop_redis(self) -> None:
        self._redis().stop(signal.SIGTERM)

    def kill_redis(self) -> None:
        self._redis().stop(signal.SIGKILL)

    def start_redis(self) -> None:
        self._redis().start()

    def _postgres(self) -> Postgres:
        if self.postgres is None:
            raise ServiceError("PostgreSQL was not asked for here: pass postgres=True.")
        return self.postgres

    def _redis(self) -> RedisServer:
        if self.redis is None:
            raise ServiceError("Redis was not asked for here: pass redis=True.")
        return self.redis


@contextmanager
def temporary_services(
    *, postgres: bool = True, redis: bool = True, durable: bool = True
) -> Iterator[Services]:
    """Servers in temporary folders on free ports, gone with their data at the end, at a failure, at SIGTERM.

    `durable=False` leaves out fsync: faster, and honest where no test pulls the plug of the machine itself.
    """
    with _terminable(), ExitStack() as stack:

        def folder(name: str) -> Path:
            made = Path(tempfile.mkdtemp(prefix=f"studio-{name}-"))
            stack.callback(shutil.rmtree, made, ignore_errors=True)
            return made

        services = Services(
            Postgres(folder("postgres"), free_port(), durable=durable) if postgres else None,
            RedisServer(folder("redis"), free_port()) if redis else None,
        )
        stack.enter_context(_stopped_at_the_end(services))
        _start(services)
        yield services


@contextmanager
def _stopped_at_the_end(services: Services) -> Iterator[None]:
    try:
        yield
    finally:
        with _undisturbed(), ExitStack() as stops:  # one that does not stop keeps none of the others
            if services.postgres and services.postgres.own:
                stops.callback(services.postgres.stop, CRASH)
            if services.redis and services.redis.own:
                stops.callback(services.redis.stop, signal.SIGTERM)


def _start(services: Services) -> None:
    if services.redis:
        services.redis.start()
    if services.postgres:
        services.postgres.init()
        services.postgres.start()
        services.postgres.create_database()


def lacking(environment: Mapping[str, str]) -> dict[str, bool]:
    """Which servers a run must bring itself. SQLite is the embedded form, which has no Redis either."""
    database_url = environment.get("DATABASE_URL")
    embedded = database_url is not None and database_url.startswith("sqlite")
    return {"postgres": database_url is None, "redis": "REDIS_URL" not in environment and not embedded}


class Terminated(KeyboardInterrupt):
    """SIGTERM, in the form that unwinds everything and that test runners understand as the end."""


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the stack, which stops the servers. A handler that is there already stays in charge."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def unwind(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave a server behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def up(directory: Path) -> Services:
    """Start both servers, or find them running. Data, passwords and, while free, ports are as last time.

    Their addresses are in `directory/urls.json`, mode 600.
    """
    directory = directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    services = _kept(directory) or Services(
        Postgres(directory / "postgres", free_port(), password=secrets.token_urlsafe(24)),
        RedisServer(directory / "redis", free_port(), password=secrets.token_urlsafe(24), keep=True),
    )
    for server in services.servers:
        if not server.answers() and not is_free(server.port):
            server.port = free_port()  # somebody else has the old one now
    _write_urls(directory, services)
    _start(services)
    return services


def down(directory: Path) -> None:
    """Stop both servers if they run; the data stays."""
    if services := _kept(directory.resolve()):
        services.stop_postgres()
        services.stop_redis()


def _kept(directory: Path) -> Services | None:
    try:
        urls = json.loads((directory / "urls.json").read_text())
    except FileNotFoundError:
        return None
    postgres, redis = urlsplit(urls["database_url"]), urlsplit(urls["redis_url"])
    return Services(
        Postgres(directory / "postgres", postgres.port or 0, password=postgres.password or ""),
        RedisServer(directory / "redis", redis.port or 0, password=redis.password or "", keep=True),
    )


def _write_urls(directory: Path, services: Services) -> None:
    new = directory / "urls.json.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"database_url": services.database_url, "redis_url": services.redis_url}, file, indent=1)
    new.replace(directory / "urls.json")


def run(command: list[str], *, durable: bool) -> int:
    """The command's exit status (128 + n after signal n), with servers around it."""
    with temporary_services(**lacking(os.environ), durable=durable) as services:
        child = subprocess.Popen(command, env={**os.environ, **services.environment})
        with _passed_on(child):
            status = child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals are for the command; the servers go when it is gone."""

    def forward(number: int, _frame: FrameType | None) -> None:
        # The terminal sends Ctrl-C to the command as well; twice would cut its own tidying short.
        if number != signal.SIGINT or not _in_terminal():
            child.send_signal(number)

    passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in passed_on}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.services")
    actions = parser.add_subparsers(dest="action", required=True)
    runs = actions.add_parser("run", help="temporary servers around a command")
    runs.add_argument("--fast", action="store_true", help="without fsync: where durability is not tested")
    runs.add_argument("command", nargs="+")
    for name, meaning in (("up", "start servers whose data is kept"), ("down", "stop them")):
        action = actions.add_parser(name, help=meaning)
        action.add_argument("--dir", type=Path, required=True, dest="directory")
    options = parser.parse_args(arguments)
    try:
        if options.action == "run":
            return run(options.command, durable=not options.fast)
        if options.action == "down":
            down(options.directory)
            return 0
        services = up(options.directory)
        for server in services.servers:
            print(f"{server.name} at 127.0.0.1:{server.port}, data in {server.home}")
        print(f"Addresses: {options.directory / 'urls.json'}")
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as end:
        return 128 + (signal.SIGTERM if isinstance(end, Terminated) else signal.SIGINT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
