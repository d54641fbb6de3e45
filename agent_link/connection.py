"""One agent's tunnel, seen from Studio: drives the protocol's Session, turns frames into operations.

No task is kept per connection beyond the one that reads; an idle tunnel is this object, its Session and its socket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_link import answers, lanes
from agent_link.answers import Answer, Ending
from agent_link.crash import crash_point
from agent_link.group_commit import DatabaseAway
from agent_link.lanes import Claim
from agent_link.roster import KnownAgent
from agent_link.sql import is_id
from local_agent.protocol import frames
from local_agent.protocol.codes import CloseCode, IllegalFrame
from local_agent.protocol.frames import Frame
from local_agent.protocol.ids import new_id
from local_agent.protocol.session import Session, Side, State
from local_agent.protocol.wire import encoded

if TYPE_CHECKING:
    from agent_link.dispatch import Dispatcher

log = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]

CAPS = ["partial"]


@dataclass(slots=True)
class Out:
    """A message at the agent: where it belongs, and when the agent had it (seconds since 1970)."""

    lane: str
    token: int
    kind: str
    acknowledged_at: float | None = None


class Connection:
    """Made for an agent whose token is known; `frame` is called with each text that arrives."""

    __slots__ = ("_dispatcher", "_flushing", "_send", "agent", "id", "out", "reserved", "session")

    def __init__(self, agent: KnownAgent, dispatcher: Dispatcher, send: Send) -> None:
        self.id = new_id()
        self.agent = agent
        self.session = Session(Side.STUDIO, now=time.monotonic(), max_frame=frames.MAX_FRAME)
        self.out: dict[str, Out] = {}
        self.reserved = 0  # credit promised to claims that are being committed
        self._dispatcher = dispatcher
        self._send = send
        self._flushing = False

    @property
    def free(self) -> int:
        """How many more messages it may be given now."""
        if self.session.state is not State.READY:
            return 0
        return max(0, self.session.free_credit - self.reserved)

    @property
    def ready(self) -> bool:
        """Whether a message may be pushed now; credit may have gone since it was promised."""
        return self.session.may_send(frames.Msg) and self.session.free_credit > 0

    async def frame(self, text: str) -> None:
        for frame in self.session.receive(text, time.monotonic()):
            await self._act(frame)
        await self.flush()

    async def _act(self, frame: Frame) -> None:
        match frame:
            case frames.Reply():
                self._reply(frame)
            case frames.Partial():
                self._partial(frame)
            case frames.Recv():
                self._received(frame)
            case frames.Extend():
                self._extend(frame)
            case frames.Done():
                self._done(frame)
            case frames.Hello():
                await self._hello(frame)
            case frames.Credit() | frames.Resume():
                self._dispatcher.wake()
            case frames.Error():
                log.warning("agent %s reports %d: %s", self.agent.id, frame.code, frame.msg)

    # -- greeting -------------------------------------------------------------------------------------------------

    async def _hello(self, hello: frames.Hello) -> None:
        """Leases that the agent still holds are adopted, replies that are stored already are told."""
        settings = self._dispatcher.settings
        try:
            held = await self._adopt(hello)
            unacked = [r for r in hello.unacked if is_id(r)]
            stored = await self._all(answers.known, unacked)
            resumed = hello.session is not None and hello.session == self.agent.session
            session = hello.session if resumed and hello.session else new_id()
            await self._dispatcher.arrive(self, session, hello.sdk)
        except DatabaseAway as error:
            self.session.send(
                frames.Error(code=CloseCode.GOING_AWAY, msg=error.code, fatal=True, retry_in_s=2.0)
            )
            self.session.shut(CloseCode.GOING_AWAY, "the database is away")
            return
        self.session.send(
            frames.Welcome(
                session=session,
                conn_id=self.id,
                node=self._dispatcher.node,
                epoch=1,
                hb_s=settings.TUNNEL_HEARTBEAT,
                lease_s=settings.TUNNEL_LEASE,
                ack_s=settings.TUNNEL_ACK,
                max_frame=frames.MAX_FRAME,
                max_credits=settings.TUNNEL_MAX_CREDITS,
                caps=[cap for cap in hello.caps if cap in CAPS],
                resumed=resumed,
                keep=list(held),
                drop=[h.d for h in hello.inflight if h.d not in held],
                acked=[r for r, known in zip(unacked, stored, strict=True) if known],
            )
        )
        self._dispatcher.wake()

    async def _adopt(self, hello: frames.Hello) -> dict[str, Out]:
        rows = [
            {
                "envelope": held.d,
                "token": held.lease,
                "agent": self.agent.id,
                "connection": self.id,
                "lease_s": self._dispatcher.settings.TUNNEL_LEASE,
            }
            for held in hello.inflight
            if is_id(held.d)
        ]
        for kept in await self._all(lanes.adopt, rows):
            if kept is not None:
                envelope, lane, token, kind = kept
                self.out[envelope] = Out(lane, token, kind)
        return self.out

    async def _all(self, operation: Any, rows: list[Any]) -> list[Any]:
        return list(await asyncio.gather(*[self._dispatcher.commit.submit(operation, row) for row in rows]))

    # -- handing out ----------------------------------------------------------------------------------------------

    def push(self, claim: Claim) -> bool:
        """Queues a claimed envelope; the caller flushes. False for one that no frame can hold."""
        msg = frames.Msg(
            d=claim.envelope,
            conv=claim.lane,
            seq=claim.seq,
            attempt=claim.attempt,
            lease=claim.token,
            lease_s=self._dispatcher.settings.TUNNEL_LEASE,
            kind=claim.kind,
            payload=encoded(claim.payload),
            ts=time.time(),
        )
        try:
            self.session.send(msg)
        except IllegalFrame as error:
            log.error("envelope %s cannot be handed out: %s", claim.envelope, error)
            return False
        self.out[claim.envelope] = Out(claim.lane, claim.token, claim.kind)
        return True

    def _received(self, recv: frames.Recv) -> None:
        crash_point("C7")
        held = self.out.get(recv.d)
        if held is not None and held.token == recv.lease:
            held.acknowledged_at = time.time()  # worth no write of its own; it is stored with the answer
            self._dispatcher.tell(held, {"t": "working", "d": recv.d})

    def _partial(self, partial: frames.Partial) -> None:
        held = self.out.get(partial.d)
        if held is not None and held.token == partial.lease:
            self._dispatcher.tell(
                held, {"t": "partial", "d": partial.d, "at": partial.at, "text": partial.text}
            )

    # -- what comes back ------------------------------------------------------------------------------------------

    def _reply(self, reply: frames.Reply) -> None:
        crash_point("C8")
        if not (is_id(reply.r) and is_id(reply.d)):
            self._replied(reply, "stale")
            return
        answer = Answer(
            reply.r,
            reply.d,
            reply.lease,
            reply.part,
            reply.final,
            reply.payload,
            self.agent.workspace,
            self.agent.id,
            time.time(),
            self._acknowledged_at(reply.d),
        )
        self._submit(answers.accept, answer, lambda verdict: self._accepted(reply, verdict))

    def _accepted(self, reply: frames.Reply, verdict: answers.Verdict) -> None:
        crash_point("C9")
        self._replied(reply, verdict)
        held = self.out.get(reply.d)
        if held is not None and verdict == "stored":
            self._dispatcher.answered(self.agent.workspace, held.lane, final=reply.final)
        if reply.final and held is not None and reply.lease >= held.token:
            del self.out[reply.d]
            self._dispatcher.wake()

    def _replied(self, reply: frames.Reply, verdict: answers.Verdict) -> None:
        self._say(frames.Replied(r=reply.r, d=reply.d, status=verdict))

    def _done(self, done: frames.Done) -> None:
        if not is_id(done.d):
            self._say(frames.Finished(d=done.d, status="stale"))
            return
        ending = Ending(
            done.d,
            done.lease,
            self.agent.workspace,
            done.status,
            done.retry_in_s or 0.0,
            done.error or done.status,
            self._acknowledged_at(done.d),
        )
        self._submit(answers.end, ending, lambda ok: self._ended(done, ok))

    def _ended(self, done: frames.Done, ok: bool) -> None:
        self._say(frames.Finished(d=done.d, status="stored" if ok else "stale"))
        held = self.out.get(done.d)
        if held is not None and done.lease >= held.token:
            del self.out[done.d]
            self._dispatcher.ended(self.agent.workspace, held.lane)

    def _acknowledged_at(self, envelope: str) -> float | None:
        held = self.out.get(envelope)
        return held.acknowledged_at if held is not None else None

    def _extend(self, extend: frames.Extend) -> None:
        rows = [
            (
                item,
                {"lane": held.lane, "token": item.lease, "lease_s": self._dispatcher.settings.TUNNEL_LEASE},
            )
            for item in extend.items
            if (held := self.out.get(item.d)) is not None and held.token == item.lease
        ]
        known = {item.d for item, _ in rows}
        for item in extend.items:
            if item.d not in known:
                self._extended(item, False)
        for item, row in rows:
            self._submit(lanes.extend, row, partial(self._extended, item))

    def _extended(self, item: frames.Held, ok: bool) -> None:
        if not ok:
            self.out.pop(item.d, None)
            self.session.forget(item.d)
        self._say(frames.Extended(items=[frames.Verdict(d=item.d, lease=item.lease, ok=ok)]))

    def _submit(self, operation: Any, row: Any, then: Callable[[Any], None]) -> None:
        """Commits, then answers. Where the database is away the agent hears nothing, and will ask again."""

        def committed(done: asyncio.Future[Any]) -> None:
            if error := done.exception():
                log.warning("an answer of agent %s was not stored: %s", self.agent.id, error)
            else:
                then(done.result())

        try:
            self._dispatcher.commit.submit(operation, row).add_done_callback(committed)
        except DatabaseAway:
            log.warning("an answer of agent %s was not taken: too many writes wait", self.agent.id)

    # -- the socket -----------------------------------------------------------------------------------------------

    def _say(self, frame: Frame) -> None:
        if self.session.state is not State.CLOSED:
            self.session.send(frame)
            self.flush_soon()

    def tick(self) -> None:
        """Once a second, and when the first frame is overdue."""
        self.session.tick(time.monotonic())
        if self.session.has_output or self.session.close is not None:
            self.flush_soon()

    def close(self, code: int, reason: str) -> None:
        self.session.shut(code, reason)
        self.flush_soon()

    def flush_soon(self) -> None:
        if not self._flushing:
            self._dispatcher.spawn(self.flush())

    async def flush(self) -> None:
        """Writes what the Session has to say. One writer at a time, so that frames leave in their order."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while texts := self.session.to_send():
                for text in texts:
                    await self._send({"type": "websocket.send", "text": text})
            if self.session.close is not None:
                code, reason = self.session.close
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            pass  # the socket went away; the reader will see it
        finally:
            self._flushing = False
