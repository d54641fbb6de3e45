from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext

from gateway.models import Channel, ChannelState
from gateway.registry import adapter, config_of
from tests.api.conftest import BOT_TOKEN, Api, problem
from tests.telegram_api import TOKEN, telegram_api
from tests.telegram_spec import missing

pytestmark = pytest.mark.sqlite

TELEGRAM = {"kind": "telegram", "name": "Second bot", "config": {"bot_token": BOT_TOKEN}}
ID = r"[0-9a-f]{32}"


@pytest.fixture
def telegram_at(settings: Any) -> Any:
    """Points the adapter at another Bot API server."""

    def point(url: str) -> None:
        settings.TELEGRAM_API_URL = url
        adapter.cache_clear()

    yield point
    adapter.cache_clear()


def created(ours: Api, body: Any) -> dict[str, Any]:
    answer = ours.call("POST", "/channels", body)
    assert answer.status_code == 201, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    return json.loads(answer.content)  # type: ignore[no-any-return]


def test_a_telegram_channel_is_made_without_asking_telegram(ours: Api, settings: Any) -> None:
    made = created(ours, TELEGRAM)
    row = Channel.objects.get(pk=made["id"])
    assert made["webhook_url"] == f"{settings.STUDIO_URL}/webhooks/telegram/{made['id']}"
    assert made["webhook_secret"] == config_of(row).webhook_secret
    assert (made["kind"], made["name"], made["state"]) == ("telegram", "Second bot", "new")
    assert made["findings"] == []
    assert row.workspace == ours.workspace


def test_a_web_chat_needs_nobody_else(ours: Api, settings: Any) -> None:
    made = created(ours, {"kind": "webchat", "name": "Website"})
    assert made["state"] == "active"
    assert made["webhook_secret"] is None
    assert made["webhook_url"] is None
    assert made["webchat_url"] == f"{settings.STUDIO_URL}/webchat/{made['id']}"
    assert made["widget_url"].startswith(settings.STUDIO_URL)


def test_the_credential_never_comes_out_and_the_secret_only_once(ours: Api) -> None:
    answer = ours.call("POST", "/channels", TELEGRAM)
    assert BOT_TOKEN.encode() not in answer.content
    made = json.loads(answer.content)
    for path in ("/channels", f"/channels/{made['id']}"):
        later = ours.call("GET", path).content
        assert BOT_TOKEN.encode() not in later
        assert made["webhook_secret"].encode() not in later


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.bot_token"),
        ({"bot_token": 7}, "config.bot_token"),
        ({"bot_token": "a word"}, "config.bot_token"),
        ({"bot_token": BOT_TOKEN, "colour": "red"}, "config.colour"),
    ],
)
def test_a_config_that_cannot_work_is_refused_naming_its_field(
    ours: Api, config: dict[str, Any], field: str
) -> None:
    told = problem(ours.call("POST", "/channels", {**TELEGRAM, "config": config}), 400)
    assert told["code"] == "AMX-2110"
    assert list(told["errors"]) == [field]
    assert field in told["next_step"]
    assert BOT_TOKEN not in str(told)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**TELEGRAM, "kind": "smoke signals"}, "kind"),
        ({**TELEGRAM, "name": ""}, "name"),
        ({**TELEGRAM, "name": "x" * 81}, "name"),
        ({**TELEGRAM, "name": "a\0b"}, "name"),
        ({**TELEGRAM, "config": "none"}, "config"),
        ({"kind": "webchat", "name": "W", "config": {"greeting": "\ud800"}}, "config"),
        ([], "non_field_errors"),
    ],
)
def test_a_body_that_is_not_a_channel_is_refused_naming_its_field(ours: Api, body: Any, field: str) -> None:
    told = problem(ours.call("POST", "/channels", body), 400)
    assert told["code"] == "AMX-1400"
    assert field in told["errors"]


def test_only_what_is_named_is_taken(ours: Api, theirs: Api) -> None:
    body = {**TELEGRAM, "id": "0" * 32, "workspace": theirs.workspace.pk.hex, "state": "active"}
    body["config"] = {"bot_token": BOT_TOKEN, "webhook_secret": "chosen by the caller"}
    made = created(ours, body)
    assert made["id"] != "0" * 32
    assert made["state"] == "new"
    assert made["webhook_secret"] != "chosen by the caller"
    assert Channel.objects.get(pk=made["id"]).workspace == ours.workspace


def test_a_provider_that_is_away_does_not_hinder_the_making(ours: Api, telegram_at: Any) -> None:
    telegram_at("http://127.0.0.1:9")
    made = created(ours, {**TELEGRAM, "connect": True})
    assert made["state"] == "error"
    assert "AMX-2503" in made["findings"][0]["trouble"]
    assert made["findings"][0]["next_step"]


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.django_db(transaction=True)
async def test_connecting_tells_telegram_our_address_and_secret(
    ours: Api, async_client: AsyncClient, telegram_at: Any, settings: Any
) -> None:
    settings.STUDIO_URL = "https://studio.example"
    made = await sync_to_async(created)(ours, {**TELEGRAM, "config": {"bot_token": TOKEN}})
    with telegram_api(TOKEN) as telegram:
        telegram_at(telegram.url)
        path, headers = f"/api/v1/channels/{made['id']}/connect", {"Authorization": f"Bearer {ours.key}"}
        answer = json.loads((await async_client.post(path, headers=headers)).content)
        assert (answer["state"], answer["findings"]) == ("active", [])
        assert telegram.webhook.url == made["webhook_url"]
        assert telegram.webhook.secret_token == made["webhook_secret"]
    await sync_to_async(connections.close_all)()


def test_a_channel_is_told_apart_by_its_state(ours: Api) -> None:
    Channel.objects.filter(pk=ours.channel.pk).update(state=ChannelState.ERROR, state_detail="a — b")
    told = ours.get(f"/channels/{ours.channel.pk.hex}")
    assert (told["state"], told["state_detail"]) == ("error", "a — b")


def test_a_credential_sealed_under_a_lost_key_is_a_problem_with_a_next_step(ours: Api) -> None:
    Channel.objects.filter(pk=ours.channel.pk).update(sealed_config=b"\x01" + b"0" * 40)
    told = problem(ours.call("POST", f"/channels/{ours.channel.pk.hex}/connect"), 409)
    assert told["code"] == "AMX-1201"
    assert "VAULT_KEY" in told["next_step"]


def test_a_list_costs_the_same_queries_however_long(ours: Api) -> None:
    ours.get("/channels")  # the key's use is noted now, and not again within the minute
    with CaptureQueriesContext(connection) as few:
        ours.get("/channels")
    for number in range(12):
        created(ours, {**TELEGRAM, "name": f"bot {number}"})
    with CaptureQueriesContext(connection) as many:
        assert len(ours.get("/channels")["results"]) == 13
    assert len(many) == len(few) == 2
