"""An agent on a real socket: it answers, comes back, moves, and stops, and loses or doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from local_agent import protocol as p
from local_agent.config import Home
from local_agent.context import Context
from local_agent.errors import AgentError
from local_agent.journal import Journal
from local_agent.message import Message

from .tiny_studio import TinyStudio, until

Run = Callable[..., Any]


async def echo(message: Message, context: Context) -> str:
    return f"you said {message.text}"


class Gate:
    """A handler that waits to be let through, and counts."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.runs = 0
        self.stopped = 0

    async def __call__(self, message: Message, context: Context) -> str:
        self.runs += 1
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return "done"


async def test_a_message_is_acknowledged_answered_and_settled(
    studio: TinyStudio, agent: Run, home: Home
) -> None:
    async with agent(echo):
        await studio.online()
        await studio.give("d1", "hi", lease=7)
        reply = await studio.answer("d1")
        await until(lambda: not studio.tunnel.session.inflight)
    assert (reply.payload, reply.lease, reply.conv, reply.part) == ({"text": "you said hi"}, 7, "c1", 0)
    assert [(one.d, one.lease) for one in studio.all(p.Recv)] == [("d1", 7)]


async def test_hello_tells_who_we_are_and_what_we_can_take(studio: TinyStudio, agent: Run) -> None:
    async with agent(echo, credits=3):
        await studio.online()
    hello = studio.all(p.Hello)[0]
    assert (hello.agent_id, hello.session, hello.credits, hello.caps) == ("a1", None, 3, ["partial"])
    assert (hello.inflight, hello.unacked) == ([], [])


async def test_an_answer_that_is_written_slowly_is_shown_while_it_grows(
    studio: TinyStudio, agent: Run
) -> None:
    async def slowly(message: Message, context: Context) -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            yield word
            await asyncio.sleep(0.1)

    async with agent(slowly):
        await studio.online()
        await studio.give()
        reply = await studio.answer()
    partials = studio.all(p.Partial)
    assert len(partials) == 3
    assert "".join(one.text for one in partials) == reply.payload["text"] == "one two three"
    assert [one.at for one in partials] == [0, 4, 8]


async def test_a_handler_may_say_parts_before_its_answer(studio: TinyStudio, agent: Run) -> None:
    async def in_parts(message: Message, context: Context) -> str:
        await context.say("one moment")
        return "here it is"

    async with agent(in_parts):
        await studio.online()
        await studio.give()
        parts = await studio.answers()
    assert [(r.part, r.final, r.payload["text"]) for r in parts] == [
        (0, False, "one moment"),
        (1, True, "here it is"),
    ]


async def test_without_an_answer_the_message_is_done(studio: TinyStudio, agent: Run) -> None:
    async def nothing(message: Message, context: Context) -> None:
        return None

    async with agent(nothing):
        await studio.online()
        await studio.give()
        done = (await studio.heard(p.Done))[0]
    assert (done.status, done.error) == ("ok", None)
    assert not studio.stored


@pytest.mark.parametrize(
    ("attempt", "status", "retry_in_s"), [(1, "retry", 5.0), (2, "retry", 10.0), (3, "error", None)]
)
async def test_a_failing_handler_is_tried_again_then_given_up(
    studio: TinyStudio, agent: Run, attempt: int, status: str, retry_in_s: float | None
) -> None:
    async def broken(message: Message, context: Context) -> str:
        raise KeyError("the customer's secret")

    async with agent(broken):
        await studio.online()
        await studio.give(attempt=attempt)
        done = (await studio.heard(p.Done))[0]
    assert (done.status, done.retry_in_s, done.error) == (status, retry_in_s, "KeyError")


async def test_a_handler_that_takes_too_long_has_failed(studio: TinyStudio, agent: Run) -> None:
    async with agent(Gate(), timeout_s=0.05):
        await studio.online()
        await studio.give(attempt=3)
        done = (await studio.heard(p.Done))[0]
    assert (done.status, done.error) == ("error", "TimeoutError")


async def test_after_a_retry_the_next_attempt_does_not_repeat_the_parts(
    studio: TinyStudio, agent: Run
) -> None:
    async def fails_once(message: Message, context: Context) -> str:
        await context.say("one moment")
        if message.attempt == 1:
            raise OSError
        return "here it is"

    async with agent(fails_once):
        await studio.online()
        await studio.give(lease=1)
        await studio.heard(p.Done)
        await studio.give(lease=2, attempt=2)
        parts = await studio.answers()
    assert [r.payload["text"] for r in parts] == ["one moment", "here it is"]


