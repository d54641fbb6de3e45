"""From a webhook's first byte to the agent's socket, at 200 messages a second.

Yardstick: pgbench at the same rate, doing what the database does for us on that way: a transaction of five statements
(the message is stored) and one of two (it is claimed). What is above it is Python, two sockets and two threads.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from local_agent.protocol import Done, Msg, Recv
from tests.benchmarks.ingest import CHANNEL_SQL, YARDSTICK_SQL, pgbench_command
from tests.benchmarks.load import post_all, telegram_post
from tests.benchmarks.report import Measured
from tests.benchmarks.sockets import Tunnel, tunnel
from tests.benchmarks.studio import Studio, studio

RATE, SECONDS, AGENTS, CHATS = 200, 15, 4, 400
AIM = 6.0


def measure() -> list[Measured]:
    with studio(agents=AGENTS) as server:
        ours = sorted(asyncio.run(_webhook_to_agent(server)))
    database = sorted(_pgbench())
    print(f"    ours: {len(ours)} messages, p50 {_at(ours, 50):.2f} ms, p99 {_at(ours, 99):.2f} ms")
    print(f"    the database's part: p50 {_at(database, 50):.2f} ms, p99 {_at(database, 99):.2f} ms")
    return [
        Measured(
            "latency-p50",
            _at(ours, 50),
            _at(database, 50),
            AIM,
            "ms webhook → agent / of the database's part",
        ),
        Measured(
            "latency-p99",
            _at(ours, 99),
            _at(database, 99),
            AIM,
            "ms webhook → agent / of the database's part",
        ),
    ]


def _at(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]


async def _webhook_to_agent(server: Studio) -> list[float]:
    sent: dict[str, float] = {}
    latencies: list[float] = []
    everything = asyncio.Event()
    total = RATE * SECONDS

    async def agent(identity: str, token: str) -> None:
        async with tunnel(server.port, identity, token, credits=64) as end:
            ready.release()
            while True:
                for frame in await end.hear():
                    if isinstance(frame, Msg):
                        latencies.append((time.perf_counter() - sent[frame.payload["text"]]) * 1e3)
                        await _finish(end, frame)
                if len(latencies) >= total:
                    everything.set()

    ready = asyncio.Semaphore(0)
    agents = [asyncio.create_task(agent(*known)) for known in server.agents]
    for _ in agents:
        await ready.acquire()
    await asyncio.gather(*[_post(server, n, total, sent) for n in range(16)])
    await asyncio.wait_for(everything.wait(), 60)
    for task in agents:
        task.cancel()
    await asyncio.gather(*agents, return_exceptions=True)
    return latencies


async def _post(server: Studio, lane: int, total: int, sent: dict[str, float]) -> None:
    """Every 16th message, each at its own moment of an even rate."""
    began = time.perf_counter()
    for n in range(lane, total, 16):
        await asyncio.sleep(max(0.0, began + n / RATE - time.perf_counter()))
        request = telegram_post(server.seeded["channel"], server.seeded["secret"], n + 1, n % CHATS + 1)
        sent[json.loads(request.partition(b"\r\n\r\n")[2])["message"]["text"]] = time.perf_counter()
        once = itertools.chain([request], itertools.repeat(None))
        (poster,) = await post_all(server.port, lambda once=once: next(once), 1)
        assert poster.statuses == {200: 1}, poster.statuses


async def _finish(end: Tunnel, message: Msg) -> None:
    await end.say(Recv(d=message.d, lease=message.lease))
    await end.say(Done(d=message.d, lease=message.lease, status="ok"))


def _pgbench() -> list[float]:
    """Milliseconds of each of RATE × SECONDS transactions, from pgbench's own log."""
    url = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(url.geturl()) as connection:
        connection.execute(YARDSTICK_SQL)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "insert.sql")
        insert = CHANNEL_SQL.strip()
        script.write_text("\n".join(["BEGIN;", *[insert] * 5, "END;", "BEGIN;", *[insert] * 2, "END;"]))
        subprocess.run(
            [*pgbench_command(url, script, clients=16), "-T", str(SECONDS), "-R", str(RATE), "-l"],
            cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PGPASSWORD": url.password or ""},
        )  # fmt: skip
        lines = [line for log in Path(folder).glob("pgbench_log.*") for line in log.read_text().splitlines()]
    return [int(line.split()[2]) / 1e3 for line in lines]
