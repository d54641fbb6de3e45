"""Server-sent events: hints become names of parts of the page, gathered, and only of one's own workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from agent_link.bus import bus
from gateway import live
from gateway.models import Channel
from tests import make


@pytest_asyncio.fixture
async def one_process(settings: Settings) -> AsyncIterator[None]:
    settings.REDIS_URL = ""
    await bus.start("test")
    yield
    await bus.stop()


def stream(topic: str, events: dict[str, str]) -> AsyncIterator[str]:
    return live._stream(topic, events, 0.01)


async def test_it_begins_with_all_that_may_have_changed_meanwhile(one_process: None) -> None:
    events = stream("workspace:7", live.WORKSPACE_EVENTS)
    assert [await anext(events) for _ in range(3)] == [
        "retry: 2000\n\n",
        "event: conversations\ndata: {}\n\n",
        "event: agents\ndata: {}\n\n",
    ]


async def test_a_burst_is_told_once(one_process: None) -> None:
    events = stream("workspace:7", live.WORKSPACE_EVENTS)
    for _ in range(3):
        await anext(events)
    for _ in range(50):
        bus.publish("workspace:7", {"t": "message", "conversation": "1"})
    bus.publish("workspace:8", {"t": "agents"})
    bus.publish("workspace:7", {"t": "something else"})
    assert await anext(events) == "event: conversations\ndata: {}\n\n"
    bus.publish("workspace:7", {"t": "agents"})
    assert await anext(events) == "event: agents\ndata: {}\n\n"


async def test_pieces_of_an_answer_all_come_in_order(one_process: None) -> None:
    events = stream("conversation:7", live.CONVERSATION_EVENTS)
    for _ in range(2):
        await anext(events)
    bus.publish("conversation:7", {"t": "working", "d": "1"})
    bus.publish("conversation:7", {"t": "partial", "d": "1", "at": 0, "text": "Hel"})
    bus.publish("conversation:7", {"t": "partial", "d": "1", "at": 3, "text": "lo\n"})
    bus.publish("conversation:7", {"t": "message"})
    assert [await anext(events) for _ in range(4)] == [
        'event: working\ndata: {"d": "1"}\n\n',
        'event: partial\ndata: {"d": "1", "at": 0, "text": "Hel"}\n\n',
        'event: partial\ndata: {"d": "1", "at": 3, "text": "lo\\n"}\n\n',
        "event: thread\ndata: {}\n\n",
    ]


async def test_silence_is_broken_by_a_heartbeat(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT", 0.02)
    events = stream("workspace:7", live.WORKSPACE_EVENTS)
    for _ in range(3):
        await anext(events)
    assert await anext(events) == ": beat\n\n"


async def test_it_ends_so_that_access_is_checked_again(
    one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LIFETIME", 0.0)
    assert len([event async for event in stream("workspace:7", live.WORKSPACE_EVENTS)]) == 3


async def test_a_page_that_goes_away_leaves_no_listener(one_process: None) -> None:
    events = stream("workspace:7", live.WORKSPACE_EVENTS)
    await anext(events)
    assert "workspace:7" in bus._listeners
    await events.aclose()  # type: ignore[attr-defined]
    assert "workspace:7" not in bus._listeners


def test_it_is_not_kept_back_by_a_proxy_or_a_cache(as_bob: Client, channel: Channel) -> None:
    conversation = make.make_conversation(channel)
    for query in ({}, {"conversation": conversation.pk.hex}):
        answer = as_bob.get(reverse("live"), query)
        assert answer["Content-Type"] == "text/event-stream"
        assert answer["X-Accel-Buffering"] == "no"
        assert "no-store" in answer["Cache-Control"]


def test_it_asks_strangers_to_sign_in(client: Client) -> None:
    assert client.get(reverse("live")).status_code == 302
