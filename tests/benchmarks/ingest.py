"""CPU to take a webhook in: accept, verify, parse, store in four tables, commit, answer.

Yardstick: pgbench, one single-row INSERT of the same size per transaction, as many clients, client and server CPU
together. Both on the same PostgreSQL, in turns.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg

from tests.benchmarks import cpu
from tests.benchmarks.load import post_all, telegram_post
from tests.benchmarks.report import Measured
from tests.benchmarks.studio import Studio, studio

MESSAGES = 12_000
CONNECTIONS = 64
CHATS = 500
ROUNDS = 3
AIM = 1.6
YARDSTICK_SQL = """CREATE TABLE IF NOT EXISTS yardstick (
    id bigserial PRIMARY KEY, channel uuid, external_id text, body text, UNIQUE (channel, external_id))"""
CHANNEL_SQL = (
    "INSERT INTO yardstick (channel, external_id, body) VALUES "
    f"('01a1fce6e9c9795b96fc5f8f74c6de87', gen_random_uuid()::text, '{'x' * 330}') ON CONFLICT DO NOTHING;\n"
)


def measure() -> list[Measured]:
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url) as connection:
        postmaster = int(Path(_data_directory(connection), "postmaster.pid").read_text().split("\n")[0])
        connection.execute(YARDSTICK_SQL)
    updates = itertools.count(1)
    with studio() as server:
        _ingest(server, postmaster, updates, 2_000)  # warm
        ours, yardstick = [], []
        for _ in range(ROUNDS):
            ours.append(_ingest(server, postmaster, updates, MESSAGES))
            yardstick.append(_pgbench(url, postmaster))
        channel = server.seeded["channel"]
    with psycopg.connect(url) as connection:
        query = (
            "SELECT count(*) FROM gateway_message m JOIN gateway_inboundevent e ON e.id = m.id "
            "WHERE e.channel_id = %s"
        )
        stored = connection.execute(query, [channel]).fetchone()
        assert stored is not None
        assert stored[0] == 2_000 + ROUNDS * MESSAGES, "a webhook was answered 200 and is not there"
    return [
        Measured("ingest", sorted(ours)[1], sorted(yardstick)[1], AIM, "CPU µs per message / per transaction")
    ]


def _data_directory(connection: psycopg.Connection[tuple[str]]) -> str:
    found = connection.execute("SHOW data_directory").fetchone()
    assert found is not None
    return found[0]


def _ingest(server: Studio, postmaster: int, updates: itertools.count[int], messages: int) -> float:
    """CPU µs per message, Studio and PostgreSQL together."""
    channel, secret = server.seeded["channel"], server.seeded["secret"]
    left = itertools.repeat(None, messages)

    def request() -> bytes | None:
        try:
            next(left)
        except StopIteration:
            return None
        update = next(updates)
        return telegram_post(channel, secret, update, update % CHATS + 1)

    began = cpu.seconds(server.pid), cpu.tree(postmaster)
    posters = asyncio.run(post_all(server.port, request, CONNECTIONS))
    used = cpu.seconds(server.pid) - began[0], cpu.tree(postmaster) - began[1]
    statuses = {status for poster in posters for status in poster.statuses}
    assert statuses == {200}, statuses
    print(
        f"    ingest: Studio {used[0] / messages * 1e6:.0f} µs + PostgreSQL {used[1] / messages * 1e6:.0f} µs"
    )
    return sum(used) / messages * 1e6


def pgbench_command(url: SplitResult, script: Path, clients: int) -> list[str]:
    return [
        shutil.which("pgbench") or "pgbench", "-n", "-f", str(script), "-c", str(clients), "-j", "1",
        "-h", url.hostname or "", "-p", str(url.port), "-U", url.username or "", url.path[1:],
    ]  # fmt: skip


def _pgbench(url: str, postmaster: int) -> float:
    """CPU µs per transaction, pgbench and PostgreSQL together."""
    parts = urlsplit(url)
    transactions = MESSAGES // CONNECTIONS
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "insert.sql")
        script.write_text(CHANNEL_SQL)
        before = cpu.tree(postmaster), os.times()
        subprocess.run(
            [*pgbench_command(parts, script, CONNECTIONS), "-t", str(transactions)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PGPASSWORD": parts.password or ""},
        )  # fmt: skip
        after = cpu.tree(postmaster), os.times()
    client = sum(after[1][2:4]) - sum(before[1][2:4])
    used = client + after[0] - before[0]
    per = 1e6 / (transactions * CONNECTIONS)
    print(f"    pgbench: client {client * per:.0f} µs + PostgreSQL {(after[0] - before[0]) * per:.0f} µs")
    return used * per
