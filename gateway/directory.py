"""Channels by id for those who cannot wait for the ORM: opened once, kept for seconds, dropped at a hint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_link.bus import Bus, Hint
from agent_link.group_commit import GroupCommit
from agent_link.sql import Cursor, Statement, is_id
from gateway.adapter import ChannelAdapter
from gateway.models import ChannelState
from gateway.registry import adapter, open_config

KEPT_S = 30.0
UNKNOWN_S = 2.0
MOST = 20_000

FOUND = Statement(
    """SELECT c.id, c.workspace_id, c.kind, c.name, c.sealed_config, c.state FROM gateway_channel c
       JOIN {rows} g ON g.channel = c.id""",
    channel="id",
)


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """A channel ready for use. `config` holds credentials: it has no place in a log."""

    id: str
    workspace: str
    kind: str
    name: str
    adapter: ChannelAdapter[Any]
    config: Any

    def __repr__(self) -> str:
        return f"<{self.kind} channel {self.id}>"


def find(cursor: Cursor, channels: Sequence[str]) -> list[OpenChannel | None]:
    """Operation: the channels with these ids, None for one that is unknown or disabled."""
    rows = {row[0]: row for row in cursor.run(FOUND, [{"channel": channel} for channel in set(channels)])}
    return [_open(rows[channel]) if channel in rows else None for channel in channels]


def _open(row: Sequence[Any]) -> OpenChannel | None:
    channel, workspace, kind, name, sealed, state = row
    if state == ChannelState.DISABLED:
        return None
    config = open_config(kind, workspace, channel, bytes(sealed))
    return OpenChannel(channel, workspace, kind, name, adapter(kind), config)


class Directory:
    def __init__(self, commit: GroupCommit, bus: Bus) -> None:
        self._commit = commit
        self._kept: dict[str, tuple[float, OpenChannel | None]] = {}
        self._hints = 0
        bus.add("channels", self._forget)

    async def get(self, channel: str) -> OpenChannel | None:
        """The channel, or None. Raises DatabaseAway."""
        kept = self._kept.get(channel)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        if not is_id(channel):
            return None
        hints = self._hints
        found = await self._commit.submit(find, channel)
        if self._hints != hints:  # something changed while we looked: what we saw may be the old
            return found  # type: ignore[no-any-return]  # an operation's result is not typed by the queue
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[channel] = (time.monotonic() + (KEPT_S if found else UNKNOWN_S), found)
        return found  # type: ignore[no-any-return]

    def _forget(self, topic: str, hint: Hint) -> None:
        self._hints += 1
        self._kept.pop(hint.get("channel", ""), None)
