"""One connection to Studio: a WebSocket that carries what a Session wants to say, and hears what comes."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from . import __version__
from .protocol import MAX_FRAME, SUBPROTOCOL, Close, CloseCode, Session, Side, frames
from .protocol.frames import Frame
from .proxies import may_proxy
from .refusal import closed_for_good

OPEN_S: Final = 10.0
CLOSE_S: Final = 2.0


async def dial(url: str, token: str) -> ClientConnection:
    """An open socket that speaks our protocol. Raises what `connect` raises, and Refused."""
    socket = await connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {token}"},
        user_agent_header=f"aimatrix/{__version__} python/{platform.python_version()}",
        compression=None,  # texts are short; a deflate context per connection is not
        max_size=MAX_FRAME,
        ping_interval=None,  # the protocol has its own
        open_timeout=OPEN_S,
        close_timeout=CLOSE_S,
        proxy=True if may_proxy(url) else None,
    )
    if socket.subprotocol != SUBPROTOCOL:
        await socket.close()
        closed_for_good(Close(CloseCode.VERSION, "no common version"))
    return socket


class Link:
    """`on_frame` is called with each frame that Studio says, in order.

    `welcomed` becomes true with the welcome, or false when the connection ends without one; `ended` tells why
    it did.
    """

    def __init__(self, socket: ClientConnection, on_frame: Callable[[Link, Frame], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = Session(Side.AGENT, now=self._loop.time())
        self.opened_at = self._loop.time()
        self.retry_in_s = 0.0  # what Studio asked for with its last error
        self.welcomed: asyncio.Future[bool] = self._loop.create_future()
        self.ended: asyncio.Task[Close] = self._loop.create_task(self._run())
        self._socket = socket
        self._on_frame = on_frame
        self._wake = asyncio.Event()

    def say(self, frame: Frame) -> bool:
        """False where the protocol does not allow it now. Raises IllegalFrame for a frame too large."""
        if not self.session.may_send(type(frame)):
            return False
        self.session.send(frame)
        self._wake.set()
        return True

    def close(self, code: int, reason: str) -> None:
        self.session.shut(code, reason)
        self._wake.set()

    async def _run(self) -> Close:
        helpers = [asyncio.create_task(self._write()), asyncio.create_task(self._tick())]
        try:
            async for text in self._socket:
                self._hear(text)
        except ConnectionClosed:
            pass
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._socket.close()
            if not self.welcomed.done():
                self.welcomed.set_result(False)
        return self._reason()

    def _hear(self, text: str | bytes) -> None:
        for frame in self.session.receive(text, self._loop.time()):
            if isinstance(frame, frames.Error) and frame.retry_in_s:
                self.retry_in_s = frame.retry_in_s
            self._on_frame(self, frame)
            if isinstance(frame, frames.Welcome) and not self.welcomed.done():
                self.welcomed.set_result(True)
        if self.session.has_output or self.session.close:
            self._wake.set()

    async def _write(self) -> None:
        try:
            while not self.session.close or self.session.has_output:
                for text in self.session.to_send():
                    await self._socket.send(text)
                if not self.session.close:
                    await self._wake.wait()
                    self._wake.clear()
            await self._socket.close(*self.session.close)
        except ConnectionClosed:
            pass  # the reader sees it too, and says why

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.session.hb_s / 4))
            self.session.tick(self._loop.time())
            if self.session.has_output or self.session.close:
                self._wake.set()

    def _reason(self) -> Close:
        if self.session.close:
            return self.session.close
        code = self._socket.close_code or CloseCode.ABNORMAL
        close = Close(int(code), self._socket.close_reason or "the connection broke")
        self.session.shut(*close)
        return close
