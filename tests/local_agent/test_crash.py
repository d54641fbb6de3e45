"""`aimatrix serve` as its own process, killed while it thinks: one answer, exactly, under one id."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from local_agent import protocol as p
from local_agent.config import Config, Home, Settings

from .conftest import Command
from .tiny_studio import TinyStudio, until

SLOW = """
from __future__ import annotations
import asyncio, os, pathlib

async def handle(message, context):
    runs = pathlib.Path(os.environ["RUNS"])
    with runs.open("a") as file:
        file.write(message.id + "\\n")
    await context.say("one moment")
    while not pathlib.Path(os.environ["LET"]).exists():
        await asyncio.sleep(0.01)
    return "thought about " + message.text
"""


@pytest.fixture
def paired(home: Home, studio: TinyStudio, tmp_path: Path) -> Home:
    handler = tmp_path / "slow.py"
    handler.write_text(SLOW)
    settings = Settings(handler=str(handler), model="none", max_backoff_s=0.2)
    home.save(Config(studio.url, "a1", "tester", settings=settings), studio.token)
    return home


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def let(environment: dict[str, str]) -> None:
    """The handlers may finish now."""
    Path(environment["LET"]).touch()


def began(runs: Path) -> list[str]:
    """The messages for which a handler began, each time."""
    return runs.read_text().split()


@pytest.fixture
def environment(tmp_path: Path, runs: Path) -> dict[str, str]:
    return {"RUNS": str(runs), "LET": str(tmp_path / "let")}


async def test_killed_while_it_thinks_it_answers_once_after_the_restart(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str], runs: Path
) -> None:
    first = command.start("serve", **environment)
    await studio.online()
    await studio.give("d1", "this", lease=6)
    await studio.heard(p.Reply)
    first.send_signal(signal.SIGKILL)
    await until(lambda: not studio.tunnel.open)
    let(environment)
    command.start("serve", **environment)
    await studio.online(2)
    parts = await studio.answers("d1")
    hello = studio.all(p.Hello)[-1]
    assert hello.inflight == [p.Held("d1", 6)]
    assert hello.instance_id != studio.all(p.Hello)[0].instance_id
    assert [(r.part, r.payload["text"]) for r in parts] == [(0, "one moment"), (1, "thought about this")]
    assert began(runs) == ["d1", "d1"]


async def test_killed_before_the_reply_was_confirmed_it_sends_the_same_one(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str], runs: Path
) -> None:
    let(environment)
    studio.confirms = False
    first = command.start("serve", **environment)
    await studio.online()
    await studio.give("d1", lease=6)
    before = [reply.r for reply in await studio.heard(p.Reply, 2)]
    first.send_signal(signal.SIGKILL)
    await until(lambda: not studio.tunnel.open)
    studio.confirms = True
    command.start("serve", **environment)
    parts = await studio.answers("d1")
    assert [reply.r for reply in parts] == before
    assert sorted(studio.all(p.Hello)[-1].unacked) == sorted(before)
    assert began(runs) == ["d1"]


async def test_killed_again_and_again_no_message_is_lost_or_answered_twice(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str]
) -> None:
    let(environment)
    messages = [f"m{number}" for number in range(12)]
    for round_, d in enumerate(messages):
        process = command.start("serve", **environment)
        await studio.online(round_ + 1)
        await studio.give(d, d, conv=d, lease=round_ + 1)
        await asyncio.sleep(0.002 * round_)  # at another moment each time
        process.send_signal(signal.SIGKILL)
        await until(lambda: not studio.tunnel.open)
    command.start("serve", **environment)
    await studio.online(len(messages) + 1)
    held = {one.d for one in studio.all(p.Hello)[-1].inflight}
    answered = {reply.d for reply in studio.stored.values() if reply.final}
    for d in set(messages) - held - answered:
        await studio.give(d, d, conv=d, lease=100)  # its lease has run out; it was killed before it had it
    for d in messages:
        await studio.answer(d)
    finals = [reply.d for reply in studio.stored.values() if reply.final]
    assert sorted(finals) == sorted(messages)


async def test_sigterm_finishes_the_work_and_ends_with_zero(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str]
) -> None:
    process = command.start("serve", **environment)
    await studio.online()
    await studio.give()
    await studio.heard(p.Reply)
    process.send_signal(signal.SIGTERM)
    await studio.heard(p.Pause)
    let(environment)
    code = await asyncio.to_thread(process.wait, 10)
    errors = process.stderr.read() if process.stderr else ""
    assert (code, studio.stored != {}) == (0, True)
    assert "online as tester" in errors
    assert errors.endswith("online as tester\nstopped\n")


async def test_a_refused_token_ends_the_command_with_three_and_says_what_to_do(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str]
) -> None:
    studio.refuses = (401, {"title": "this agent token is not accepted any more", "next_step": "Pair again."})
    process = command.start("serve", **environment)
    code = await asyncio.to_thread(process.wait, 15)
    errors = process.stderr.read() if process.stderr else ""
    assert code == 3
    assert "this agent token is not accepted any more. (AMX-A50)\nPair again." in errors


async def test_a_second_serve_on_the_same_folder_is_refused(
    studio: TinyStudio, paired: Home, command: Command, environment: dict[str, str]
) -> None:
    command.start("serve", **environment)
    await studio.online()
    second = command.start("serve", **environment)
    code = await asyncio.to_thread(second.wait, 15)
    assert code == 1
    assert "AMX-A40" in (second.stderr.read() if second.stderr else "")
