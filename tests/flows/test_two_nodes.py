"""Two Studio processes, one PostgreSQL, one Redis: nobody needs to know where the other end is connected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.services import Services, temporary_services
from local_agent.protocol import CloseCode
from tests.flows.agents import paired, raw_tunnel
from tests.flows.conftest import ECHO
from tests.flows.pages import Page
from tests.processes import Agent, Database, Studio, answered, until
from tests.telegram_api import TOKEN, TelegramApi

SWEEP_S = 3.0
TRIES = 5


@dataclass
class Nodes:
    """Webhooks and visitors come to `front`; the agent is at `back`."""

    front: Studio
    back: Studio
    redis: Services


@pytest.fixture
def nodes(database: Database, telegram: TelegramApi, tmp_path: Path) -> Iterator[Nodes]:
    with temporary_services(postgres=False) as services:
        settings = {
            "REDIS_URL": services.redis_url,
            "TELEGRAM_API_URL": telegram.url,
            "SWEEP_SECONDS": str(SWEEP_S),
        }
        front = Studio(database, tmp_path / "front", **settings)
        with closing(front), closing(front.twin(tmp_path / "back")) as back:
            front.start()
            back.start()
            yield Nodes(front, back, services)


@pytest.fixture
def agent(nodes: Nodes, tmp_path: Path) -> Iterator[Agent]:
    """At the back."""
    with closing(Agent(tmp_path / "agent", ECHO)) as agent:
        agent.pair(nodes.back)
        agent.start()
        yield agent


@pytest.fixture
def webchat(nodes: Nodes) -> str:
    with nodes.front.api() as api:
        identity: str = answered(api.post("/channels", json={"kind": "webchat", "name": "Website"}), 201)[
            "id"
        ]
    return identity


@pytest.fixture
def bot(nodes: Nodes, telegram: TelegramApi) -> None:
    wanted = {"kind": "telegram", "name": "bot", "config": {"bot_token": TOKEN}, "connect": True}
    with nodes.front.api() as api:
        assert answered(api.post("/channels", json=wanted), 201)["state"] == "active"


@pytest.mark.usefixtures("agent")
def test_an_answer_crosses_both_ways_on_a_hint(nodes: Nodes, webchat: str) -> None:
    with Page(nodes.front, webchat) as ada:
        for number in range(TRIES):
            began = time.monotonic()
            ada.say(str(number))
            assert ada.answer()["text"] == f"echo {number}"
            assert time.monotonic() - began < SWEEP_S / 2
        assert {"working", "partial", "message"} & {frame["t"] for frame in ada.heard} >= {
            "working",
            "message",
        }


@pytest.mark.usefixtures("agent", "bot")
def test_a_webhook_at_one_node_is_answered_from_the_other_on_a_hint(
    nodes: Nodes, telegram: TelegramApi
) -> None:
    for number in range(TRIES):
        began = time.monotonic()
        telegram.deliver(telegram.text_update(42, str(number)))
        telegram.wait_for("sendMessage", number + 1)
        assert time.monotonic() - began < SWEEP_S / 2
    assert telegram.texts(42) == [f"echo {number}" for number in range(TRIES)]


@pytest.mark.usefixtures("agent", "bot")
def test_without_redis_an_answer_still_comes_within_a_sweep(
    nodes: Nodes, webchat: str, telegram: TelegramApi
) -> None:
    with Page(nodes.front, webchat) as ada:
        ada.say("before")
        ada.answer()
        nodes.redis.kill_redis()
        began = time.monotonic()
        telegram.deliver(telegram.text_update(42, "hi"))
        telegram.wait_for("sendMessage", 1)
        assert time.monotonic() - began < SWEEP_S + 1

        began = time.monotonic()
        ada.say("without")
        assert ada.answer()["text"] == "echo without"
        # To the agent by one sweep, and back on the visitor's screen by another.
        assert time.monotonic() - began < 2 * SWEEP_S + 1

        nodes.redis.start_redis()
        until(lambda: _quick(ada), patience=30)


def _quick(ada: Page) -> bool:
    began = time.monotonic()
    ada.say("after")
    ada.answer()
    return time.monotonic() - began < SWEEP_S / 2


async def test_an_agent_that_connects_elsewhere_leaves_its_old_connection(nodes: Nodes) -> None:
    agent, token = await asyncio.to_thread(paired, nodes.front)
    async with raw_tunnel(nodes.front, agent, token) as old, raw_tunnel(nodes.back, agent, token):
        began = time.monotonic()
        await old.socket.wait_closed()
        assert old.socket.close_code == CloseCode.REPLACED
        assert time.monotonic() - began < 1


async def test_a_revoked_agent_is_cut_off_at_whatever_node_it_is(nodes: Nodes) -> None:
    agent, token = await asyncio.to_thread(paired, nodes.front)
    async with raw_tunnel(nodes.back, agent, token) as tunnel:
        began = time.monotonic()
        await asyncio.to_thread(_revoke, nodes.front, agent)
        await tunnel.socket.wait_closed()
        assert tunnel.socket.close_code == CloseCode.REVOKED
        assert time.monotonic() - began < 1


def _revoke(studio: Studio, agent: str) -> None:
    with studio.api() as api:
        assert api.delete(f"/agents/{agent}").status_code == 204
