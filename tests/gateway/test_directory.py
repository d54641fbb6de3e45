"""Channels kept open for seconds: quick to find, and never longer than somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_link.group_commit import DatabaseAway
from gateway.models import Channel, ChannelState
from gateway.registry import config_of
from tests.agent_link.tunnels import in_thread, writer_busy
from tests.gateway.doors import Door, opened
from tests.make import make_channel, make_workspace

pytestmark = pytest.mark.sqlite


@pytest.fixture
def channel(transactional_db: None, settings: Any) -> Channel:
    settings.REDIS_URL = ""
    return make_channel(make_workspace(), "telegram")


@pytest.fixture
async def door(channel: Channel) -> AsyncIterator[Door]:
    async with opened(queue=1) as door:
        yield door


async def disable(channel: Channel) -> None:
    channel.state = ChannelState.DISABLED
    await in_thread(channel.save)()


async def test_a_channel_comes_with_its_opened_configuration(door: Door, channel: Channel) -> None:
    found = await door.directory.get(channel.pk.hex)
    assert found is not None
    assert (found.id, found.workspace, found.kind) == (channel.pk.hex, channel.workspace_id.hex, "telegram")
    assert found.config == config_of(channel)
    assert found.config.bot_token not in repr(found), "it has no place in a log"


async def test_what_was_found_is_found_while_the_database_is_away(door: Door, channel: Channel) -> None:
    await door.directory.get(channel.pk.hex)
    async with writer_busy(door.commit):
        waiting = door.commit.submit(lambda cursor, rows: rows, None)
        assert await door.directory.get(channel.pk.hex)
        assert await door.directory.get("nonsense") is None, "that could be no id"
        with pytest.raises(DatabaseAway):
            await door.directory.get("0" * 32)
    await waiting


async def test_a_hint_makes_it_look_again(door: Door, channel: Channel) -> None:
    assert await door.directory.get(channel.pk.hex)
    await disable(channel)
    door.bus.publish("channels", {"channel": channel.pk.hex})
    assert await door.directory.get(channel.pk.hex) is None


async def test_a_hint_while_it_looks_is_not_lost(door: Door, channel: Channel) -> None:
    """What it sees then may be from before the change; it must not be kept."""
    async with writer_busy(door.commit):
        looking = asyncio.create_task(door.directory.get(channel.pk.hex))
        await asyncio.sleep(0)
        door.bus.publish("channels", {"channel": channel.pk.hex})
    await looking
    await disable(channel)
    assert await door.directory.get(channel.pk.hex) is None
