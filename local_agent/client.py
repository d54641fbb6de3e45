"""Keeps the agent connected to Studio: dials, comes back, moves when Studio drains, says good-bye.

One connection is `Link`; what the messages mean is `Desk`. This file decides only when there is a connection,
and which one is spoken on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException

from . import __version__
from .backoff import Backoff
from .config import Config
from .desk import Desk
from .flush import flush
from .link import Link, dial
from .outbox import Say
from .protocol import Close, frames, new_id
from .protocol.frames import Frame
from .refusal import closed_for_good, refused

log = logging.getLogger(__name__)

AWAY_S: Final = 5.0  # so long without a socket, and replies go by HTTP
LEAVE_S: Final = 10.0  # what is being worked on gets so long when we stop
HAND_SHAKE_S: Final = 2.0


class NotWelcomed(ConnectionError):
    """The connection ended before Studio had welcomed us. It may have said when to come back."""

    def __init__(self, reason: str, retry_in_s: float) -> None:
        super().__init__(reason)
        self.retry_in_s = retry_in_s


class Client:
    """`run` returns when `stop` was called, and raises Refused when Studio does not want us any more."""

    def __init__(
        self, config: Config, token: str, desk_for: Callable[[Say], Desk], report: Callable[[str], None]
    ) -> None:
        self._config = config
        self._token = token
        self._desk = desk_for(self.say)
        self._report = report
        self._instance = new_id()
        self._session: str | None = None
        self._link: Link | None = None
        self._move: asyncio.Task[Link | None] | None = None
        self._away_since = asyncio.get_running_loop().time()
        self._stopping = asyncio.Event()

    def say(self, frame: Frame) -> bool:
        """False while nobody hears it."""
        return self._link is not None and self._link.say(frame)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        work = [asyncio.create_task(self._stay_online()), asyncio.create_task(self._keep_time())]
        try:
            done, _ = await asyncio.wait([stop, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._leave()
        finally:
            tasks: list[asyncio.Task[Any]] = [stop, *work, *([self._move] if self._move else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.settle(0.0)

    # -- staying connected ----------------------------------------------------------------------------------

    async def _stay_online(self) -> None:
        backoff = Backoff(self._config.settings.max_backoff_s)
        while True:
            self._report(f"connecting to {self._config.studio}")
            try:
                link = await self._open()
            except (OSError, TimeoutError, WebSocketException) as error:
                at_least = _asked_to_wait(error)
                reason = str(error) or type(error).__name__
            else:
                close, at_least, lasted = await self._live(link)
                backoff.lasted(lasted)
                reason = close.reason or f"closed with {close.code}"
            if self._stopping.is_set():
                return
            wait = backoff.next(at_least)
            self._report(f"reconnecting in {wait:.1f} s ({reason})")
            await asyncio.sleep(wait)

    async def _open(self) -> Link:
        """A link that Studio has welcomed."""
        link = Link(await dial(self._config.tunnel_url, self._token), self._hear)
        link.say(self._hello())
        try:
            welcomed = await link.welcomed
        except asyncio.CancelledError:
            link.ended.cancel()
            raise
        if not welcomed:
            close = await link.ended
            closed_for_good(close)
            raise NotWelcomed(close.reason, link.retry_in_s)
        return link

    async def _live(self, link: Link) -> tuple[Close, float, float]:
        """Until there is no connection; a drain hands over to the next one without a gap."""
        self._report(f"online as {self._config.name}")
        while True:
            try:
                close = await link.ended
            finally:
                link.ended.cancel()
            move, self._move = self._move, None
            successor = await move if move else None
            if successor is None:
                self._link = None
                now = self._away_since = asyncio.get_running_loop().time()
                closed_for_good(close)
                return close, link.retry_in_s, now - link.opened_at
            link = successor

    async def _hand_over(self, old: Link, after_s: float) -> Link | None:
        """Opens the next connection, then closes this one: there is always one to speak on."""
        await asyncio.sleep(random.uniform(0, after_s))  # noqa: S311 - spreads the agents, keeps no secret
        try:
            link = await self._open()
        except (OSError, TimeoutError, WebSocketException) as error:
            log.warning("no second connection while the first one drains: %s", error)
            return None
        old.close(1000, "moved to another connection")
        self._report("moved to a new connection")
        return link

    def _hello(self) -> frames.Hello:
        return frames.Hello(
            agent_id=self._config.agent_id,
            instance_id=self._instance,
            session=self._session,
            sdk=f"python/{__version__}",
            caps=["partial"],
            credits=self._desk.credits,
            inflight=self._desk.held(),
            unacked=[reply.r for reply in self._desk.outbox.replies()],
        )

    async def _leave(self) -> None:
        """No new messages; what is at hand is finished, as far as time allows."""
        self.say(frames.Pause(reason="the agent stops"))
        await self._desk.settle(LEAVE_S if self._link else 0.0)
        if link := self._link:
            link.close(1000, "the agent stops")
            await asyncio.wait([link.ended], timeout=HAND_SHAKE_S)

    # -- what is heard --------------------------------------------------------------------------------------

    def _hear(self, link: Link, frame: Frame) -> None:
        desk = self._desk
        match frame:
            case frames.Msg():
                desk.msg(frame)
            case frames.Replied():
                desk.replied(frame.r, frame.status)
            case frames.Finished():
                desk.finished(frame)
            case frames.Extended():
                desk.extended(frame)
            case frames.Cancel():
                desk.cancel(frame)
            case frames.Welcome():
                self._session, self._link = frame.session, link
                desk.welcome(frame)
            case frames.Drain():
                if self._move is None:
                    self._move = asyncio.create_task(self._hand_over(link, frame.after_s))
            case frames.Error():
                self._report(f"Studio says: {frame.msg} ({frame.code})")

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        self._desk.prune()
        while True:
            await asyncio.sleep(self._desk.pace)
            if self._link:
                self._desk.tick(loop.time())
            elif self._desk.outbox and loop.time() - self._away_since > AWAY_S:
                await self._flush()

    async def _flush(self) -> None:
        try:
            verdicts = await flush(self._config.studio, self._token, self._desk.outbox.replies())
        except httpx.HTTPError as error:
            log.info("replies wait for Studio: %s", error)
            await asyncio.sleep(AWAY_S)
            return
        for verdict in verdicts:
            self._desk.replied(verdict.r, verdict.status)
        self._report(f"{len(verdicts)} replies delivered over HTTP")


def _asked_to_wait(error: Exception) -> float:
    """Seconds that Studio wants us to stay away. Raises Refused where it wants that for good."""
    if isinstance(error, InvalidStatus):
        return refused(error)
    return error.retry_in_s if isinstance(error, NotWelcomed) else 0.0