async def test_an_envelope_of_an_unknown_kind_is_rejected(studio: TinyStudio, agent: Run) -> None:
    async with agent(echo):
        await studio.online()
        await studio.give(kind="job")
        done = (await studio.heard(p.Done))[0]
    assert (done.status, done.error) == ("reject", "unknown kind job")


async def test_more_time_is_asked_for_while_a_handler_works(studio: TinyStudio, agent: Run) -> None:
    studio.lease_s = 0.3
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give(lease=4)
        extends = await studio.heard(p.Extend, 3)
        gate.let.set()
        await studio.answer()
    assert all(extend.items == [p.Held("d1", 4)] for extend in extends)


async def test_a_lease_that_is_not_extended_stops_the_work(
    studio: TinyStudio, agent: Run, home: Home
) -> None:
    studio.lease_s = 0.3
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give()
        await until(lambda: gate.runs)
        studio.dropped.add("d1")
        await until(lambda: gate.stopped)
    assert not studio.stored
    assert left(home) == []


async def test_a_cancelled_message_is_not_answered(studio: TinyStudio, agent: Run) -> None:
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give()
        await until(lambda: gate.runs)
        await studio.tunnel.say(p.Cancel(d="d1", lease=1))
        await until(lambda: gate.stopped)
    assert not studio.stored


async def test_a_message_given_twice_is_worked_on_once_under_the_newest_lease(
    studio: TinyStudio, agent: Run
) -> None:
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give(lease=1)
        await until(lambda: gate.runs)
        await studio.give(lease=2, attempt=2)
        await studio.heard(p.Recv, 2)
        gate.let.set()
        reply = await studio.answer()
    assert (gate.runs, reply.lease) == (1, 2)


async def test_a_message_taken_away_and_given_again_is_worked_on_afresh(
    studio: TinyStudio, agent: Run
) -> None:
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give(lease=1)
        await until(lambda: gate.runs)
        await studio.tunnel.say(p.Cancel(d="d1", lease=1))
        await studio.give(lease=2)
        await until(lambda: gate.runs == 2)
        gate.let.set()
        reply = await studio.answer()
    assert (gate.stopped, reply.lease) == (1, 2)


async def test_a_repeat_of_an_answered_message_gets_the_same_reply_again(
    studio: TinyStudio, agent: Run
) -> None:
    studio.confirms = False
    async with agent(echo):
        await studio.online()
        await studio.give(lease=1)
        first = (await studio.heard(p.Reply))[0]
        studio.confirms = True
        await studio.give(lease=2, attempt=2)
        reply = await studio.answer()
    assert (reply.r, reply.lease, first.lease) == (first.r, 2, 1)
    assert len(studio.stored) == 1


async def test_a_repeat_of_a_settled_message_is_done(studio: TinyStudio, agent: Run) -> None:
    async with agent(echo):
        await studio.online()
        await studio.give(lease=1)
        await studio.answer()
        await studio.give(lease=2)
        done = (await studio.heard(p.Done))[0]
    assert (done.d, done.lease, done.status) == ("d1", 2, "ok")
    assert len(studio.stored) == 1


async def test_a_reply_that_is_not_confirmed_is_sent_again(studio: TinyStudio, agent: Run) -> None:
    studio.confirms, studio.ack_s = False, 0.1
    async with agent(echo):
        await studio.online()
        await studio.give()
        replies = await studio.heard(p.Reply, 3)
        studio.confirms = True
        await studio.answer()
    assert len({reply.r for reply in replies}) == 1


async def test_a_reply_that_was_known_already_settles_the_message(
    studio: TinyStudio, agent: Run, home: Home
) -> None:
    async with agent(echo):
        await studio.online()
        studio.ack_s = 0.1
        studio.confirms = False
        await studio.give()
        reply = (await studio.heard(p.Reply))[0]
        studio.stored[reply.r] = reply
        studio.confirms = True
        await studio.tunnel.close(1001)
        await studio.online(2)
        await until(lambda: ("socket", reply.r) in studio.offered)
    assert left(home) == []


async def test_a_stale_answer_is_forgotten_and_a_new_attempt_starts_afresh(
    studio: TinyStudio, agent: Run
) -> None:
    async with agent(echo):
        await studio.online()
        studio.stale.add("d1")
        await studio.give(lease=1)
        await until(lambda: studio.offered)
        studio.stale.clear()
        await until(lambda: not studio.tunnel.session.inflight)
        await studio.give(lease=2, attempt=2)
        reply = await studio.answer()
    assert reply.r != studio.offered[0][1]


