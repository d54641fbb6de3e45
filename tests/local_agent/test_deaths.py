"""A message that kills the agent is given up after a while; those that were beside it are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local_agent import protocol as p
from local_agent.config import Config, Home, Settings
from local_agent.desk import DEATHS

from .conftest import Command
from .tiny_studio import TinyStudio, until

DEADLY = """
from __future__ import annotations
import asyncio, os

async def handle(message, context):
    await asyncio.sleep(0.2)
    if message.text == "deadly":
        os._exit(9)
    await asyncio.sleep(0.2)
    return "survived"
"""
HARMLESS = ["a", "b", "y", "z"]  # two of them stand in the journal before it, two after


@pytest.fixture
def paired(home: Home, studio: TinyStudio, tmp_path: Path) -> Home:
    handler = tmp_path / "deadly.py"
    handler.write_text(DEADLY)
    settings = Settings(handler=str(handler), model="none", credits=8, max_backoff_s=0.2)
    home.save(Config(studio.url, "a1", "tester", settings=settings), studio.token)
    return home


async def test_a_deadly_message_takes_no_other_with_it(
    studio: TinyStudio, paired: Home, command: Command
) -> None:
    process = command.start("serve")
    await studio.online()
    for d in ["a", "b", "deadly", "y", "z"]:
        await studio.give(d, d, conv=d)
    lives = 1
    while "deadly" not in studio.finished:
        assert lives <= 2 * DEATHS + len(HARMLESS), "it goes on dying"
        await asyncio.to_thread(process.wait, 20)
        await until(lambda: not studio.tunnel.open)
        lives += 1
        process = command.start("serve")
        await studio.online(lives)
        await until(lambda: "deadly" in studio.finished or not studio.tunnel.open)
    assert studio.finished["deadly"].error == "AgentDied"
    for d in HARMLESS:
        assert (await studio.answer(d)).payload["text"] == "survived"
    assert [done for done in studio.all(p.Done) if done.d in HARMLESS] == []
