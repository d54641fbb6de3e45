"""A tiny Studio, and agents that talk to it: in this process, or as the real command."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from local_agent.brain import Brain
from local_agent.client import Client
from local_agent.config import Config, Home, Settings
from local_agent.desk import Desk
from local_agent.journal import Journal
from local_agent.runner import Handle, Runner

from .tiny_studio import TinyStudio


@pytest.fixture
async def studio() -> AsyncIterator[TinyStudio]:
    studio = TinyStudio()
    await studio.start()
    yield studio
    await studio.stop()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "agent")


class Agent:
    """An agent in this process. `reports` is what the owner would read."""

    def __init__(self, client: Client, task: asyncio.Task[None], reports: list[str]) -> None:
        self.client, self.task, self.reports = client, task, reports


@pytest.fixture
def agent(studio: TinyStudio, home: Home) -> Callable[..., Any]:
    """`async with agent(handle) as running:` — connected to the tiny Studio."""

    @asynccontextmanager
    async def run(handle: Handle, *, credits: int = 4, timeout_s: float = 10.0) -> AsyncIterator[Agent]:
        settings = Settings(credits=credits, timeout_s=timeout_s, max_backoff_s=0.2)
        config = Config(studio.url, "a1", "tester", settings=settings)
        journal = Journal(home.journal_file)
        runner = Runner(handle, timeout_s=timeout_s)
        reports: list[str] = []
        client = Client(
            config,
            studio.token,
            lambda say: Desk(journal, runner, Brain(None, None), credits=credits, say=say),
            reports.append,
        )
        task = asyncio.create_task(client.run())
        try:
            yield Agent(client, task, reports)
        finally:
            client.stop()
            await asyncio.gather(task, return_exceptions=True)
            journal.close()

    return run


class Command:
    """`aimatrix …` as its own process."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        env = os.environ | {"AIMATRIX_HOME": str(self.home.path), "PYTHONUNBUFFERED": "1"} | environment
        process = subprocess.Popen(
            [sys.executable, "-m", "local_agent", *words], env=env, stderr=subprocess.PIPE, text=True
        )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def command(home: Home) -> Iterator[Command]:
    command = Command(home)
    yield command
    command.end_all()
