"""One server process in a folder of its own: start it, recognise it, stop it.

A port is no proof of whose server answers there, and a process id may be used again. So before a server is
stopped or emptied it is asked which folder it serves, and only what stands behind our folder is signalled.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

PORTS = range(20_000, 32_768)  # below the ports that the kernel hands to outgoing connections
START_SECONDS = 60.0  # crash recovery of a loaded database included
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02


class ServiceError(RuntimeError):
    """A server cannot be had, or must not be touched. The text says what to do next."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds at this moment."""
    for _ in range(200):
        if is_free(port := random.choice(PORTS)):  # noqa: S311  # no secret, only spread
            return port
    raise ServiceError(f"No port is free between {PORTS.start} and {PORTS.stop - 1}: end what holds them.")


def is_free(port: int) -> bool:
    """Whether a server could listen at this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Server(ABC):
    """What PostgreSQL and Redis have in common. `home` is the server's folder; nothing else lives there."""

    name: ClassVar[str]

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, password included."""

    @abstractmethod
    def spawn(self, log: int) -> subprocess.Popen[bytes]:
        """Start the process, its output going to the file descriptor `log`."""

    @abstractmethod
    def pid(self) -> int | None:
        """Process id of the server at our port, None when none answers.

        ServiceError when it serves another folder: then it is somebody else's.
        """

    def answers(self) -> bool:
        """Whether our own server is up."""
        try:
            return self.pid() is not None
        except ServiceError:
            return False

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def own(self) -> subprocess.Popen[bytes] | None:
        """The living process that this object started."""
        return self._process if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Returns once the server answers; one that answers already is left as it is."""
        if self.pid():
            return
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = self._process = self.spawn(log.fileno())
        in_time = _until(lambda: process.poll() is not None or self.pid() is not None, START_SECONDS)
        if process.poll() is not None:
            raise ServiceError(f"{self.name} did not start.\n{self._last_words()}")
        if not in_time:
            raise ServiceError(f"{self.name} did not answer in {START_SECONDS:.0f} s.\n{self._last_words()}")

    def stop(self, how: signal.Signals) -> None:
        """Signals the server if it runs; returns when it and, after a SIGKILL, its children are gone."""
        pid, own = self.pid(), self.own
        if pid is None and own:
            pid = own.pid  # too busy to answer, or still starting
        if pid is None:
            return
        orphans = children(pid) if how is signal.SIGKILL else set()
        os.kill(pid, how)
        if own:
            try:
                own.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                own.kill()
                own.wait()
        if not _until(lambda: not alive({pid, *orphans}), STOP_SECONDS):
            raise ServiceError(
                f"{self.name} (process {pid}) did not stop in {STOP_SECONDS:.0f} s.\n{self._last_words()}"
            )

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines[-8:])])
        return f"{self.log} cannot be read."


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def children(pid: int) -> set[int]:
    return {child for child, parent in _parents().items() if parent == pid}


def alive(pids: Iterable[int]) -> bool:
    """Whether any of them still runs; one that has ended and only waits to be reaped does not count."""
    return not _parents().keys().isdisjoint(pids)


def _parents() -> dict[int, int]:
    """Parent of every process that has not ended. From /proc, or from ps where there is none (macOS)."""
    table: dict[int, int] = {}
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            pid, parent, state = line.split()[:3]
            if not state.startswith("Z"):
                table[int(pid)] = int(parent)
        return table
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            # pid (name, which may hold spaces and brackets) state ppid …
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in {"Z", "X"}:
                table[int(stat.parent.name)] = int(parent)
    return table
