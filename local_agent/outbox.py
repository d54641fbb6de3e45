"""Replies and endings that Studio has not confirmed yet, and when each was said last.

They are in the journal already; this repeats them, under the message's newest lease, until Studio answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from .journal import Entry, Journal, State
from .protocol import IllegalFrame, frames
from .protocol.frames import Frame

log = logging.getLogger(__name__)

Say = Callable[[Frame], bool]  # False: there is no connection to say it on
Told = frames.Reply | frames.Done


@dataclass(slots=True)
class _Waiting:
    frame: Told
    said_at: float = float("-inf")


class Outbox:
    """Filled from the journal at the start. `clock` gives seconds of a steady clock."""

    def __init__(self, journal: Journal, say: Say, clock: Callable[[], float]) -> None:
        self.ack_s = 5.0  # how long Studio may take to confirm
        self._journal = journal
        self._say = say
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {reply.r: _Waiting(reply) for reply in journal.outbox()}
        for entry in journal.open_entries():
            if entry.state is State.REPLIED and entry.ending:
                self._waiting[entry.d] = _Waiting(ending_of(entry))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def replies(self) -> list[frames.Reply]:
        return [one.frame for one in self._waiting.values() if isinstance(one.frame, frames.Reply)]

    def put(self, key: str, frame: Told) -> None:
        """`key` is what Studio will confirm: a reply's `r`, an ending's `d`."""
        self._waiting[key] = _Waiting(frame)
        self._tell(self._waiting[key])

    def confirmed(self, key: str) -> bool:
        """Whether it was waiting here."""
        return self._waiting.pop(key, None) is not None

    def drop(self, d: str) -> None:
        """Nothing more is to be said of message `d`."""
        self._waiting = {key: one for key, one in self._waiting.items() if one.frame.d != d}

    def repeat(self, *, d: str | None = None, lease: int = 0) -> None:
        """Says all again; or only what is of message `d`, under its new lease."""
        for one in list(self._waiting.values()):
            if d is None or one.frame.d == d:
                one.frame.lease = max(one.frame.lease, lease)
                self._tell(one)

    def repeat_overdue(self) -> None:
        for one in list(self._waiting.values()):
            if self._clock() - one.said_at >= self.ack_s:
                self._tell(one)

    def _tell(self, one: _Waiting) -> None:
        try:
            if self._say(one.frame):
                one.said_at = self._clock()
        except IllegalFrame as error:
            # Larger than this Studio takes. It would never arrive, and would be tried for ever.
            log.error("message %s: the answer cannot be sent: %s", one.frame.d, error)
            self._give_up(one.frame)

    def _give_up(self, frame: Told) -> None:
        self.drop(frame.d)
        self._journal.forget(frame.d)
        self._say(frames.Done(d=frame.d, lease=frame.lease, status="error", error="AnswerTooLong"))


def ending_of(entry: Entry) -> frames.Done:
    """How a message without a final reply ended: the journal keeps it as "status" or "status reason"."""
    status, _, error = (entry.ending or "ok").partition(" ")
    told = cast(Literal["ok", "error", "reject"], status)
    return frames.Done(d=entry.d, lease=entry.lease, status=told, error=error or None)
