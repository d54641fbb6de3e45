"""What an agent may not do, at a real door: every refusal has its code, and nothing of it is stored."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from local_agent.protocol import SUBPROTOCOL, new_id
from tests.flows.conftest import MakeAgent, MakeStudio
from tests.processes import Database, Studio, answered


def paired(studio: Studio) -> tuple[str, str]:
    """(agent id, token) of a new agent."""
    body = {"code": studio.pairing_code(), "name": "raw"}
    told = answered(httpx.post(f"{studio.url}/tunnel/pair", json=body, trust_env=False), 201)
    return told["agent_id"], told["token"]


@asynccontextmanager
async def socket(studio: Studio, token: str, protocol: str = SUBPROTOCOL) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"{studio.url.replace('http', 'ws')}/tunnel",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol(protocol)],
        compression=None,
        proxy=None,
        max_size=2**22,
    ) as line:
        yield line


def hello(agent: str, **more: Any) -> str:
    frame = {"t": "hello", "n": 1, "agent_id": agent, "instance_id": new_id(), "session": None, "sdk": "test"}
    return json.dumps({**frame, "caps": [], "credits": 4, "inflight": [], "unacked": [], **more})


async def closing_code(line: ClientConnection) -> int:
    with suppress(ConnectionClosedError):
        async for _ in line:
            pass
    assert line.close_code is not None
    return line.close_code


async def test_a_frame_out_of_order_ends_the_connection(studio: Studio) -> None:
    agent, token = paired(studio)
    async with socket(studio, token) as line:
        await line.send(hello(agent))
        await line.recv()
        await line.send('{"t": "credit", "n": 3, "set": 4}')
        assert await closing_code(line) == 4400


async def test_an_oversize_frame_ends_the_connection(studio: Studio) -> None:
    agent, token = paired(studio)
    async with socket(studio, token) as line:
        await line.send(hello(agent))
        await line.recv()
        await line.send(json.dumps({"t": "ping", "n": 2, "x": "x" * 2**20}))
        assert await closing_code(line) == 1009


async def test_silence_instead_of_hello_ends_the_connection(studio: Studio) -> None:
    _, token = paired(studio)
    began = time.monotonic()
    async with socket(studio, token) as line:
        assert await closing_code(line) == 4408
    assert 4 < time.monotonic() - began < 12


async def test_a_stale_lease_changes_nothing(studio: Studio, database: Database) -> None:
    agent, token = paired(studio)
    async with socket(studio, token) as line:
        await line.send(hello(agent, inflight=[{"d": "0" * 32, "lease": 7}], unacked=[new_id(), "not-an-id"]))
        welcome = json.loads(await line.recv())
        assert (welcome["keep"], welcome["drop"], welcome["acked"]) == ([], ["0" * 32], [])
        for n, d in enumerate((new_id(), "not-a-row"), start=2):
            reply = {"t": "reply", "n": n, "r": new_id(), "d": d, "lease": 7, "conv": new_id(), "part": 0}
            await line.send(json.dumps({**reply, "final": True, "payload": {"text": "late"}}))
            assert json.loads(await line.recv())["status"] == "stale"
        await line.send(json.dumps({"t": "done", "n": 4, "d": new_id(), "lease": 7, "status": "ok"}))
        assert json.loads(await line.recv())["status"] == "stale"
    assert database.value("SELECT count(*) FROM agent_link_reply") == 0
    assert database.value("SELECT count(*) FROM gateway_message") == 0


async def test_without_a_good_token_or_a_common_version_there_is_no_upgrade(studio: Studio) -> None:
    _, token = paired(studio)
    for bad, protocol, status in [
        ("", SUBPROTOCOL, 401),
        (token[:-1] + "x", SUBPROTOCOL, 401),
        (token, "aimatrix.tunnel.v9", 426),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            async with socket(studio, bad, protocol):
                pass
        assert refused.value.response.status_code == status


async def test_a_revoked_agent_is_out_within_a_second(
    studio: Studio, api: httpx.Client, make_agent: MakeAgent
) -> None:
    agent, token = paired(studio)
    async with socket(studio, token) as line:
        await line.send(hello(agent))
        await line.recv()
        began = time.monotonic()
        assert api.delete(f"/agents/{agent}").status_code in {200, 204}
        assert await closing_code(line) == 4501
        assert time.monotonic() - began < 1
    with pytest.raises(InvalidStatus) as refused:
        async with socket(studio, token):
            pass
    assert refused.value.response.status_code == 403


def test_a_pairing_code_works_once_and_guessing_is_slowed(make_studio: MakeStudio) -> None:
    studio = make_studio(REFUSALS_PER_MINUTE="5")
    code = studio.pairing_code()
    with httpx.Client(base_url=studio.url, trust_env=False) as http:
        assert http.post("/tunnel/pair", json={"code": code, "name": "one"}).status_code == 201
        again = http.post("/tunnel/pair", json={"code": code, "name": "two"})
        assert (again.status_code, again.json()["code"]) == (403, "AMX-3410")
        assert again.json()["next_step"]
        guesses = [http.post("/tunnel/pair", json={"code": "ABCD-EFGH", "name": "x"}) for _ in range(20)]
    assert [guess.status_code for guess in guesses].count(429) >= 15
    assert int(guesses[-1].headers["retry-after"]) >= 1


def test_replies_come_home_over_http_too(studio: Studio) -> None:
    _, token = paired(studio)
    with httpx.Client(base_url=studio.url, trust_env=False) as http:
        reply = {
            "r": new_id(),
            "d": new_id(),
            "lease": 1,
            "conv": new_id(),
            "part": 0,
            "final": True,
            "payload": {},
        }
        assert http.post("/tunnel/replies", json={"replies": [reply]}).status_code == 401
        http.headers["Authorization"] = f"Bearer {token}"
        told = answered(http.post("/tunnel/replies", json={"replies": [reply]}))
        assert told == {"results": [{"r": reply["r"], "status": "stale"}]}
        assert http.post("/tunnel/replies", content=b"{").status_code == 400