async def test_it_comes_back_with_its_session_and_what_it_holds(studio: TinyStudio, agent: Run) -> None:
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give(lease=3)
        await until(lambda: gate.runs)
        await studio.tunnel.close(1001)
        await studio.online(2)
        gate.let.set()
        reply = await studio.answer()
    first, second = studio.all(p.Hello)
    assert second.session is not None
    assert (first.instance_id, second.inflight) == (second.instance_id, [p.Held("d1", 3)])
    assert (gate.runs, reply.lease) == (1, 3)


async def test_what_studio_keeps_though_it_is_over_here_is_done(studio: TinyStudio, agent: Run) -> None:
    async with agent(echo):
        await studio.online()
        await studio.give(lease=3)
        await studio.answer()
        await until(lambda: not studio.tunnel.session.inflight)
        studio.keeps = ["d1"]  # as when the answer and the new connection crossed
        await studio.tunnel.close(1001)
        await studio.online(2)
        done = (await studio.heard(p.Done))[0]
    assert (done.d, done.lease, done.status) == ("d1", 3, "ok")
    assert len(studio.stored) == 1


async def test_a_server_that_speaks_another_version_is_left(studio: TinyStudio, agent: Run) -> None:
    studio.subprotocol = None
    async with agent(echo) as running:
        with pytest.raises(AgentError) as caught:
            await running.task
    assert (caught.value.code, caught.value.exit_code) == ("AMX-A52", 3)


async def test_what_the_welcome_drops_is_abandoned(studio: TinyStudio, agent: Run, home: Home) -> None:
    gate = Gate()
    async with agent(gate):
        await studio.online()
        await studio.give()
        await until(lambda: gate.runs)
        studio.dropped.add("d1")
        await studio.tunnel.close(1001)
        await until(lambda: gate.stopped)
    assert not studio.stored
    assert left(home) == []


async def test_what_the_welcome_says_is_stored_is_not_sent_again(
    studio: TinyStudio, agent: Run, home: Home
) -> None:
    studio.confirms = False
    async with agent(echo):
        await studio.online()
        await studio.give()
        reply = (await studio.heard(p.Reply))[0]
        studio.acked.add(reply.r)
        await studio.tunnel.close(1001)
        await studio.online(2)
        await until(lambda: left(home, reading=False) == [])
    assert studio.all(p.Hello)[-1].unacked == [reply.r]
    assert len(studio.all(p.Reply)) == 1


