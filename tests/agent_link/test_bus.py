"""Hints: quick where all is well, lost where it is not, and never the end of who gives or hears them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from agent_link.bus import BACKLOG, CHANNEL, Bus, Subscription
from deploy.services import temporary_services

HAS_REDIS = bool(os.environ.get("REDIS_URL"))
over_redis = pytest.mark.skipif(not HAS_REDIS, reason="the embedded form has no Redis")


@asynccontextmanager
async def started(node: str) -> AsyncIterator[Bus]:
    bus = Bus()
    await bus.start(node)
    try:
        yield bus
    finally:
        await bus.stop()


@pytest.fixture
async def bus(settings: Any) -> AsyncIterator[Bus]:
    settings.REDIS_URL = ""
    async with started("here") as bus:
        yield bus


async def heard(subscription: Subscription, say: Callable[[], Awaitable[Any]], tries: int = 100) -> Any:
    """The first hint that arrives while `say` is repeated: who joins, or joins again, needs a moment."""
    for _ in range(tries):
        await say()
        if hint := await subscription.next(0.1):
            return hint
    raise AssertionError("no hint was heard")


async def test_a_hint_reaches_who_listens_to_its_topic(bus: Bus) -> None:
    with bus.listen("lanes", "outbox") as subscription:
        bus.publish("lanes", {"lane": "1"})
        bus.publish("agents", {"agent": "2"})
        bus.publish("outbox", {})
        assert await subscription.next(1) == ("lanes", {"lane": "1"})
        assert await subscription.next(1) == ("outbox", {})
        assert await subscription.next(0.01) is None
    bus.publish("lanes", {"lane": "3"})
    assert await subscription.next(0.01) is None, "who left hears nothing"


async def test_a_hint_of_a_thread_wakes_who_waits_in_the_loop(bus: Bus) -> None:
    with bus.listen("lanes") as subscription:
        waiting = asyncio.create_task(subscription.next(10))
        await asyncio.to_thread(bus.publish, "lanes", {"lane": "1"})
        assert await waiting == ("lanes", {"lane": "1"})


async def test_who_is_slow_loses_the_oldest(bus: Bus) -> None:
    with bus.listen("lanes") as slow, bus.listen("lanes") as quick:
        for n in range(BACKLOG + 3):
            bus.publish("lanes", {"n": n})
            assert await quick.next(1) == ("lanes", {"n": n})
        kept = [(await slow.next(1) or ("", {"n": None}))[1]["n"] for _ in range(BACKLOG)]
        assert kept == list(range(3, BACKLOG + 3))
        assert await slow.next(0.01) is None


async def test_a_listener_that_fails_is_nobody_elses_trouble(bus: Bus, caplog: Any) -> None:
    def broken(topic: str, hint: dict[str, Any]) -> None:
        raise KeyError("lane")

    with bus.listen("lanes") as subscription:
        bus.add("lanes", broken)
        bus.publish("lanes", {})
        assert await subscription.next(1) == ("lanes", {})
    assert "KeyError" in caplog.text


async def test_without_a_loop_and_without_redis_a_hint_is_nothing(settings: Any) -> None:
    settings.REDIS_URL = ""
    Bus().publish("lanes", {"lane": "1"})


@over_redis
async def test_a_hint_reaches_the_other_processes_once() -> None:
    async with started("one") as one, started("two") as two:
        with one.listen("lanes") as at_one, two.listen("lanes") as at_two:

            async def say() -> None:
                one.publish("lanes", {"lane": "1"})

            assert await heard(at_two, say) == ("lanes", {"lane": "1"})
            while await at_one.next(0.1):
                pass
            await asyncio.to_thread(one.publish, "lanes", {"lane": "2"})
            assert await at_one.next(5) == ("lanes", {"lane": "2"})
            while (await at_two.next(5) or ("", {}))[1] != {"lane": "2"}:
                pass
            assert await at_one.next(0.1) is None, "who says it does not hear it again"


@over_redis
async def test_a_program_without_a_loop_is_heard() -> None:
    """A Celery worker, a management command."""
    async with started("one") as one:
        with one.listen("agents") as subscription:
            hint = await heard(
                subscription, lambda: asyncio.to_thread(Bus().publish, "agents", {"agent": "1"})
            )
            assert hint == ("agents", {"agent": "1"})


@over_redis
@pytest.mark.parametrize("nonsense", [b"\xff", b"{}", b'["node", [["lanes"]]]', b'["node", [["lanes", {}]]]'])
async def test_nonsense_is_passed_over(nonsense: bytes, settings: Any) -> None:
    """Another version, or another program: what is not understood must not end the listening."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        async with started("one") as one, started("two") as two:
            two.add("lanes", lambda topic, hint: print(hint["lane"]))
            with two.listen("outbox") as subscription:

                async def say() -> None:
                    client.publish(CHANNEL, nonsense)
                    one.publish("outbox", {})

                assert await heard(subscription, say) == ("outbox", {})
                assert await heard(subscription, say) == ("outbox", {})


@over_redis
async def test_redis_may_go_and_come_back(settings: Any) -> None:
    with temporary_services(postgres=False) as services:
        settings.REDIS_URL = services.redis_url
        async with started("one") as one, started("two") as two:
            with one.listen("lanes") as at_one, two.listen("lanes") as at_two:

                async def say() -> None:
                    one.publish("lanes", {})

                await heard(at_two, say)
                await asyncio.to_thread(services.kill_redis)
                while await at_one.next(0.05):
                    pass
                await say()
                assert await at_one.next(1) == ("lanes", {}), "in this process nothing changes"
                while await at_two.next(0.1):
                    pass
                await asyncio.to_thread(services.start_redis)
                assert await heard(at_two, say) == ("lanes", {})
