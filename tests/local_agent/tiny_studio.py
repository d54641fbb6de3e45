"""A Studio small enough to read: the agent's real counterpart on a real socket, driving the same Session.

Rows are dicts. Tests steer it by its attributes and look at what it saw.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import uvicorn

from local_agent import protocol as p

Scope = dict[str, Any]
FrameType = TypeVar("FrameType", bound=p.Frame)


class Tunnel:
    """One connection of an agent."""

    def __init__(self, send: Any) -> None:
        self.session = p.Session(p.Side.STUDIO, now=time.monotonic())
        self.heard: list[p.Frame] = []
        self.open = True
        self.deaf = False  # reads, and pays no attention
        self._send = send

    async def say(self, *frames: p.Frame) -> None:
        for frame in frames:
            self.session.send(frame)
        await self.flush()

    async def flush(self) -> None:
        for text in self.session.to_send():
            await self._send({"type": "websocket.send", "text": text})
        if self.session.close:
            code, reason = self.session.close
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def close(self, code: int, reason: str = "") -> None:
        self.session.shut(code, reason)
        await self.flush()


class TinyStudio:
    def __init__(self) -> None:
        self.port = 0
        self.token = "amx_agent_test"
        self.tunnels: list[Tunnel] = []
        self.events: list[str] = []
        self.stored: dict[str, p.Reply] = {}  # by r, each once
        self.offered: list[tuple[str, str]] = []  # each time a reply came: (how, r)
        self.finished: dict[str, p.Done] = {}
        self.hb_s, self.lease_s, self.ack_s, self.max_frame = 10.0, 30.0, 5.0, p.MAX_FRAME
        self.refuses: tuple[int, dict[str, Any]] | None = None  # status and problem, at the door
        self.away = False  # whether its database is
        self.caps = ["partial"]
        self.subprotocol: str | None = p.SUBPROTOCOL
        self.keeps: list[str] = []  # what it keeps, though the agent does not hold it
        self.confirms = True  # whether replies are answered
        self.stale: set[str] = set()  # messages whose answers come too late
        self.dropped: set[str] = set()  # leases that the agent has lost
        self.acked: set[str] = set()
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tunnel(self) -> Tunnel:
        """The newest."""
        return self.tunnels[-1]

    async def start(self) -> None:
        config = uvicorn.Config(
            self,
            port=self.port,
            log_level="critical",
            ws="websockets-sansio",
            ws_ping_interval=None,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = nothing  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve())
        await until(lambda: self._server is not None and self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        assert self._task
        self._server.should_exit = self._server.force_exit = True
        await self._task

    # -- what tests ask -----------------------------------------------------------------------------------

    async def online(self, count: int = 1) -> Tunnel:
        """Waits until this many tunnels were welcomed, in all; the newest."""
        await until(lambda: sum(t.session.state >= p.State.READY for t in self.tunnels) >= count)
        return self.tunnel

    async def give(self, d: str = "d1", text: str = "hello", *, lease: int = 1, **fields: Any) -> None:
        """Hands a message to the newest tunnel, when it has credit."""
        await until(lambda: self.tunnel.session.free_credit or d in self.tunnel.session.inflight)
        known = {
            "conv": "c1",
            "seq": 1,
            "attempt": 1,
            "kind": "message",
            "ts": 1.0,
            "payload": {"text": text},
        }
        await self.tunnel.say(p.Msg(d=d, lease=lease, lease_s=self.lease_s, **known | fields))

    async def answer(self, d: str = "d1") -> p.Reply:
        """Waits for the final reply to `d` to be stored."""
        return (await self.answers(d))[-1]

    async def answers(self, d: str = "d1") -> list[p.Reply]:
        await until(lambda: any(r.d == d and r.final for r in self.stored.values()))
        return sorted((r for r in self.stored.values() if r.d == d), key=lambda reply: reply.part)

    async def heard(self, kind: type[FrameType], count: int = 1) -> list[FrameType]:
        """Waits until so many frames of a type were heard, over all tunnels."""
        await until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)

    def all(self, kind: type[FrameType]) -> list[FrameType]:
        return [frame for tunnel in self.tunnels for frame in tunnel.heard if isinstance(frame, kind)]

    # -- its doors ----------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if self.refuses:
            await respond(scope, send, *self.refuses)
        elif scope["type"] == "websocket":
            await self._tunnel(receive, send)
        else:
            await respond(scope, send, *await self._http(scope, receive))

    async def _http(self, scope: Scope, receive: Any) -> tuple[int, dict[str, Any]]:
        if scope["path"] == "/healthz":
            return 200, {"status": "ok"}
        body = json.loads((await receive())["body"])
        if scope["path"] == "/tunnel/pair":
            if body["code"] != "GOOD-CODE":
                return 403, {
                    "code": "AMX-3410",
                    "title": "this code is not valid",
                    "next_step": "ask again",
                }
            return 201, {"agent_id": "a1", "token": self.token, "tunnel_url": "", "workspace": "Acme"}
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {self.token}".encode():
            return 403, {"code": "AMX-3403", "title": "this token is not accepted"}
        replies = [
            msgspec.convert(reply, p.Reply) for reply in ({"t": "reply", **r} for r in body["replies"])
        ]
        return 200, {"results": [{"r": r.r, "status": self._store(r, "http")} for r in replies]}

    async def _tunnel(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": self.subprotocol})
        tunnel = Tunnel(send)
        number = len(self.tunnels)
        self.tunnels.append(tunnel)
        self.events.append(f"open {number}")
        while (event := await receive())["type"] != "websocket.disconnect":
            if tunnel.deaf:
                continue
            for frame in tunnel.session.receive(event["text"], time.monotonic()):
                tunnel.heard.append(frame)
                self._act(tunnel, frame)
            await tunnel.flush()
        tunnel.open = False
        self.events.append(f"closed {number}")

    def _act(self, tunnel: Tunnel, frame: p.Frame) -> None:
        match frame:
            case p.Hello() if self.away:
                tunnel.session.send(
                    p.Error(code=1001, msg="the database is away", fatal=True, retry_in_s=3.0)
                )
                tunnel.session.shut(1001, "the database is away")
            case p.Hello():
                tunnel.session.send(self._welcome(frame))
            case p.Reply() if self.confirms:
                status = self._store(frame, "socket")
                tunnel.session.send(p.Replied(r=frame.r, d=frame.d, status=status))
            case p.Done():
                self.finished[frame.d] = frame
                tunnel.session.send(p.Finished(d=frame.d, status="stored"))
            case p.Extend():
                kept = [p.Verdict(item.d, item.lease, item.d not in self.dropped) for item in frame.items]
                tunnel.session.send(p.Extended(items=kept))

    def _store(self, reply: p.Reply, how: str) -> p.frames.Outcome:
        self.offered.append((how, reply.r))
        if reply.d in self.stale:
            return "stale"
        if reply.r in self.stored:
            return "dup"
        self.stored[reply.r] = reply
        return "stored"

    def _welcome(self, hello: p.Hello) -> p.Welcome:
        held = [one.d for one in hello.inflight]
        return p.Welcome(
            session=hello.session or p.new_id(),
            conn_id=p.new_id(),
            node="tiny",
            epoch=1,
            hb_s=self.hb_s,
            lease_s=self.lease_s,
            ack_s=self.ack_s,
            max_frame=self.max_frame,
            max_credits=100,
            caps=self.caps,
            resumed=hello.session is not None,
            keep=[d for d in held if d not in self.dropped] + self.keeps,
            drop=[d for d in held if d in self.dropped],
            acked=[r for r in hello.unacked if r in self.acked],
        )


async def respond(scope: Scope, send: Any, status: int, body: dict[str, Any]) -> None:
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [(b"content-type", b"application/json")]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": json.dumps(body).encode()})


async def until(true: Callable[[], Any], seconds: float = 15.0) -> None:
    """Waits for something to become true; fails the test when it does not."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for happens on the wire, or in another process
            await asyncio.sleep(0.005)


def nothing() -> Any:
    """In place of uvicorn's signal handling: the tests' own signals stay theirs."""
    from contextlib import nullcontext

    return nullcontext()