async def test_replies_go_by_http_while_the_socket_is_away(
    studio: TinyStudio, agent: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_agent.client.AWAY_S", 0.1)
    gate = Gate()
    async with agent(gate) as running:
        tunnel = await studio.online()
        await studio.give()
        await until(lambda: gate.runs)
        monkeypatch.setattr("local_agent.client.dial", unreachable)
        await tunnel.close(1001)
        gate.let.set()
        reply = await studio.answer()
        await until(lambda: any("over HTTP" in line for line in running.reports))
    assert studio.offered == [("http", reply.r)]


async def test_a_drain_opens_the_second_connection_before_the_first_is_closed(
    studio: TinyStudio, agent: Run
) -> None:
    gate = Gate()
    async with agent(gate):
        first = await studio.online()
        await studio.give(lease=5)
        await until(lambda: gate.runs)
        await first.say(p.Drain(after_s=0.05))
        second = await studio.online(2)
        await until(lambda: not first.open)
        gate.let.set()
        await studio.answer()
    assert studio.events[:3] == ["open 0", "open 1", "closed 0"]
    assert [h.inflight for h in studio.all(p.Hello)] == [[], [p.Held("d1", 5)]]
    assert [type(f) for f in second.heard if isinstance(f, p.Reply)] == [p.Reply]
    assert (gate.runs, len(studio.tunnels)) == (1, 2)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_not_accepted_stops_it(studio: TinyStudio, agent: Run, status: int) -> None:
    studio.refuses = (
        status,
        {"title": "this agent token is not accepted any more", "next_step": "pair again"},
    )
    async with agent(echo) as running:
        with pytest.raises(AgentError) as caught:
            await running.task
    assert (caught.value.code, caught.value.exit_code, caught.value.next_step) == ("AMX-A50", 3, "pair again")
    assert "not accepted any more" in caught.value.message


@pytest.mark.parametrize(
    ("close", "code"), [(4501, "AMX-A50"), (4503, "AMX-A51"), (4506, "AMX-A52"), (4599, "AMX-A53")]
)
async def test_a_terminal_close_stops_it(studio: TinyStudio, agent: Run, close: int, code: str) -> None:
    async with agent(echo) as running:
        await (await studio.online()).close(close)
        with pytest.raises(AgentError) as caught:
            await running.task
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


@pytest.mark.parametrize("close", [1001, 4001, 4002, 4008, 4029, 4400, 4408])
async def test_any_other_close_brings_it_back(studio: TinyStudio, agent: Run, close: int) -> None:
    async with agent(echo) as running:
        await (await studio.online()).close(close, "later")
        await studio.online(2)
    assert any(line.startswith("reconnecting in") and "later" in line for line in running.reports)


async def test_a_studio_that_cannot_welcome_says_when_to_come_back(studio: TinyStudio, agent: Run) -> None:
    studio.away = True
    async with agent(echo) as running:
        await until(lambda: any("reconnecting in 3.0 s" in line for line in running.reports))
    assert any("the database is away" in line for line in running.reports)


async def test_a_studio_that_takes_no_partial_answers_gets_none(studio: TinyStudio, agent: Run) -> None:
    async def slowly(message: Message, context: Context) -> AsyncIterator[str]:
        yield "one "
        await asyncio.sleep(0.1)
        yield "two"

    studio.caps = []
    async with agent(slowly):
        await studio.online()
        await studio.give()
        await studio.answer()
    assert studio.all(p.Partial) == []


async def test_a_studio_that_is_full_is_asked_again_later(studio: TinyStudio, agent: Run) -> None:
    studio.refuses = (503, {})
    async with agent(echo) as running:
        await until(lambda: sum(line.startswith("reconnecting") for line in running.reports) >= 2)
        studio.refuses = None
        await studio.online()


async def test_a_silent_studio_is_left_and_dialed_again(studio: TinyStudio, agent: Run) -> None:
    studio.hb_s = 0.1
    async with agent(echo):
        first = await studio.online()
        first.deaf = True
        await studio.online(2)
        assert not first.open


async def test_when_stopped_it_finishes_what_it_has_and_closes(studio: TinyStudio, agent: Run) -> None:
    gate = Gate()
    async with agent(gate) as running:
        tunnel = await studio.online()
        await studio.give()
        await until(lambda: gate.runs)
        running.client.stop()
        await studio.heard(p.Pause)
        gate.let.set()
        await running.task
        await until(lambda: not tunnel.open)
    assert (await studio.answer()).payload["text"] == "done"


async def test_an_answer_too_large_for_this_studio_is_given_up_and_blocks_nothing(
    studio: TinyStudio, agent: Run
) -> None:
    async def long(message: Message, context: Context) -> str:
        return "x" * (20_000 if message.text == "long" else 5)

    studio.max_frame = 2**14
    async with agent(long):
        await studio.online()
        await studio.give("d1", "long")
        await studio.give("d2", "short")
        await studio.answer("d2")
        done = (await studio.heard(p.Done))[0]
    assert (done.d, done.status, done.error) == ("d1", "error", "AnswerTooLong")


async def test_no_more_handlers_run_at_once_than_it_has_credits(studio: TinyStudio, agent: Run) -> None:
    gate = Gate()
    async with agent(gate, credits=2):
        await studio.online()
        await studio.give("d1")
        await studio.give("d2", conv="c2")
        waiting = asyncio.create_task(studio.give("d3", conv="c3"))
        await until(lambda: gate.runs == 2)
        await asyncio.sleep(0.05)
        assert (gate.runs, waiting.done()) == (2, False)
        gate.let.set()
        await studio.answer("d3")


async def unreachable(url: str, token: str) -> Any:
    raise OSError("no route to host")


def left(home: Home, *, reading: bool = True) -> list[str]:
    """The messages that are not settled; while the agent runs the file is its own, so ask a copy."""
    path = home.journal_file if reading else copied(home)
    journal = Journal(path)
    try:
        return [entry.d for entry in journal.open_entries()]
    finally:
        journal.close()


def copied(home: Home) -> Any:
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(dir=home.path))
    for file in home.path.glob("journal.db*"):
        shutil.copy(file, folder / file.name)
    return folder / "journal.db"
