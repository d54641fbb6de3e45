"""A message whose lease ran out is given away again; whoever held it before cannot change what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import pytest

from local_agent.protocol import (
    Done,
    Extend,
    Extended,
    Finished,
    Frame,
    Held,
    Msg,
    Recv,
    Replied,
    Reply,
    Verdict,
    new_id,
)
from tests.benchmarks.sockets import Tunnel
from tests.flows.agents import paired, raw_tunnel
from tests.flows.conftest import MakeStudio
from tests.flows.pages import Page
from tests.processes import Database, Studio, answered

Kind = TypeVar("Kind", bound=Frame)


@pytest.fixture
def studio(make_studio: MakeStudio) -> Studio:
    """With leases of a second."""
    return make_studio(TUNNEL_LEASE="1", SWEEP_SECONDS="0.2")


def webchat(studio: Studio) -> str:
    with studio.api() as api:
        identity: str = answered(api.post("/channels", json={"kind": "webchat", "name": "Site"}), 201)["id"]
    return identity


async def told(tunnel: Tunnel, kind: type[Kind]) -> Kind:
    """The next frame of this kind."""
    async with asyncio.timeout(10):
        while True:
            for frame in await tunnel.hear():
                if isinstance(frame, kind):
                    return frame


def reply(msg: Msg, lease: int, text: str, **more: Any) -> Reply:
    given = {"r": new_id(), "d": msg.d, "lease": lease, "conv": msg.conv, "part": 0, "final": True}
    return Reply(**{**given, "payload": {"text": text}, **more})


async def test_who_lost_a_lease_is_told_so_and_changes_nothing(studio: Studio, database: Database) -> None:
    agent, token = await asyncio.to_thread(paired, studio)
    channel = await asyncio.to_thread(webchat, studio)
    with await asyncio.to_thread(Page, studio, channel) as ada:
        async with raw_tunnel(studio, agent, token) as tunnel:
            await asyncio.to_thread(ada.say, "hello")
            first = await told(tunnel, Msg)
            await tunnel.say(Recv(d=first.d, lease=first.lease))
            again = await told(tunnel, Msg)  # nothing was heard of it for a second
            assert (again.d, again.attempt, again.seq) == (first.d, first.attempt + 1, first.seq)
            assert again.lease > first.lease

            await tunnel.say(Extend(items=[Held(first.d, first.lease)]))
            assert (await told(tunnel, Extended)).items == [Verdict(first.d, first.lease, False)]
            await tunnel.say(Done(d=first.d, lease=first.lease, status="error", error="late"))
            assert (await told(tunnel, Finished)).status == "stale"
            await tunnel.say(reply(first, first.lease, "half of it", final=False))
            assert (await told(tunnel, Replied)).status == "stale"
            await tunnel.say(reply(first, again.lease + 7, "from the future"))
            assert (await told(tunnel, Replied)).status == "stale"

            answer = reply(again, again.lease, "the answer")
            await tunnel.say(answer)
            assert (await told(tunnel, Replied)).status == "stored"
            await tunnel.say(answer)
            assert (await told(tunnel, Replied)).status == "dup"
            await tunnel.say(reply(again, again.lease, "another answer"))
            assert (await told(tunnel, Replied)).status == "stale"
        assert (await asyncio.to_thread(ada.answer))["text"] == "the answer"
    assert database.rows("SELECT text FROM gateway_message WHERE direction = 'out'") == [("the answer",)]
    assert database.rows("SELECT state, error FROM agent_link_envelope") == [(3, "")]


async def test_a_whole_answer_that_comes_late_is_better_than_two(studio: Studio, database: Database) -> None:
    agent, token = await asyncio.to_thread(paired, studio)
    channel = await asyncio.to_thread(webchat, studio)
    with await asyncio.to_thread(Page, studio, channel) as ada:
        async with raw_tunnel(studio, agent, token) as tunnel:
            await asyncio.to_thread(ada.say, "hello")
            first = await told(tunnel, Msg)
            again = await told(tunnel, Msg)
            await tunnel.say(reply(first, first.lease, "slow, and whole"))
            assert (await told(tunnel, Replied)).status == "stored"
            await tunnel.say(reply(again, again.lease, "a second one"))
            assert (await told(tunnel, Replied)).status == "stale"
        assert (await asyncio.to_thread(ada.answer))["text"] == "slow, and whole"
    assert database.value("SELECT count(*) FROM gateway_message WHERE direction = 'out'") == 1
