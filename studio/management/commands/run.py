"""`make run`: Studio and a local agent on this computer, from nothing to a chat."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from agent_link.pairing import new_code
from studio import demo
from studio.asgi import application
from studio.serving import Guest, server
from workspaces.models import Workspace
from workspaces.signin_links import new_link

ONLINE_WITHIN = 60.0


class Command(BaseCommand):
    help = "Migrates, seeds a demo workspace, starts Studio and a local agent, prints a sign-in link. Ctrl-C ends both."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        _check_port()
        _log_to(Path(settings.VAR) / "studio.log")
        with self.step("database"):
            call_command("migrate", verbosity=0)
        with self.step("demo workspace"):
            workspace, owner, channel = demo.seed()
            api_key = demo.api_key(workspace)
        told = demo.Demo(
            studio_url=settings.STUDIO_URL,
            signin_url="",
            workspace=workspace.slug,
            api_key=api_key,
            webchat_url=f"{settings.STUDIO_URL}/webchat/{channel.pk.hex}",
            agent_id=demo.agent(workspace) or "",
        )
        studio = server(settings.PORT, kind=Guest)
        with asyncio.Runner(loop_factory=studio.config.get_loop_factory()) as runner:
            runner.run(self._serve(studio, workspace, owner, told))

    async def _serve(self, studio: uvicorn.Server, workspace: Workspace, owner: Any, told: demo.Demo) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, studio)
        serving = asyncio.create_task(studio.serve())
        child = LocalAgent()
        try:
            with self.step("Studio"):
                while not studio.started:
                    await _unless_over(serving)
            with self.step("local agent"):
                if not told.agent_id or not child.paired():
                    code, _ = await sync_to_async(new_code)(workspace)
                    await child.pair(code)
                child.keep_running()
                told.agent_id = await _online(serving, child)
            told.signin_url = settings.STUDIO_URL + await sync_to_async(new_link)(owner)
            demo.write(told)
            self._welcome(told)
            await serving
        finally:
            studio.should_exit = True
            await child.stop()
            await asyncio.wait([serving])
            self.stdout.write("\n  Stopped. `make run` goes on from here.")

    def _stop(self, studio: uvicorn.Server) -> None:
        """The first signal asks, the second insists."""
        studio.force_exit, studio.should_exit = studio.should_exit, True

    def _welcome(self, told: demo.Demo) -> None:
        self.stdout.write("")
        self.stdout.write(f"  Sign in (once, within two minutes)   {told.signin_url}")
        self.stdout.write(f"  Chat as a visitor                    {told.webchat_url}")
        self.stdout.write(f"  For programs                         {demo.path()}")
        self.stdout.write("\n  Ctrl-C ends both. Your data stays.")
        self.stdout.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One line of progress: what is being done, and how long it took."""
        self.stdout.write(f"  {name:<20}", ending="")
        self.stdout.flush()
        began = time.monotonic()
        yield
        self.stdout.write(f" ready  {time.monotonic() - began:5.1f} s")
        self.stdout.flush()


class LocalAgent:
    """The agent as a second process, its home in var/agent; started again if it ends by itself."""

    def __init__(self) -> None:
        self.home = Path(settings.VAR) / "agent"
        self.log = self.home / "agent.log"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def paired(self) -> bool:
        return (self.home / "token").exists()

    async def pair(self, code: str) -> None:
        process = await self._start(
            "pair", code, "--studio", settings.STUDIO_URL, "--name", socket.gethostname()
        )
        if await process.wait() != 0:
            raise CommandError(f"the local agent could not be paired; see {self.log}")

    def keep_running(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        documents = Path(settings.BASE_DIR) / "local_agent" / "examples" / "shop"
        while True:
            self._process = await self._start("serve", "--documents", str(documents))
            await self._process.wait()
            await asyncio.sleep(1)

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "local_agent",
                *arguments,
                cwd=settings.BASE_DIR,
                env={**os.environ, "AIMATRIX_HOME": str(self.home)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()


async def _online(serving: asyncio.Task[None], child: LocalAgent) -> str:
    """The id of the agent, once it is connected here."""
    until = time.monotonic() + ONLINE_WITHIN
    while not (connected := application.runtime and application.runtime.dispatcher.connections):
        await _unless_over(serving)
        if time.monotonic() > until:
            raise CommandError(f"the local agent did not come online; see {child.log}")
    return next(iter(connected))


async def _unless_over(serving: asyncio.Task[None]) -> None:
    if serving.done():
        serving.result()
        raise CommandError("Studio did not start; the lines above say why")
    await asyncio.sleep(0.05)


def _log_to(path: Path) -> None:
    """The terminal is for people; what programs say goes to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    handler.setStream(path.open("a"))


def _check_port() -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.PORT))
        except OSError:
            raise CommandError(
                f"port {settings.PORT} is taken; try: make run PORT={settings.PORT + 1}"
            ) from None
