"""One connection of the tunnel, without I/O: what may be said now, by whom, and what it changes.

Both ends drive this same class. A driver gives it the text that arrived and the time (seconds of any steady
clock), acts on the frames that come out, and writes what `to_send` returns:

    for frame in session.receive(text, now):
        ...
    for text in session.to_send():
        await socket.send(text)

When `close` is set, the driver sends what is left and closes the socket with it. All that affects the state
machine lives in this file; the messages and credit that go with it are in load.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from . import frames
from .codes import Close, CloseCode, IllegalFrame, ProtocolError
from .frames import MAX_FRAME, Frame
from .load import Load
from .wire import decode, encode

HELLO_S: Final = 5.0  # a Studio waits this long for hello
WELCOME_S: Final = 15.0  # an agent this long for welcome, which may need a slow database
HEARTBEAT_S: Final = 15.0  # until welcome says otherwise
REASON_BYTES: Final = 120  # RFC 6455 §5.5: a close frame has room for 123


class Side(IntEnum):
    """Which end of the tunnel we are."""

    AGENT = 0
    STUDIO = 1


class Direction(IntEnum):
    """Which way a frame goes, as we see it."""

    IN = 0
    OUT = 1


class State(IntEnum):
    """Where a connection is in its life."""

    DIALED = 0  # agent: the socket is open
    HELLO_SENT = 1  # agent: waiting for welcome
    AUTHED = 2  # Studio: the token is good, waiting for hello
    GREETED = 3  # Studio: hello is here, the driver looks up the leases and sends welcome
    READY = 4
    PAUSED = 5  # the agent wants no new messages
    DRAINING = 6  # the Studio wants a second connection; no new messages here
    CLOSED = 7


_OPEN = (State.READY, State.PAUSED, State.DRAINING)
_AGENT, _STUDIO = Side.AGENT, Side.STUDIO
_IN, _OUT = Direction.IN, Direction.OUT

_AGENTS_WORDS: tuple[type[Frame], ...] = (
    frames.Recv,
    frames.Extend,
    frames.Partial,
    frames.Reply,
    frames.Done,
    frames.Credit,
)
_STUDIOS_WORDS: tuple[type[Frame], ...] = (frames.Extended, frames.Replied, frames.Finished, frames.Cancel)
_BOTHS_WORDS: tuple[type[Frame], ...] = (frames.Ping, frames.Pong)

# The one table. What is not in it may not be said.
TRANSITIONS: Final[dict[tuple[Side, State, Direction, type[Frame]], State]] = {
    (_AGENT, State.DIALED, _OUT, frames.Hello): State.HELLO_SENT,
    (_AGENT, State.HELLO_SENT, _IN, frames.Welcome): State.READY,
    (_AGENT, State.READY, _IN, frames.Msg): State.READY,
    (_AGENT, State.PAUSED, _IN, frames.Msg): State.PAUSED,  # it was on its way when we said pause
    (_STUDIO, State.AUTHED, _IN, frames.Hello): State.GREETED,
    (_STUDIO, State.GREETED, _OUT, frames.Welcome): State.READY,
    (_STUDIO, State.READY, _OUT, frames.Msg): State.READY,
}
for _side, _agents, _studios in ((_AGENT, _OUT, _IN), (_STUDIO, _IN, _OUT)):
    for _state in _OPEN:
        for _kind in _AGENTS_WORDS + _BOTHS_WORDS:
            TRANSITIONS[_side, _state, _agents, _kind] = _state
        for _kind in _STUDIOS_WORDS + _BOTHS_WORDS:
            TRANSITIONS[_side, _state, _studios, _kind] = _state
        # Draining ends only with the connection; pause and drain may cross on the way.
        _ends = _state is State.DRAINING
        TRANSITIONS[_side, _state, _agents, frames.Pause] = State.DRAINING if _ends else State.PAUSED
        TRANSITIONS[_side, _state, _agents, frames.Resume] = State.DRAINING if _ends else State.READY
        TRANSITIONS[_side, _state, _studios, frames.Drain] = State.DRAINING
    for _state in set(State) - {State.CLOSED}:
        TRANSITIONS[_side, _state, _IN, frames.Error] = _state
        TRANSITIONS[_side, _state, _OUT, frames.Error] = _state


class Session:
    """The state of one connection; a new connection needs a new Session."""

    __slots__ = (
        "_heard_at", "_heard_n", "_load", "_out", "_sent_n", "_spoke", "_spoke_at", "close", "hb_s", "max_frame",
        "send_limit", "side", "state",
    )  # fmt: skip

    def __init__(self, side: Side, *, now: float, max_frame: int = MAX_FRAME) -> None:
        self.side = side
        self.state = State.DIALED if side is Side.AGENT else State.AUTHED
        self.close: Close | None = None
        self.max_frame = max_frame  # bytes we accept
        self.send_limit = max_frame  # bytes the peer accepts
        self.hb_s = HEARTBEAT_S
        self._load = Load()
        self._out: list[str] = []
        self._sent_n = self._heard_n = 0
        self._heard_at = self._spoke_at = now
        self._spoke = False

    @property
    def inflight(self) -> dict[str, int]:
        """The unfinished messages at the agent, each with its lease."""
        return self._load.inflight

    @property
    def credit(self) -> int:
        """How many unfinished messages there may be: what the agent asked for, within Studio's limit."""
        return self._load.credit

    @property
    def free_credit(self) -> int:
        """How many more messages the agent may be given now."""
        return self._load.free

    @property
    def has_output(self) -> bool:
        """Whether `to_send` has something."""
        return bool(self._out)

    def may_send(self, kind: type[Frame]) -> bool:
        """Whether a frame of this type may be said in this state."""
        return (self.side, self.state, _OUT, kind) in TRANSITIONS

    def receive(self, text: str | bytes, now: float) -> list[Frame]:
        """The frames the driver has to act on. Never raises: a violation sets `close`, queues an error."""
        if self.state is State.CLOSED:
            return []
        self._heard_at = now
        try:
            frame = decode(text, self.max_frame)
            self._accept(frame)
        except ProtocolError as error:
            self._fail(error.code, error.message)
            return []
        if type(frame) is frames.Ping:
            self.send(frames.Pong(x=frame.x))
        return [] if type(frame) in _KEPT else [frame]

    def send(self, frame: Frame) -> None:
        """Queues the frame and counts it. Raises IllegalFrame when it may not be sent now or is too large."""
        state = TRANSITIONS.get((self.side, self.state, _OUT, type(frame)))
        if state is None:
            raise IllegalFrame(f"{type(frame).__name__} may not be sent in {self.state.name}")
        if type(frame) is frames.Msg and frame.d not in self.inflight and not self.free_credit:
            raise IllegalFrame("the agent has no free credit")
        self._queue(frame)
        self._move(state, frame)

    def to_send(self) -> list[str]:
        """What to write to the socket now, in this order. Each text is handed out once."""
        out = self._out
        if out:
            self._out = []
        return out

    def tick(self, now: float) -> None:
        """Call about once a second: pings after `hb_s` of our silence, closes after twice that of theirs."""
        if self.state is State.CLOSED:
            return
        if self._spoke:
            self._spoke_at, self._spoke = now, False
        if self.state is State.GREETED:
            self._heard_at = now  # the agent waits for us; its silence is right
        elif now - self._heard_at > self._patience():
            self._fail(CloseCode.HEARTBEAT, f"nothing heard for {self._patience():g} s")
        elif self.state in _OPEN and now - self._spoke_at >= self.hb_s:
            self.send(frames.Ping())

    def forget(self, d: str) -> None:
        """`d` was settled another way (flushed over HTTP, its lease ran out): its credit is free again."""
        self._load.forget(d)

    def shut(self, code: int, reason: str) -> None:
        """The driver ends the connection. The first reason stays."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.close = Close(int(code), _cut(reason))

    def _fail(self, code: int, reason: str) -> None:
        self._queue(frames.Error(code=int(code), msg=_cut(reason), ref=self._heard_n, fatal=True))
        self.shut(code, reason)

    def _patience(self) -> float:
        if self.state in _OPEN:
            return 2 * self.hb_s
        return HELLO_S if self.state is State.AUTHED else WELCOME_S

    def _accept(self, frame: Frame) -> None:
        if frame.n != self._heard_n + 1:
            raise ProtocolError(CloseCode.PROTOCOL, f"expected frame {self._heard_n + 1}, got {frame.n}")
        self._heard_n = frame.n
        if type(frame) is frames.Ignored:
            return
        state = TRANSITIONS.get((self.side, self.state, _IN, type(frame)))
        if state is None:
            name = type(frame).__name__.lower()
            raise ProtocolError(CloseCode.PROTOCOL, f"{name} is not allowed in {self.state.name}")
        self._move(state, frame)

    def _move(self, state: State, frame: Frame) -> None:
        self.state = state
        self._load.note(frame)
        if type(frame) is frames.Welcome:
            self.hb_s = frame.hb_s
            if self.side is Side.AGENT:
                self.send_limit = frame.max_frame

    def _queue(self, frame: Frame) -> None:
        frame.n = self._sent_n + 1
        text = encode(frame)
        if len(text) * 4 > self.send_limit and len(text.encode()) > self.send_limit:
            raise IllegalFrame(f"frame larger than {self.send_limit} bytes")
        self._sent_n = frame.n
        self._out.append(text)
        self._spoke = True


_KEPT: Final = (frames.Ping, frames.Pong, frames.Ignored)  # nothing in them for the driver


def _cut(reason: str) -> str:
    """Fits a close frame, and is ASCII, because it may quote the peer."""
    return reason.encode("ascii", "replace").decode()[:REASON_BYTES]
