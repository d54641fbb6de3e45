"""`aimatrix serve`: puts the parts together, and runs until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .brain import Brain
from .client import Client
from .config import Home, Settings
from .context import Context
from .desk import Desk
from .documents import Documents
from .errors import AgentError
from .handlers import documents_of, load
from .journal import Journal
from .message import Message
from .model_servers import choose, find
from .models import ModelClient
from .runner import Handle, Outcome, Runner


def report(line: str) -> None:
    """Progress goes to stderr at once, so that a program that started us can follow it."""
    print(line, file=sys.stderr, flush=True)


async def serve(home: Home, settings: Settings) -> None:
    """Returns when stopped by a signal. Raises AgentError."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config, token = home.config(), home.token()
    config.settings = settings
    handle = load(Path(settings.handler)) if settings.handler else None
    journal = Journal(home.journal_file)
    try:
        async with _brain(settings, handle) as brain:
            runner = Runner(handle or answer, timeout_s=settings.timeout_s)
            client = Client(
                config,
                token,
                lambda say: Desk(journal, runner, brain, credits=settings.credits, say=say),
                report,
            )
            _stop_on_signals(client)
            await client.run()
    finally:
        journal.close()
    report("stopped")


def answer(message: Message, context: Context) -> Outcome:
    """What is done without a handler file."""
    return context.answer()


@asynccontextmanager
async def _brain(settings: Settings, handle: Handle | None) -> AsyncIterator[Brain]:
    documents = _documents(settings, handle)
    model = await _model(settings)
    report(f"brain: {describe(documents, model)}")
    try:
        yield Brain(documents, model)
    finally:
        if documents:
            documents.close()
        if model:
            await model.aclose()


def documents_folder(settings: Settings, handle: Handle | None) -> Path | None:
    """The folder to answer from: what the owner named, else what the handler names. Raises AgentError."""
    named = Path(settings.documents).expanduser() if settings.documents else None
    folder = named or (documents_of(handle, Path(settings.handler)) if handle else None)
    if folder is not None and not folder.is_dir():
        raise AgentError(
            "AMX-A30",
            f"There is no folder {folder}.",
            "Name a folder with .md or .txt files: --documents DIR",
        )
    return folder


def _documents(settings: Settings, handle: Handle | None) -> Documents | None:
    folder = documents_folder(settings, handle)
    return Documents(folder) if folder else None


async def _model(settings: Settings) -> ModelClient | None:
    if settings.model == "none":
        return None
    return choose(await find(settings.model_url), settings.model)


def describe(documents: Documents | None, model: ModelClient | None) -> str:
    passages = f"documents {len(documents)} passages" if documents else "no documents"
    return f"model {model.name} at {model.url}, {passages}" if model else passages


def _stop_on_signals(client: Client) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, client.stop)
        except NotImplementedError:  # Windows: only the main thread's handlers
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(client.stop))
