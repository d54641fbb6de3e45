"""What an agent holds unfinished, and how much more it may be given. Both ends keep this same account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from . import frames
from .frames import Frame


class Load:
    """`inflight` maps each unfinished message to its lease; `credit` is how many there may be."""

    __slots__ = ("_asked", "_ending", "credit", "inflight", "max_credits")

    def __init__(self) -> None:
        self.inflight: dict[str, int] = {}
        self.credit = 0
        self.max_credits = 0
        self._asked = 0  # the credit the agent asked for, before Studio's limit
        # Final replies (by r) and dones (by d) that wait for their answer: the (d, lease) they will end.
        self._ending: dict[str, tuple[str, int]] | None = None

    @property
    def free(self) -> int:
        return max(0, self.credit - len(self.inflight))

    def note(self, frame: Frame) -> None:
        """A legal frame went by, in either direction."""
        entry = _ENTRIES.get(type(frame))
        if entry is not None:
            entry(self, frame)

    def forget(self, d: str) -> None:
        self.inflight.pop(d, None)

    def _hello(self, frame: frames.Hello) -> None:
        self._asked = frame.credits
        self.inflight = {held.d: held.lease for held in frame.inflight}

    def _welcome(self, frame: frames.Welcome) -> None:
        keep = set(frame.keep)
        self.inflight = {d: lease for d, lease in self.inflight.items() if d in keep}
        self.max_credits = frame.max_credits
        self.credit = min(self._asked, self.max_credits)

    def _credit(self, frame: frames.Credit) -> None:
        self._asked = frame.set
        self.credit = min(self._asked, self.max_credits)

    def _msg(self, frame: frames.Msg) -> None:
        self.inflight[frame.d] = frame.lease

    def _extended(self, frame: frames.Extended) -> None:
        for item in frame.items:
            if not item.ok and self.inflight.get(item.d) == item.lease:
                del self.inflight[item.d]

    def _cancel(self, frame: frames.Cancel) -> None:
        if self.inflight.get(frame.d, frame.lease + 1) <= frame.lease:
            del self.inflight[frame.d]

    def _reply(self, frame: frames.Reply) -> None:
        if frame.final:
            self._ends(frame.r, frame.d, frame.lease)

    def _done(self, frame: frames.Done) -> None:
        self._ends(frame.d, frame.d, frame.lease)

    def _ends(self, key: str, d: str, lease: int) -> None:
        # Only for what is in flight, so that a peer cannot grow this without end.
        if d in self.inflight:
            self._ending = self._ending or {}
            self._ending[key] = (d, lease)

    def _replied(self, frame: frames.Replied) -> None:
        self._ended(frame.r, frame.status)

    def _finished(self, frame: frames.Finished) -> None:
        self._ended(frame.d, frame.status)

    def _ended(self, key: str, status: frames.Outcome) -> None:
        if self._ending is None or key not in self._ending:
            return
        d, lease = self._ending.pop(key)
        self._ending = self._ending or None
        # A stale answer under an old lease does not end a newer attempt.
        if status != "stale" or self.inflight.get(d) == lease:
            self.inflight.pop(d, None)


_ENTRIES: Final[dict[type[Frame], Callable[[Load, Any], None]]] = {
    frames.Hello: Load._hello,
    frames.Welcome: Load._welcome,
    frames.Credit: Load._credit,
    frames.Msg: Load._msg,
    frames.Extended: Load._extended,
    frames.Cancel: Load._cancel,
    frames.Reply: Load._reply,
    frames.Done: Load._done,
    frames.Replied: Load._replied,
    frames.Finished: Load._finished,
}
