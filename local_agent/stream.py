"""An answer while it is being written: pieces are gathered into about 20 frames a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .message import clean

EVERY_S: Final = 0.05
MOST: Final = 4000  # characters in one frame: fits the smallest that a Studio may allow

Emit = Callable[[int, str], bool]  # (where the text begins, text); False: not now


class Stream:
    """Collects the text of one answer. `emit` is called with what the viewer has not seen yet."""

    def __init__(self, emit: Emit) -> None:
        self.text = ""
        self._emit = emit
        self._seen = 0
        self._sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, piece: str) -> None:
        self.text += clean(piece)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._sent_at + EVERY_S - loop.time()
            self._timer = loop.call_later(max(0.0, wait), self._flush)

    def restart(self) -> None:
        """What was written is void; the next piece is the beginning."""
        self.text = ""
        self._seen = 0

    def show_again(self) -> None:
        """A new connection has not seen the beginning."""
        self._seen = 0

    def close(self) -> None:
        """No more pieces; the final reply carries the whole."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        self._sent_at = asyncio.get_running_loop().time()
        while self._seen < len(self.text):
            piece = self.text[self._seen : self._seen + MOST]
            if not self._emit(self._seen, piece):
                return
            self._seen += len(piece)
