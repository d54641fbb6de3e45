"""CPU of the server to take a frame in and send one back: the tunnel's ping → pong beside a raw ASGI echo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection

from tests.benchmarks import cpu
from tests.benchmarks.report import Measured
from tests.benchmarks.sockets import dial, raw_server, tunnel
from tests.benchmarks.studio import studio

SOCKETS, FRAMES, ROUNDS, AIM = 64, 250, 3, 2.0
FILLING = "x" * 230  # about 260 bytes a frame


def measure() -> list[Measured]:
    ours, raw = [], []
    with studio(agents=SOCKETS) as server, raw_server() as (raw_pid, raw_port):
        for _ in range(ROUNDS):
            ours.append(asyncio.run(_tunnels(server.pid, server.port, server.agents)))
            raw.append(asyncio.run(_raw(raw_pid, raw_port)))
    return [Measured("echo", sorted(ours)[1], sorted(raw)[1], AIM, "CPU µs per frame in and out / raw ASGI")]


async def _tunnels(pid: int, port: int, agents: list[tuple[str, str]]) -> float:
    async def one(agent: str, token: str) -> None:
        async with tunnel(port, agent, token) as end:
            ready.release()
            await go.wait()
            # `hello` was frame 1; the frames are written by hand to keep this end cheap.
            await _echo(end.socket, lambda n: f'{{"t":"ping","n":{n + 2},"x":"{FILLING}"}}')

    ready, go = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(one(*agent)) for agent in agents]
    return await _measured(pid, ready, go, tasks)


async def _raw(pid: int, port: int) -> float:
    async def one() -> None:
        async with dial(port, "/") as socket:
            ready.release()
            await go.wait()
            await _echo(socket, lambda n: f'{{"t":"ping","n":{n + 2},"x":"{FILLING}"}}')

    ready, go = asyncio.Semaphore(0), asyncio.Event()
    return await _measured(pid, ready, go, [asyncio.create_task(one()) for _ in range(SOCKETS)])


async def _echo(socket: ClientConnection, frame: Callable[[int], str]) -> None:
    for n in range(FRAMES):
        await socket.send(frame(n))
        await socket.recv()


async def _measured(
    pid: int, ready: asyncio.Semaphore, go: asyncio.Event, tasks: list[asyncio.Task[None]]
) -> float:
    for _ in tasks:
        await ready.acquire()
    began = cpu.seconds(pid)
    go.set()
    await asyncio.gather(*tasks)
    return (cpu.seconds(pid) - began) / (SOCKETS * FRAMES) * 1e6
