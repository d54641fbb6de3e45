"""A visitor of the web chat, as a program: the page's half of the protocol in gateway/sockets.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from local_agent.protocol import new_id
from tests.processes import UP_S, Studio


class Visitor:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.welcome: dict[str, Any] = {}

    async def say(self, t: str, **frame: Any) -> None:
        await self._socket.send(json.dumps({"t": t, **frame}))

    async def hear(self, kind: str, **matching: Any) -> list[dict[str, Any]]:
        """All frames up to the first of `kind` with these values, that one last."""
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(UP_S):
            while True:
                heard.append(json.loads(await self._socket.recv()))
                if heard[-1]["t"] == kind and matching.items() <= heard[-1].items():
                    return heard

    async def ask(self, text: str, page_id: str = "") -> str:
        """Says it and waits until it is stored; the page's id of it."""
        page_id = page_id or new_id()
        await self.say("message", id=page_id, text=text)
        await self.hear("stored", id=page_id)
        return page_id


@asynccontextmanager
async def visitor(
    studio: Studio, channel: str, token: str | None = None, after: int = 0
) -> AsyncIterator[Visitor]:
    """A welcomed visitor; a new one, or the one of `token`, who knows all up to `after`."""
    url = f"{studio.url.replace('http', 'ws')}/webchat/{channel}/socket"
    async with connect(url, proxy=None) as socket:
        there = Visitor(socket)
        await there.say("hello", token=token, after=after)
        (there.welcome,) = await there.hear("welcome")
        yield there
