"""People in many chats who write to a bot, delivered the way Telegram does: again until 2xx, in order per chat."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tests.chaos.history import Said

AT_ONCE = 40  # connections, as Telegram makes by default
ANSWER_S = 10.0
PAUSE_S = 0.3  # the longest between two tries; Telegram's are longer, and a test would only wait


class Connection:
    """One kept open for a chat, and opened anew when it breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> int:
        """The status, or 0 where no answer came."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._post(request)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            self.close()
            return 0

    async def _post(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        if b"connection: close" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        if self._streams is not None:
            with suppress(OSError, RuntimeError):
                self._streams[1].close()
            self._streams = None


class Load:
    """`rate` messages a second in all; at least `messages`, and more while `unfinished` says so."""

    def __init__(self, url: str, secret: str, *, chats: int, rate: float) -> None:
        self.accepted: list[Said] = []
        self.tries: Counter[int] = Counter()
        self._url = urlsplit(url)
        self._secret = secret
        self._chats = chats
        self._rate = rate
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._turns: asyncio.Queue[int | None] = asyncio.Queue()
        self._update = 0

    async def run(self, messages: int, unfinished: Callable[[], bool] = lambda: False) -> None:
        """Returns when all were accepted. RuntimeError when `unfinished` goes on beyond four times as many."""
        people = [asyncio.create_task(self._person(chat)) for chat in range(1, self._chats + 1)]
        try:
            given = 0
            while given < messages or unfinished():
                if given >= 4 * messages:
                    raise RuntimeError(f"{given} messages were not enough for all faults to happen")
                given += 1
                self._turns.put_nowait(given)
                await asyncio.sleep(random.expovariate(self._rate))
            for _ in people:
                self._turns.put_nowait(None)
            await asyncio.gather(*people)
        finally:
            for person in people:
                person.cancel()
            await asyncio.gather(*people, return_exceptions=True)

    async def _person(self, chat: int) -> None:
        connection = Connection(self._url.hostname or "", self._url.port or 0)
        number = 0
        try:
            while await self._turns.get() is not None:
                number += 1
                await self._say(connection, Said(chat, number))
        finally:
            connection.close()

    async def _say(self, connection: Connection, what: Said) -> None:
        self._update += 1
        request = self._request(self._update, what)
        pause = 0.05
        while True:
            async with self._at_once:
                status = await connection.post(request)
            self.tries[status] += 1
            if 200 <= status < 300:
                self.accepted.append(what)
                return
            if 400 <= status < 500:
                raise AssertionError(f"Studio refused {what.text} with {status}")
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, PAUSE_S)

    def _request(self, update: int, what: Said) -> bytes:
        person = {"id": what.chat, "first_name": "Ada"}
        message = {
            "message_id": what.number,
            "date": 1764000000,
            "chat": person | {"type": "private"},
            "from": person | {"is_bot": False},
            "text": what.text,
        }
        body = json.dumps({"update_id": update, "message": message}).encode()
        head = [
            f"POST {self._url.path} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Content-Type: application/json",
            f"X-Telegram-Bot-Api-Secret-Token: {self._secret}",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body
