"""The webhook door in this process, on real rows, and providers that knock in every way there is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent_link.bus import Bus
from agent_link.group_commit import GroupCommit
from agent_link.refusals import Refusals
from gateway.directory import Directory
from gateway.models import Channel
from gateway.registry import config_of
from gateway.webhooks import Webhooks

SECRET = "x-telegram-bot-api-secret-token"
MAX_BODY = 2**20

Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Answer:
    """`read`: how many pieces of the body were taken before it was given."""

    status: int
    headers: dict[str, str]
    body: bytes
    read: int

    @property
    def told(self) -> tuple[int, dict[str, str], bytes]:
        """All that the caller can see."""
        return self.status, self.headers, self.body


class Door:
    def __init__(self, *, queue: int = 1_000, read_timeout: float = 10.0) -> None:
        self.commit = GroupCommit("test", queue)
        self.bus = Bus()
        self.refusals = Refusals(30)
        self.directory = Directory(self.commit, self.bus)
        self._app = Webhooks(
            self.commit, self.directory, self.bus, self.refusals, max_body=MAX_BODY, read_timeout=read_timeout
        )

    async def knock(
        self,
        path: str,
        body: bytes | Iterable[bytes] | Receive,
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        address: str = "192.0.2.1",
    ) -> Answer:
        """Calls the door. `body` may come in pieces, of which each is counted when it is taken."""
        pieces = [body] if isinstance(body, bytes) else body
        given = {"content-length": str(len(body))} if isinstance(body, bytes) else {}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in (given | (headers or {})).items()],
            "client": (address, 1),
        }
        coming = None if callable(pieces) else iter(pieces)
        sent: list[dict[str, Any]] = []
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1
            if coming is None:
                return await pieces()  # type: ignore[operator]  # it is a Receive, then
            piece = next(coming, None)
            return {
                "type": "http.request",
                "body": piece or b"",
                "more_body": piece is not None and given == {},
            }

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, content = sent
        answered = {k.decode(): v.decode() for k, v in start["headers"]}
        return Answer(start["status"], answered, content["body"], read)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Door]:
    door = Door(**options)
    await door.bus.start("here")
    door.commit.start()
    try:
        yield door
    finally:
        await door.commit.stop()
        await door.bus.stop()


class Telegram:
    """Telegram at the door, for one bot's channel."""

    def __init__(self, channel: Channel) -> None:
        self.id, self.workspace = channel.pk.hex, channel.workspace_id.hex
        self.path = f"/webhooks/telegram/{self.id}"
        self.secret: str = config_of(channel).webhook_secret
        self.signed = {SECRET: self.secret}

    async def deliver(self, door: Door, update: Any, **more: Any) -> Answer:
        body = update if isinstance(update, bytes) else json.dumps(update).encode()
        return await door.knock(self.path, body, **{"headers": self.signed, **more})


def text_update(text: Any = "hi", number: int = 7, sender: int = 42) -> dict[str, Any]:
    """As Telegram tells of a message in a private chat."""
    message = {
        "message_id": number,
        "date": 1_764_000_000,
        "chat": {"id": sender, "type": "private", "first_name": "Ada"},
        "from": {"id": sender, "is_bot": False, "first_name": "Ada"},
        "text": text,
    }
    return {"update_id": number, "message": message}
