"""A web chat's page in a browser, as far as Studio sees it: one WebSocket, what was heard, what is on the screen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from websockets.sync.client import ClientConnection, connect

from local_agent.protocol.ids import new_id
from tests.processes import Studio

Frame = dict[str, Any]


class Page:
    """Welcomed already. `heard`: every frame since. With `token` it is the page of a visitor who comes back."""

    def __init__(self, studio: Studio, channel: str, token: str | None = None, after: int = 0) -> None:
        url = f"ws://127.0.0.1:{studio.port}/webchat/{channel}/socket"
        self._stack = ExitStack()
        self._socket: ClientConnection = self._stack.enter_context(
            connect(url, compression=None, proxy=None, close_timeout=2)
        )
        self.heard: list[Frame] = []
        self.send(t="hello", token=token, after=after)
        self.welcome = self._next(10)
        assert self.welcome["t"] == "welcome", self.welcome
        self.token: str = self.welcome["token"]

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, **frame: Any) -> None:
        self._socket.send(json.dumps(frame))

    def say(self, text: str, page_id: str = "") -> str:
        """Returns once it is stored, with the page's id of it."""
        page_id = page_id or new_id()
        self.send(t="message", id=page_id, text=text)
        self.hear(lambda frame: frame["t"] == "stored" and frame["id"] == page_id)
        return page_id

    def hear(self, wanted: Callable[[Frame], bool], within: float = 15.0) -> Frame:
        """The next frame that is `wanted`; AssertionError with what came instead."""
        until = time.monotonic() + within
        began = len(self.heard)
        while True:
            try:
                frame = self._next(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"not within {within} s; heard {self.heard[began:]}") from None
            self.heard.append(frame)
            if wanted(frame):
                return frame

    def answer(self, within: float = 15.0) -> Frame:
        """The next whole message that is not the visitor's own."""
        return self.hear(lambda frame: frame["t"] == "message" and frame["from"] == "out", within)

    def rest(self, seconds: float) -> list[Frame]:
        """What is heard in that time."""
        began = len(self.heard)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self.heard.append(self._next(left))
            except TimeoutError:
                break
        return self.heard[began:]

    def _next(self, within: float) -> Frame:
        frame: Frame = json.loads(self._socket.recv(within))
        return frame
