"""Hints between those who know and those who wait: inside this process, and through Redis to the others.

A hint says that rows changed, or carries what is worth nothing later (a typing dot, a piece of an unfinished answer).
It may be lost: every receiver also looks at the rows by itself. Nothing here is ever the only place of anything.

    topics: `lanes` (work waits) · `outbox` (parts wait) · `channel:<id>` · `agent:<id>` · `conversation:<id>`
            `workspace:<id>`
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import redis
import redis.asyncio
from django.conf import settings

log = logging.getLogger(__name__)

CHANNEL = "studio:hints"
BACKLOG = 256

Hint = dict[str, Any]
Listener = Callable[[str, Hint], None]


class Subscription:
    """Hints of some topics, for one waiting coroutine. Where it is too slow the oldest are dropped."""

    __slots__ = ("_arrived", "_hints")

    def __init__(self) -> None:
        self._hints: deque[tuple[str, Hint]] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()

    def __call__(self, topic: str, hint: Hint) -> None:
        self._hints.append((topic, hint))
        self._arrived.set()

    async def next(self, patience: float) -> tuple[str, Hint] | None:
        """The next hint, or None after `patience` seconds without one."""
        if not self._hints:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), patience)
        return self._hints.popleft() if self._hints else None


class Bus:
    """`publish` from anywhere; `listen` in the event loop. `start` joins the other processes where Redis is set."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._outgoing: deque[tuple[str, Hint]] = deque(maxlen=10_000)
        self._outgoing_waits: asyncio.Event | None = None
        self._origin = ""

    @contextlib.contextmanager
    def listen(self, *topics: str) -> Iterator[Subscription]:
        subscription = Subscription()
        for topic in topics:
            self.add(topic, subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self.remove(topic, subscription)

    def add(self, topic: str, listener: Listener) -> None:
        self._listeners.setdefault(topic, set()).add(listener)

    def remove(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.get(topic, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(topic, None)

    def publish(self, topic: str, hint: Hint) -> None:
        """Tells whoever listens, here and elsewhere. Never waits, never fails; may be called from any thread."""
        if self._loop is None:
            _publish_once(topic, hint)
        elif threading.get_ident() == self._thread:
            self._publish(topic, hint)
        else:
            self._loop.call_soon_threadsafe(self._publish, topic, hint)

    def _publish(self, topic: str, hint: Hint) -> None:
        self._tell(topic, hint)
        if self._outgoing_waits is not None:
            self._outgoing.append((topic, hint))
            self._outgoing_waits.set()

    def _tell(self, topic: str, hint: Hint) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            try:
                listener(topic, hint)
            except (
                Exception
            ):  # a mistake of one who listens is no trouble of who publishes, nor of the others
                log.exception("a hint of %s was not taken", topic)

    async def start(self, node: str) -> None:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._origin = node
        if settings.REDIS_URL:
            self._outgoing_waits = asyncio.Event()
            self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._loop, self._outgoing_waits = [], None, None

    async def _receive(self) -> None:
        while True:
            # An idle subscriber is not a broken one: redis-py's default timeout of 5 s would say so.
            client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=None)
            try:
                pubsub = client.pubsub()
                await pubsub.subscribe(CHANNEL)
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        self._hear(message["data"])
            except (redis.RedisError, OSError) as error:
                log.warning("hints from other processes are missed: %s", error)
            finally:
                await client.aclose()
            await asyncio.sleep(1)

    def _hear(self, data: bytes) -> None:
        try:
            origin, hints = msgspec.json.decode(data, type=tuple[str, list[tuple[str, Hint]]])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("hints were not understood: %s", error)
            return
        if origin != self._origin:
            for topic, hint in hints:
                self._tell(topic, hint)

    async def _send(self) -> None:
        assert self._outgoing_waits is not None
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=5)
        try:
            while True:
                await self._outgoing_waits.wait()
                self._outgoing_waits.clear()
                batch = list(self._outgoing)
                self._outgoing.clear()
                try:
                    await client.publish(CHANNEL, msgspec.json.encode((self._origin, batch)))
                except (redis.RedisError, OSError) as error:
                    log.warning("%d hints to other processes are lost: %s", len(batch), error)
        finally:
            await client.aclose()


def _publish_once(topic: str, hint: Hint) -> None:
    """From a process without a loop of ours: a Celery worker, a management command."""
    if not settings.REDIS_URL:
        return
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            client.publish(CHANNEL, msgspec.json.encode(("", [(topic, hint)])))
    except redis.RedisError as error:
        log.warning("a hint is lost: %s", error)


bus = Bus()
