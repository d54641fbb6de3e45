"""A Studio process for a measurement, with channels and agents to measure with, on the databases of the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import processes
from tests.processes import Database

AGENTS = """
from agent_link.models import Agent
from gateway.registry import config_of, new_channel
from local_agent.protocol import new_id
from workspaces.keys import digest, mint
workspace = Workspace.objects.create(name="Bench", slug=new_id())  # what an earlier measurement left stays apart
channel = new_channel(workspace, "telegram", "bot", {"bot_token": "123456:" + "A" * 35})
webchat = new_channel(workspace, "webchat", "site", {})
for one in (channel, webchat):
    one.state = "active"
    one.save()
tokens = [mint("agent") for _ in range(COUNT)]
agents = [Agent(workspace=workspace, name=f"agent {n}", token_digest=digest(t)) for n, t in enumerate(tokens)]
Agent.objects.bulk_create(agents)
seeded |= {
    "channel": channel.pk.hex, "secret": config_of(channel).webhook_secret, "webchat": webchat.pk.hex,
    "agents": [(agent.pk.hex, token) for agent, token in zip(agents, tokens)],
}
"""


@dataclass(frozen=True)
class Studio:
    pid: int
    port: int
    seeded: Mapping[str, str]
    agents: list[tuple[str, str]]


@contextmanager
def studio(agents: int = 0, **environment: str) -> Iterator[Studio]:
    """Migrates, seeds and serves on a free port; ends the process it started."""
    given = {"REDIS_URL": os.environ.get("REDIS_URL", "")} | environment
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = os.environ["DATABASE_URL"]
        seeded = processes.seed(url, folder / "var", AGENTS.replace("COUNT", str(agents)))
        database = Database(url, seeded["workspace"], seeded["api_key"])
        with closing(processes.Studio(database, folder, **given)) as process:
            process.start()
            tokens = [(agent, token) for agent, token in seeded.pop("agents")]
            yield Studio(process.pid, process.port, seeded, tokens)
