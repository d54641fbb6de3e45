"""Everything that a kill loop needs around it: a provider that survives, Studio, an agent, and what the rows say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.history import History, Part, Rows
from tests.chaos.load import Load
from tests.processes import Agent, Database, Provider, Studio, answered, until
from tests.telegram_api import TOKEN

# So that what only time brings back comes back soon. Each is a setting an operator may choose.
QUICK = {
    "TUNNEL_LEASE": "5",
    "TUNNEL_GRACE": "1",
    "TUNNEL_ACK": "2",
    "SWEEP_SECONDS": "0.5",
    "SEND_CLAIM": "6",
}
QUIET_S = 60.0
CREDITS = 64

# A few milliseconds of thought. Every beginning and end is noted, to tell what a kill interrupted.
HANDLER = """
from __future__ import annotations
import asyncio, os

async def handle(message, context):
    note("begin " + message.id)
    await asyncio.sleep(float(os.environ["THINK_S"]))
    note("end " + message.id)
    return "echo " + message.text

def note(line):
    with open(os.environ["THOUGHTS"], "a") as file:
        file.write(line + "\\n")
"""


@dataclass
class World:
    """`studios`: the first one gets the webhooks, the last one has the agent."""

    database: Database
    provider: Provider
    studios: list[Studio]
    agent: Agent
    thoughts: Path
    webhook: dict[str, str]
    stack: ExitStack  # whatever else is to be closed in the end

    def load(self, *, chats: int, rate: float) -> Load:
        return Load(self.webhook["url"], self.webhook["secret"], chats=chats, rate=rate)

    def thinking(self) -> int:
        """For how many messages a handler began and did not end, in the agent's present life."""
        lines = self.thoughts.read_text().rpartition("\n")[0].splitlines() if self.thoughts.exists() else []
        life = lines[len(lines) - 1 - lines[::-1].index("start") :] if "start" in lines else lines
        return sum(line.startswith("begin") for line in life) - sum(line.startswith("end") for line in life)

    def mark_start(self) -> None:
        """Between two lives of the agent."""
        with self.thoughts.open("a") as file:
            file.write("start\n")

    async def quiet(self) -> None:
        """Until nothing is left to do; after a minute the checker says what is."""
        give_up = time.monotonic() + QUIET_S
        while time.monotonic() < give_up:
            rows = await asyncio.to_thread(self.database.rows, PENDING)
            if rows == [(0, 0)]:
                return
            await asyncio.sleep(0.2)

    def history(self, load: Load, interrupted: frozenset[str] = frozenset()) -> History:
        calls = [(call["chat_id"], call["text"]) for call in self.provider.calls()]
        return History(load.accepted, calls, rows_of(self.database), interrupted)


PENDING = """SELECT (SELECT coalesce(sum(pending), 0)::int FROM agent_link_lane),
                    (SELECT coalesce(sum(send_pending), 0)::int FROM gateway_conversation)"""
INBOUND = """SELECT c.address::int, m.text FROM gateway_message m
             JOIN gateway_conversation c ON c.lane_id = m.conversation_id
             WHERE m.direction = 'in' ORDER BY c.lane_id, m.seq"""
ENVELOPES = """SELECT CASE state WHEN 0 THEN 'new' WHEN 3 THEN 'done' ELSE 'dead' END, count(*)::int
               FROM agent_link_envelope GROUP BY 1"""
PARTS = "SELECT id::text, text, state FROM gateway_outboxpart"
SENDING = "SELECT id::text FROM gateway_outboxpart WHERE state = 'sending'"
SESSIONS = """SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()
              AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def rows_of(database: Database) -> Rows:
    [(lanes, sends)] = database.rows(PENDING)
    return Rows(
        inbound=[(chat, text) for chat, text in database.rows(INBOUND)],
        envelopes=dict(database.rows(ENVELOPES)),
        parts=[Part(*row) for row in database.rows(PARTS)],
        lanes_pending=lanes,
        sends_pending=sends,
    )


def at_the_provider(database: Database) -> frozenset[str]:
    """Parts whose call was under way when the last Studio process died. Waits until its sessions are gone too."""

    def found() -> list[frozenset[str]]:
        try:
            alone = database.value(SESSIONS) == 0
            return [frozenset(row[0] for row in database.rows(SENDING))] if alone else []
        except psycopg.OperationalError:  # PostgreSQL is under the same hammer
            return []

    parts: frozenset[str] = until(found, every=0.005)[0]
    return parts


@contextmanager
def world(
    database: Database,
    folder: Path,
    *,
    redis_url: str = "",
    nodes: int = 1,
    think_s: float = 0.005,
    crash_log: Path | None = None,
) -> Iterator[World]:
    """Up and paired, with a connected channel; all processes end with it."""
    with ExitStack() as stack:
        provider = Provider(folder / "telegram", TOKEN)
        stack.enter_context(closing(provider))
        provider.start()
        settings = {**QUICK, "REDIS_URL": redis_url, "TELEGRAM_API_URL": provider.url}
        if crash_log is not None:
            settings["AIMATRIX_CRASH_LOG"] = str(crash_log)
        studios = [Studio(database, folder / "studio-0", **settings)]
        studios += [studios[0].twin(folder / f"studio-{n}") for n in range(1, nodes)]
        for studio in studios:
            stack.enter_context(closing(studio))
            studio.start()
        webhook = connected(studios[0])
        thoughts = folder / "thoughts"
        agent = Agent(
            folder / "agent", HANDLER, credits=CREDITS, THINK_S=str(think_s), THOUGHTS=str(thoughts)
        )
        stack.enter_context(closing(agent))
        agent.pair(studios[-1])
        agent.settle(max_backoff_s=0.2)
        agent.start()
        yield World(database, provider, studios, agent, thoughts, webhook, stack)


def connected(studio: Studio) -> dict[str, str]:
    """A Telegram channel that delivers to this Studio: its webhook's url and secret."""
    wanted: dict[str, Any] = {
        "kind": "telegram",
        "name": "bot",
        "config": {"bot_token": TOKEN},
        "connect": True,
    }
    with studio.api() as api:
        made = answered(api.post("/channels", json=wanted), 201)
    assert made["state"] == "active", made
    return {"url": made["webhook_url"], "secret": made["webhook_secret"]}
