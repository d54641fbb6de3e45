"""WebSocket ends for measurements: agents that only say hello, and a raw ASGI server to compare with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from deploy.servers import free_port
from local_agent.protocol import SUBPROTOCOL, Frame, Hello, Session, Side, Welcome, new_id
from tests.processes import ROOT, wait_until_up

# The least a server can do: accept, and echo what comes. Served with exactly Studio's settings.
RAW = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "%s"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
uvicorn.run(app, port=int(sys.argv[1]), ws="websockets-sansio", ws_per_message_deflate=False,
            ws_ping_interval=None, backlog=4096, lifespan="off", log_level="warning", access_log=False)
"""


@contextmanager
def raw_server() -> Iterator[tuple[int, int]]:
    """(pid, port) of a raw ASGI echo."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", RAW % SUBPROTOCOL, str(port)], cwd=ROOT, env=os.environ)
    try:
        wait_until_up(port, process)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(20)


def dial(port: int, path: str, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return connect(
        f"ws://127.0.0.1:{port}{path}",
        additional_headers=headers,
        subprotocols=[SUBPROTOCOL],
        compression=None,
        ping_interval=None,
        max_size=2**21,
    )


class Tunnel:
    """An agent's end: the protocol's Session over a real socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.session = Session(Side.AGENT, now=time.monotonic())

    async def say(self, frame: Frame) -> None:
        self.session.send(frame)
        for text in self.session.to_send():
            await self.socket.send(text)

    async def hear(self) -> list[Frame]:
        """The frames of the next message that holds any; pings are answered on the way."""
        while True:
            frames = self.session.receive(await self.socket.recv(), time.monotonic())
            for text in self.session.to_send():
                await self.socket.send(text)
            if self.session.close is not None:
                raise ConnectionError(self.session.close)
            if frames:
                return frames


@asynccontextmanager
async def tunnel(port: int, agent: str, token: str, credits: int = 8) -> AsyncIterator[Tunnel]:
    """A greeted tunnel of `agent`."""
    async with dial(port, "/tunnel", token) as socket:
        end = Tunnel(socket)
        await end.say(
            Hello(
                agent_id=agent,
                instance_id=new_id(),
                session=None,
                sdk="bench",
                caps=["partial"],
                credits=credits,
                inflight=[],
                unacked=[],
            )
        )
        (welcome,) = await end.hear()
        assert isinstance(welcome, Welcome)
        yield end


async def gather_in_turns(makers: list[Any], at_once: int = 50) -> list[Any]:
    """Awaits all, not more than `at_once` at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(maker: Any) -> Any:
        async with gate:
            return await maker()

    return await asyncio.gather(*[one(maker) for maker in makers])
