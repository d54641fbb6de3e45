"""Studio's end of the tunnel in this process, and agents that talk to its ASGI application, without a network."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from agent_link.bus import Bus
from agent_link.dispatch import Dispatcher
from agent_link.door import TunnelDoor
from agent_link.group_commit import GroupCommit
from agent_link.models import Agent, Envelope, EnvelopeState
from agent_link.refusals import Refusals
from agent_link.sql import Cursor
from local_agent.protocol import SUBPROTOCOL, Frame, Held, Hello, Msg, Reply, Session, Side, Welcome, new_id
from tests.agent_link.notes import open_lane
from tests.make import make_workspace
from workspaces.keys import digest, mint

F = TypeVar("F", bound=Frame)
PATIENCE = 10.0

SETTINGS: dict[str, Any] = {
    "TUNNEL_HEARTBEAT": 20.0,
    "TUNNEL_LEASE": 30.0,
    "TUNNEL_ACK": 10.0,
    "TUNNEL_GRACE": 0.0,
    "TUNNEL_MAX_CREDITS": 64,
    "TUNNEL_ATTEMPTS": 3,
    "SWEEP_SECONDS": 3_600.0,  # what no hint announces is not found: hints must do
    "STUDIO_URL": "http://studio.test",
}


def in_thread(function: Any) -> Any:
    """`function`, which uses the ORM, to be awaited. Its connection does not outlive the call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return sync_to_async(call, thread_sensitive=False)


@asynccontextmanager
async def writer_busy(commit: GroupCommit) -> AsyncIterator[None]:
    """Nothing is committed meanwhile."""
    reached, go_on = threading.Event(), threading.Event()

    def wait(cursor: Cursor, rows: Sequence[None]) -> Sequence[None]:
        reached.set()
        assert go_on.wait(PATIENCE)
        return rows

    commit.submit(wait, None)
    assert await asyncio.to_thread(reached.wait, PATIENCE)
    try:
        yield
    finally:
        go_on.set()


class Studio:
    """A writer, a dispatcher and the door."""

    def __init__(self, **settings: Any) -> None:
        self.commit = GroupCommit("test", limit=1_000)
        self.bus = Bus()
        self.refusals = Refusals(30)
        self.dispatcher = Dispatcher(
            self.commit, self.bus, SimpleNamespace(**{**SETTINGS, **settings}), "here"
        )
        self.door = TunnelDoor(self.dispatcher, self.refusals)
        self.tunnels: list[Tunnel] = []

    async def start(self) -> None:
        await self.bus.start("here")
        self.commit.start()
        self.dispatcher.start()

    async def stop(self) -> None:
        for tunnel in self.tunnels:
            await tunnel.leave()
        await self.dispatcher.stop()
        await self.commit.stop()
        await self.bus.stop()

    async def post(self, path: str, body: Any, token: str = "", method: str = "POST") -> tuple[int, Any]:
        """Status and body of an answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(b"content-length", str(len(content)).encode())]
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers,
            "client": ("192.0.2.1", 1),
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    async def written(self) -> None:
        """All that was noted so far is committed."""
        await self.commit.submit(lambda cursor, rows: rows, None)


class Shop:
    """A workspace with an agent's token, and a lane of three."""

    def __init__(self) -> None:
        self.workspace = make_workspace().pk.hex
        self.token = self._new_token()
        self.lane = open_lane(self.workspace, 3)
        self.new_token = in_thread(self._new_token)
        self.studio: Studio

    def _new_token(self) -> str:
        token = mint("agent")
        Agent.objects.create(workspace_id=UUID(hex=self.workspace), name="den", token_digest=digest(token))
        return token

    def hint(self, *lanes: str) -> None:
        """These have work."""
        for lane in lanes:
            self.studio.bus.publish("lanes", {"workspace": self.workspace, "lane": lane})

    async def message(self, tunnel: Tunnel) -> Msg:
        """The shop's lane has work, and `tunnel` gets it."""
        self.hint(self.lane)
        return await tunnel.expect(Msg)

    async def until(self, envelope: str, state: EnvelopeState) -> None:
        found = Envelope.objects.filter(pk=UUID(hex=envelope), state=state)
        async with asyncio.timeout(PATIENCE):
            while not await in_thread(found.exists)():  # noqa: ASYNC110  (a row rings no bell)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(shop: Shop, **settings: Any) -> AsyncIterator[Studio]:
    studio = shop.studio = Studio(**settings)
    await studio.start()
    try:
        yield studio
    finally:
        await studio.stop()


def answer(msg: Msg, r: str = "", **more: Any) -> Reply:
    given = {"part": 0, "final": True, "payload": {}, "lease": msg.lease} | more
    return Reply(r=r or new_id(), d=msg.d, conv=msg.conv, **given)


class Tunnel:
    """An agent's end. `status`: of the upgrade; `closed`: with which code, 0 while open."""

    def __init__(self, studio: Studio, token: str, *, protocols: Sequence[str] = (SUBPROTOCOL,)) -> None:
        self.session = Session(Side.AGENT, now=0.0)
        self.status = self.closed = 0
        self.refusal: dict[str, Any] = {}
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._heard: list[Frame] = []
        self._news = asyncio.Event()
        self._in.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "path": "/tunnel",
            "headers": [(b"authorization", f"Bearer {token}".encode())],
            "subprotocols": list(protocols),
            "client": ("192.0.2.1", 1),
            "extensions": {"websocket.http.response": {}},
        }
        self._door = asyncio.create_task(studio.door(scope, self._in.get, self._hear))
        studio.tunnels.append(self)

    async def _hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                self.status = 101
            case "websocket.http.response.start":
                self.status = message["status"]
            case "websocket.http.response.body":
                self.refusal = json.loads(message["body"])
            case "websocket.close":
                self.closed = message["code"]
            case "websocket.send":
                self._heard += self.session.receive(message["text"], 0.0)
        self._news.set()

    def say(self, *frames: Frame) -> None:
        for frame in frames:
            self.session.send(frame)
        for text in self.session.to_send():
            self.send(text)

    def send(self, text: str) -> None:
        """Past the protocol: whatever it is."""
        self._in.put_nowait({"type": "websocket.receive", "text": text})

    async def expect(self, kind: type[F]) -> F:
        """The first frame of this kind that was not asked for yet."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [frame for frame in self._heard if isinstance(frame, kind)]):
                assert not self.closed, f"closed with {self.closed}; {self._heard} came before"
                await self._more()
        self._heard.remove(found[0])
        return found[0]

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def quiet(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes that was not asked for."""
        await asyncio.sleep(seconds)
        return not self._heard

    async def said(self, *frames: Frame) -> None:
        """As say, and Studio has heard it."""
        self.say(*frames)
        while not self._in.empty():  # noqa: ASYNC110  (a moment, until the door has taken it)
            await asyncio.sleep(0)

    async def hello(self, *, inflight: Sequence[Msg] = (), **more: Any) -> Welcome:
        given = {
            "agent_id": "me",
            "instance_id": "now",
            "session": None,
            "sdk": "test",
            "credits": 4,
            "unacked": [],
        }
        held = [Held(d=msg.d, lease=msg.lease) for msg in inflight]
        self.say(Hello(caps=["partial", "unheard-of"], inflight=held, **given | more))
        return await self.expect(Welcome)

    async def end(self) -> None:
        """Studio closed, or refused: all it does after that is done."""
        async with asyncio.timeout(PATIENCE):
            while not (self.closed or self.refusal):
                await self._more()
        await self.leave()

    async def leave(self) -> None:
        """The socket breaks."""
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(self._door, PATIENCE)
