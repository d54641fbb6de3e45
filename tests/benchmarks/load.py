"""Load from this process: keep-alive HTTP connections, each with one request under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Poster(asyncio.Protocol):
    """Posts what `requests` gives, one after the other, until it gives None."""

    def __init__(self, request: Callable[[], bytes | None], done: asyncio.Future[None]) -> None:
        self._request, self._done = request, done
        self._buffer = b""
        self.statuses: dict[int, int] = {}
        self.latencies: list[float] = []
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = self._request()
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._buffer = body[length:]
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(time.perf_counter() - self._began)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the server hung up"))


async def post_all(port: int, request: Callable[[], bytes | None], connections: int) -> list[Poster]:
    """Runs `connections` posters against 127.0.0.1 until `request` gives None to each."""
    loop = asyncio.get_running_loop()
    posters = []
    waits = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        _, poster = await loop.create_connection(lambda d=done: Poster(request, d), "127.0.0.1", port)
        posters.append(poster)
        waits.append(done)
    await asyncio.gather(*waits)
    return posters


def telegram_post(channel: str, secret: str, update: int, chat: int) -> bytes:
    """A text as Telegram posts it, about 330 bytes."""
    body = (
        f'{{"update_id":{update},"message":{{"message_id":{update},"date":1764000000,'
        f'"chat":{{"id":{chat},"type":"private","first_name":"Ada","last_name":"Lovelace"}},'
        f'"from":{{"id":{chat},"is_bot":false,"first_name":"Ada","last_name":"Lovelace","language_code":"en"}},'
        f'"text":"Is the blue one in stock in size 42, and when could you send it? Order {update}"}}}}'
    ).encode()
    return (
        f"POST /webhooks/telegram/{channel} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
