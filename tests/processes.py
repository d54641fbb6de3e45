"""Our programs as processes of their own, on databases of their own, the way they run in life.

    template = Template(database_url, folder)            migrated once, with a workspace in it
    with template.copy() as database:                    a copy takes milliseconds
        studio = Studio(database, folder / "studio", REDIS_URL=…, TELEGRAM_API_URL=…)
        studio.start()
        agent = Agent(folder / "agent", handler=…)
        agent.pair(studio)
        agent.start()

Whoever starts one ends it: `with closing(studio):`, or the fixtures of tests/flows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

from deploy.servers import free_port
from local_agent.config import Home, Settings

ROOT = Path(__file__).parents[1]
KEY = "bWFrZSBjaGVjayBvbmx5OiBub3QgYSBzZWNyZXQgISE="
UP_S = 60.0  # the longest a program may take to be there; a machine under test is a busy one
END_S = 20.0

SEED = """
import json, sys, django
django.setup()
from django.core.management import call_command
from workspaces.api_keys import new_api_key
from workspaces.models import Workspace
call_command("migrate", verbosity=0)
workspace, _ = Workspace.objects.get_or_create(slug="test", defaults={"name": "Test"})
seeded = {"workspace": workspace.pk.hex, "api_key": new_api_key(workspace, "test")[0]}
exec(sys.argv[1])
print(json.dumps(seeded))
"""
SERVE = """
import sys, django
django.setup()
from studio.serving import server
server(int(sys.argv[1])).run()
"""
# Imports once. For each line it forks a Studio, armed with the crash points on that line, tells its process id, and
# then how it ended.
NURSERY = """
import os, sys, django
django.setup()
import studio.asgi
from agent_link import crash
from gateway.registry import ADAPTERS, adapter
from studio.serving import server
for kind in ADAPTERS:
    adapter(kind)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        crash._arm(line.strip())
        server(int(sys.argv[1])).run()
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def environment(database_url: str, var: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What a Studio process gets: nothing of the caller's own databases, secrets that all processes share."""
    ours = {
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "STUDIO_VAR": str(var),
        "SECRET_KEY": KEY,
        "VAULT_KEY": KEY,
        "KEY_PEPPER": KEY,
        "DJANGO_SETTINGS_MODULE": "studio.settings",
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "text",
        "AIMATRIX_CRASH": "",
    }
    return os.environ | ours | given


def seed(database_url: str, var: Path, more: str = "") -> dict[str, Any]:
    """Migrates a database and makes a workspace with an API key; `more` is Python that adds to `seeded`."""
    made = subprocess.run(
        [sys.executable, "-c", SEED, more],
        cwd=ROOT,
        env=environment(database_url, var, {}),
        check=True,
        stdout=subprocess.PIPE,
    )
    seeded: dict[str, Any] = json.loads(made.stdout)
    return seeded


@dataclass(frozen=True)
class Database:
    """A migrated database with one workspace in it."""

    url: str
    workspace: str
    api_key: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a SELECT gives now. Parameters stand as %s."""
        if self.is_sqlite:
            with closing(sqlite3.connect(sqlite_path(self.url), timeout=20)) as connection:
                return connection.execute(query.replace("%s", "?"), parameters).fetchall()
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    def value(self, query: str, *parameters: Any) -> Any:
        return self.rows(query, *parameters)[0][0]


def sqlite_path(url: str) -> Path:
    return Path(urlsplit(url).path[1:])


class Template:
    """A database made once on the server of `url` (a SQLite file beside it), to be copied for each test."""

    def __init__(self, url: str, folder: Path) -> None:
        self._server = url
        self._folder = folder
        self._url = self._make()
        self.seeded = seed(self._url, folder / "var")

    @contextmanager
    def copy(self) -> Iterator[Database]:
        url = self._make(self._url)
        try:
            yield Database(url, self.seeded["workspace"], self.seeded["api_key"])
        finally:
            self._drop(url)

    def drop(self) -> None:
        self._drop(self._url)

    def _make(self, of: str = "") -> str:
        name = f"copy_{uuid.uuid4().hex[:12]}"
        if self._server.startswith("sqlite"):
            path = self._folder / f"{name}.db"
            if of:
                shutil.copyfile(sqlite_path(of), path)
            return f"sqlite:///{path}"
        model = sql.Identifier(_name(of) if of else "template1")
        _patiently(lambda: self._admin("CREATE DATABASE {} TEMPLATE {}", sql.Identifier(name), model))
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{name}"))

    def _drop(self, url: str) -> None:
        if url.startswith("sqlite"):
            for end in ("", "-wal", "-shm"):
                Path(f"{sqlite_path(url)}{end}").unlink(missing_ok=True)
        else:
            self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(_name(url)))

    def _admin(self, statement: str, *names: sql.Identifier) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*names))  # type: ignore[arg-type]


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


def _patiently(make: Callable[[], None]) -> None:
    """PostgreSQL copies no database to which a session is still open, and one ends a moment after its process."""
    for _ in range(100):
        with suppress(psycopg.errors.ObjectInUse):
            return make()
        time.sleep(0.05)
    return make()


class Process:
    """One program, its output in `log`. Only what was started here is ever signalled."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def spawn(self, *words: str, env: Mapping[str, str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self._end(signal.SIGKILL)

    def stop(self, within: float = END_S) -> float:
        """SIGTERM; the seconds it took to end. AssertionError where it took longer than `within`."""
        began = time.monotonic()
        try:
            self._end(signal.SIGTERM, within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {within} s after SIGTERM\n{self.said()}") from None
        return time.monotonic() - began

    def close(self) -> None:
        """However the test went, nothing stays behind."""
        if self.alive:
            with suppress(AssertionError):
                self.stop(END_S)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end(self, how: signal.Signals, within: float = END_S) -> None:
        assert self.process is not None
        if self.alive:
            self.process.send_signal(how)
        self.process.wait(within)


class Studio(Process):
    """One Studio process on a database; several may share it. `given` are settings, as in the environment."""

    def __init__(self, database: Database, folder: Path, *, port: int = 0, **given: str) -> None:
        super().__init__(folder / "studio.log")
        self.database = database
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._given = given
        self._env = environment(database.url, folder / "var", {"STUDIO_URL": self.url, **given})

    def start(self) -> None:
        """Serves when it returns."""
        self.spawn("-c", SERVE, str(self.port), env=self._env)
        wait_until_up(self.port, self.process, self.said)

    def twin(self, folder: Path) -> Studio:
        """Another node: the same settings on the same database."""
        return Studio(self.database, folder, **self._given)

    def api(self) -> httpx.Client:
        """REST, with the workspace's key."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.database.api_key}"},
            timeout=20,
            trust_env=False,
        )

    def pairing_code(self) -> str:
        with self.api() as api:
            code: str = answered(api.post("/agents/pair"), 201)["code"]
        return code


class Nursery(Process):
    """A Studio at the place of another that can die often: each life begins within milliseconds, without imports."""

    def __init__(self, like: Studio) -> None:
        super().__init__(like.log.with_name("nursery.log"))
        self.port = like.port
        self._env = like._env
        self._child = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", NURSERY, str(self.port)],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=False,
            )

    def bear(self, crash: str = "") -> None:
        """A new life, armed with `crash` as in AIMATRIX_CRASH. The first one waits for the imports."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(crash.encode() + b"\n")
        self.process.stdin.flush()
        self._child = self._told()

    def signal(self, how: signal.Signals) -> None:
        """To this life."""
        assert self._child
        os.kill(self._child, how)

    def death(self) -> int:
        """Waits for the end of this life; how it ended, a signal being negative."""
        ended, self._child = self._told(), 0
        return ended

    def close(self) -> None:
        if self.process is None:
            return
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)
        assert self.process.stdin is not None
        self.process.stdin.close()  # no further line: it ends with this life
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        super().close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _told(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said()
        return int(line)


def answered(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    return response.json()


def wait_until_up(
    port: int, process: subprocess.Popen[bytes] | None, said: Callable[[], str] = lambda: ""
) -> None:
    """Until 127.0.0.1:`port` answers /healthz; RuntimeError when the process ends before."""
    until = time.monotonic() + UP_S
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it served\n{said()}")
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2, trust_env=False)
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing serves at port {port} after {UP_S} s\n{said()}")


class Agent(Process):
    """`aimatrix serve` with a home of its own. `handler` is the text of the owner's file."""

    def __init__(self, folder: Path, handler: str, *, credits: int = 8, **given: str) -> None:
        super().__init__(folder / "agent.log")
        folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(folder / "home")
        self.handler = folder / "handler.py"
        self.handler.write_text(handler)
        self._credits = credits
        self._env = os.environ | {"AIMATRIX_HOME": str(self.home.path), "PYTHONUNBUFFERED": "1"} | given

    def pair(self, studio: Studio, code: str = "") -> str:
        """The agent's id. Uses a new code where none is given."""
        self.spawn(
            "-m", "local_agent", "pair", code or studio.pairing_code(), "--studio", studio.url, env=self._env
        )
        assert self.process is not None
        assert self.process.wait(END_S) == 0, self.said()
        self.settle(max_backoff_s=0.5)
        return self.home.config().agent_id

    def settle(self, **settings: Any) -> None:
        """Changes the table [agent] of its config.toml. Dialing again soon keeps tests short."""
        config = self.home.config()
        ours: dict[str, Any] = {"handler": str(self.handler), "model": "none", "credits": self._credits}
        config.settings = replace(config.settings or Settings(), **(ours | settings))
        self.home.save(config, self.home.token())

    def move_to(self, studio: Studio) -> None:
        """From its next start on it talks to another Studio process."""
        config = self.home.config()
        config.studio = studio.url
        self.home.save(config, self.home.token())

    def start(self, *, wait: bool = True) -> None:
        before = self.times_online()
        self.spawn("-m", "local_agent", "serve", env=self._env)
        if wait:
            self.wait_online(before + 1)

    def times_online(self) -> int:
        return len(re.findall("^online as", self.said(), re.MULTILINE))

    def wait_online(self, times: int = 1) -> None:
        """Until it was welcomed `times` times in all, over all its processes."""
        until = time.monotonic() + UP_S
        while self.times_online() < times:
            assert self.alive, self.said()
            assert time.monotonic() < until, f"not online after {UP_S} s\n{self.said()}"
            time.sleep(0.02)


class Provider(Process):
    """The Bot API server of tests.telegram_api as a process that survives whatever befalls Studio."""

    def __init__(self, folder: Path, token: str) -> None:
        super().__init__(folder / "telegram.log")
        self.calls_file = folder / "calls.jsonl"
        self.token = token
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = ("-m", "tests.telegram_api", "--port", str(self.port), "--token", self.token)
        self.spawn(*words, "--log", str(self.calls_file), env=os.environ)
        until = time.monotonic() + UP_S
        while self.url not in self.said():
            assert self.alive, self.said()
            assert time.monotonic() < until, "the provider did not come up"
            time.sleep(0.02)

    def calls(self, method: str = "sendMessage") -> list[Mapping[str, Any]]:
        """Parameters of the calls that were carried out, in order."""
        if not self.calls_file.exists():
            return []
        whole_lines = self.calls_file.read_text().rpartition("\n")[0].splitlines()
        return [call["params"] for call in map(json.loads, whole_lines) if call["method"] == method]


def until(what: Callable[[], Any], patience: float = 20.0, every: float = 0.03) -> Any:
    """What `what` gives as soon as that is true; AssertionError with its last value when it takes too long."""
    give_up = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < give_up, f"not after {patience} s: {found!r}"
        time.sleep(every)
    return found


def monotone(moments: Sequence[str]) -> bool:
    """Whether ISO times stand in their order."""
    return list(moments) == sorted(moments)
