"""Memory of an idle tunnel: 2,000 agents greeted and silent, the server's proportional set size before and after.

Two yardsticks: what was promised (25 KiB), and 2,000 raw ASGI sockets on the same server.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from tests.benchmarks import cpu
from tests.benchmarks.report import Measured
from tests.benchmarks.sockets import dial, gather_in_turns, raw_server, tunnel
from tests.benchmarks.studio import studio

TUNNELS = 2_000
PROMISED_KIB = 25.0
AGAINST_RAW = 1.5


def measure() -> list[Measured]:
    with studio(agents=TUNNELS) as server:
        dialers = [partial(tunnel, server.port, agent, token) for agent, token in server.agents]
        ours = asyncio.run(_per_socket(server.pid, dialers))
    with raw_server() as (pid, port):
        raw = asyncio.run(_per_socket(pid, [partial(dial, port, "/")] * TUNNELS))
    return [
        Measured("memory", ours, PROMISED_KIB, 1.0, "KiB per idle tunnel / promised"),
        Measured("memory-vs-raw", ours, raw, AGAINST_RAW, "KiB per idle tunnel / per raw ASGI socket"),
    ]


async def _per_socket(pid: int, dialers: list[partial[object]]) -> float:
    """KiB that each further connection costs the server; the first hundred pay for what is loaded once."""
    async with AsyncExitStack() as stack:
        await gather_in_turns([partial(stack.enter_async_context, dialer()) for dialer in dialers[:100]])
        await asyncio.sleep(1)
        before = cpu.memory(pid)
        await gather_in_turns([partial(stack.enter_async_context, dialer()) for dialer in dialers[100:]])
        await asyncio.sleep(2)
        return (cpu.memory(pid) - before) / (len(dialers) - 100) / 1024
