"""The agents' door over HTTP: answers that come home another way, and codes that make agents."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from agent_link import pairing
from agent_link.models import Agent, PairingCode
from local_agent.protocol import Msg, new_id
from tests.agent_link.tunnels import Shop, Studio, Tunnel, in_thread
from workspaces.keys import mint, well_formed
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

NESTED = b'{"x":' + b"[" * 4_000


def sent(msg: Msg, r: str = "", **more: Any) -> dict[str, Any]:
    given = {"part": 0, "final": True, "payload": {}, "lease": msg.lease, "d": msg.d, "conv": msg.conv}
    return {"r": r or new_id(), **given, **more}


@pytest.fixture
async def msg(studio: Studio, shop: Shop) -> Msg:
    """What an agent was given before its socket broke."""
    tunnel = Tunnel(studio, shop.token)
    await tunnel.hello()
    msg = await shop.message(tunnel)
    await tunnel.leave()
    return msg


async def test_answers_come_home_without_a_socket(studio: Studio, shop: Shop, msg: Msg) -> None:
    first = sent(msg)
    status, body = await studio.post(
        "/tunnel/replies", {"replies": [first, sent(msg), sent(msg, "odd")]}, shop.token
    )
    assert status == 200
    assert [one["status"] for one in body["results"]] == ["stored", "stale", "stale"]
    assert body["results"][0]["r"] == first["r"]
    _, body = await studio.post("/tunnel/replies", {"replies": [first]}, shop.token)
    assert body["results"] == [{"r": first["r"], "status": "dup"}]


async def test_answers_of_a_stranger_are_stale(studio: Studio, msg: Msg) -> None:
    stranger = await in_thread(Shop)()
    _, body = await studio.post("/tunnel/replies", {"replies": [sent(msg)]}, stranger.token)
    assert [one["status"] for one in body["results"]] == ["stale"]


@pytest.mark.parametrize("token", ["", "nonsense", mint("agent")])
async def test_nobody_else_may_answer(studio: Studio, token: str) -> None:
    status, body = await studio.post("/tunnel/replies", {"replies": []}, token)
    assert status == (403 if well_formed(token, "agent") else 401)
    assert body["code"].startswith("AMX-3")


@pytest.mark.parametrize("path", ["/tunnel/replies", "/tunnel/pair"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"replies": [{}], "code": 7}', b"\xff", NESTED])
async def test_what_cannot_be_read_is_said_so(studio: Studio, shop: Shop, path: str, body: bytes) -> None:
    status, problem = await studio.post(path, body, shop.token)
    assert (status, problem["code"]) == (400, "AMX-3400")


@pytest.mark.parametrize("part", [-1, 2**15, 2**70])
async def test_a_part_out_of_range_is_no_answer(studio: Studio, shop: Shop, msg: Msg, part: int) -> None:
    status, _ = await studio.post("/tunnel/replies", {"replies": [sent(msg, part=part)]}, shop.token)
    assert status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/tunnel/pair", 405), ("POST", "/tunnel/else", 404), ("POST", "/tunnel", 404)],
)
async def test_other_doors_there_are_none(studio: Studio, method: str, path: str, status: int) -> None:
    assert (await studio.post(path, {}, method=method))[0] == status


async def code(shop: Shop) -> tuple[str, PairingCode]:
    workspace = await in_thread(Workspace.objects.get)(pk=UUID(hex=shop.workspace))
    found: tuple[str, PairingCode] = await in_thread(pairing.new_code)(workspace)
    return found


async def test_a_code_makes_one_agent(studio: Studio, shop: Shop) -> None:
    typed, _ = await code(shop)
    status, body = await studio.post("/tunnel/pair", {"code": f" {typed.lower()} ", "name": "de\x00n"})
    assert status == 201
    assert (body["workspace"], body["tunnel_url"]) == ("Shop", "ws://studio.test/tunnel")
    agent = await in_thread(Agent.objects.get)(pk=UUID(hex=body["agent_id"]))
    assert agent.workspace_id == UUID(hex=shop.workspace)
    tunnel = Tunnel(studio, body["token"])
    await tunnel.hello()
    status, again = await studio.post("/tunnel/pair", {"code": typed})
    assert (status, again["code"]) == (403, "AMX-3410")


async def test_a_code_is_taken_once_even_at_the_same_moment(studio: Studio, shop: Shop) -> None:
    typed, _ = await code(shop)
    answers = await asyncio.gather(*[studio.post("/tunnel/pair", {"code": typed}) for _ in range(5)])
    assert sorted(status for status, _ in answers) == [201, 403, 403, 403, 403]


async def test_an_old_code_is_none(studio: Studio, shop: Shop) -> None:
    typed, row = await code(shop)
    row.expires_at = timezone.now() - timedelta(seconds=1)
    await in_thread(row.save)()
    assert (await studio.post("/tunnel/pair", {"code": typed}))[0] == 403


async def test_who_guesses_codes_must_wait(studio: Studio) -> None:
    statuses = [(await studio.post("/tunnel/pair", {"code": "AAAA-AAAA"}))[0] for _ in range(32)]
    assert statuses == [403] * 30 + [429] * 2


async def test_who_has_nothing_to_show_may_not_say_much(studio: Studio) -> None:
    """Anybody can knock at this door."""
    assert (await studio.post("/tunnel/pair", b"x" * 5_000))[0] == 413
