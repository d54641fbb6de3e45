"""A Studio process of our own for a measurement, with a seeded workspace, on the databases of the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.servers import free_port

ROOT = Path(__file__).parents[2]
KEY = "bWFrZSBjaGVjayBvbmx5OiBub3QgYSBzZWNyZXQgISE="
SEED = """
import json, django
django.setup()
from gateway.registry import config_of, new_channel
from workspaces.models import Workspace
from agent_link.models import Agent
from workspaces.keys import digest, mint
from workspaces.api_keys import new_api_key
workspace, _ = Workspace.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
channel = new_channel(workspace, "telegram", "bot", {"bot_token": "123456:" + "A" * 35})
channel.state = "active"
channel.save()
webchat = new_channel(workspace, "webchat", "site", {})
webchat.state = "active"
webchat.save()
tokens = [mint("agent") for _ in range(AGENTS)]
agents = [Agent(workspace=workspace, name=f"agent {n}", token_digest=digest(t)) for n, t in enumerate(tokens)]
Agent.objects.bulk_create(agents)
print(json.dumps({
    "workspace": workspace.pk.hex, "channel": channel.pk.hex, "secret": config_of(channel).webhook_secret,
    "webchat": webchat.pk.hex, "api_key": new_api_key(workspace, "bench")[0],
    "agents": [(agent.pk.hex, token) for agent, token in zip(agents, tokens)],
}))
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
    port = free_port()
    with tempfile.TemporaryDirectory() as var:
        env = os.environ | {
            "STUDIO_VAR": var,
            "STUDIO_URL": f"http://127.0.0.1:{port}",
            "SECRET_KEY": KEY,
            "VAULT_KEY": KEY,
            "KEY_PEPPER": KEY,
            "DJANGO_SETTINGS_MODULE": "studio.settings",
            "LOG_LEVEL": "WARNING",
            **environment,
        }
        run = {"cwd": ROOT, "env": env, "check": True}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], **run)  # type: ignore[call-overload]
        seeding = subprocess.run(
            [sys.executable, "-c", SEED.replace("AGENTS", str(agents))],
            **run,
            stdout=subprocess.PIPE,  # type: ignore[call-overload]
        )
        seeded = json.loads(seeding.stdout)
        serve = f"import django; django.setup(); from studio.serving import server; server({port}).run()"
        process = subprocess.Popen([sys.executable, "-c", serve], cwd=ROOT, env=env)
        try:
            wait_until_up(port, process)
            yield Studio(process.pid, port, seeded, [(agent, token) for agent, token in seeded.pop("agents")])
        finally:
            process.terminate()
            process.wait(20)


def wait_until_up(port: int, process: subprocess.Popen[bytes], patience: float = 60) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"Studio ended with {process.returncode} before it served")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("Studio did not come up")
