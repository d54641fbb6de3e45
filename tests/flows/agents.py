"""An agent's end of the tunnel in the hands of the test."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import httpx

from tests.benchmarks.sockets import Tunnel, tunnel
from tests.processes import Studio, answered


def paired(studio: Studio, name: str = "raw") -> tuple[str, str]:
    """The id and the token of a new agent."""
    body = {"code": studio.pairing_code(), "name": name}
    told = answered(httpx.post(f"{studio.url}/tunnel/pair", json=body, trust_env=False), 201)
    return told["agent_id"], told["token"]


def raw_tunnel(studio: Studio, agent: str, token: str) -> AbstractAsyncContextManager[Tunnel]:
    """A greeted tunnel of the agent."""
    return tunnel(studio.port, agent, token)
