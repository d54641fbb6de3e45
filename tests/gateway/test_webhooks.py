"""The front door for providers: what gets in, what does not, and what those are told who stay outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.channels.telegram.adapter import Telegram as Adapter
from gateway.models import Channel, ChannelState, EventState, InboundEvent, Message
from tests.agent_link.tunnels import in_thread, writer_busy
from tests.gateway.doors import MAX_BODY, SECRET, Door, Telegram, opened, text_update
from tests.make import make_channel, make_workspace

pytestmark = pytest.mark.sqlite


@pytest.fixture
def channel(transactional_db: None, settings: Any) -> Channel:
    settings.REDIS_URL = ""
    return make_channel(make_workspace(), "telegram")


@pytest.fixture
def telegram(channel: Channel) -> Telegram:
    return Telegram(channel)


@pytest.fixture
async def door(channel: Channel) -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


@in_thread
def stored() -> list[tuple[str, str, str]]:
    return list(InboundEvent.objects.order_by("received_at").values_list("external_id", "state", "payload"))


def code(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(json.loads(answer.body)["code"])


async def test_a_message_is_stored_before_it_is_answered(door: Door, telegram: Telegram) -> None:
    with door.bus.listen("lanes") as lanes:
        answer = await telegram.deliver(door, text_update("hello"))
        assert answer.told == (
            200,
            {"content-type": "application/json", "content-length": "11"},
            b'{"ok":true}',
        )
        (event,) = await stored()
        assert event == ("7", EventState.RECORDED, json.dumps(text_update("hello")))
        lane = (await in_thread(Message.objects.get)()).conversation_id.hex
        assert await lanes.next(1) == ("lanes", {"workspace": telegram.workspace, "lane": lane})


@pytest.mark.parametrize("given", [None, "", "wrong", "secret", "Secret ", "é"])
async def test_a_wrong_secret_is_refused_unread(door: Door, telegram: Telegram, given: str | None) -> None:
    """403, nothing stored, nothing echoed; the body, which may be large, is not even taken."""
    presented = {"secret": telegram.secret[:-1], "Secret ": telegram.secret + " "}.get(given or "", given)
    headers = {} if presented is None else {SECRET: presented}
    answer = await telegram.deliver(door, text_update("canary"), headers=headers)
    assert (answer.status, code(answer), answer.read) == (403, "AMX-2403", 0)
    seen = answer.body + json.dumps(answer.headers).encode()
    for said in (
        b"canary",
        telegram.id.encode(),
        telegram.secret[:8].encode(),
        (presented or "canary").encode(),
    ):
        assert said not in seen
    assert await stored() == []


async def test_what_is_not_there_looks_as_a_wrong_secret_does(door: Door, telegram: Telegram) -> None:
    """No telling which channels exist: not from the status, not from a header, not from a byte."""
    webchat = await in_thread(lambda: make_channel(make_workspace(), "webchat").pk.hex)()
    wrong = await telegram.deliver(door, text_update(), headers={SECRET: "wrong"})
    for path in [
        "/webhooks/telegram/" + "0" * 32,
        "/webhooks/telegram/nonsense",
        "/webhooks/telegram/",
        "/webhooks/",
        f"/webhooks/webchat/{telegram.id}",
        f"/webhooks/telegram/{webchat}",
        f"/webhooks/webchat/{webchat}",
        f"/webhooks/{telegram.id}",
        f"{telegram.path}/more",
        f"/webhooks/telegram/{telegram.id.upper()}",
    ]:
        answer = await door.knock(path, b"{}", telegram.signed)
        assert answer.told == wrong.told, path
        assert answer.read == 0


async def test_a_disabled_channel_is_not_there(door: Door, telegram: Telegram, channel: Channel) -> None:
    assert (await telegram.deliver(door, text_update())).status == 200
    channel.state = ChannelState.DISABLED
    await in_thread(channel.save)()
    door.bus.publish("channels", {"channel": telegram.id})
    assert (await telegram.deliver(door, text_update(number=8))).status == 403
    assert len(await stored()) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"hello", b"\xff\xfe", b'{"update_id": 7', b'"\xed\xa0\x80"'])
async def test_what_is_no_json_is_said_so(door: Door, telegram: Telegram, body: bytes) -> None:
    answer = await telegram.deliver(door, body)
    assert (answer.status, code(answer)) == (400, "AMX-2400")
    assert await stored() == []


@pytest.mark.parametrize(
    ("update", "known_by"),
    [
        (text_update(text=5), "7"),
        ({"update_id": 7, "message": []}, "7"),
        ({"message": {}}, "sha256:"),
        ([], "sha256:"),
        (b'{"update_id": 7, "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "sha256:"),
    ],
)
async def test_what_we_do_not_understand_is_taken_and_kept(
    door: Door, telegram: Telegram, update: Any, known_by: str
) -> None:
    """Else Telegram would send it again and again. It is shown in the inspector, and once."""
    for _ in range(2):
        assert (await telegram.deliver(door, update)).status == 200
    ((external_id, state, payload),) = await stored()
    assert external_id.startswith(known_by)
    assert state == EventState.UNREADABLE
    assert payload == (update.decode() if isinstance(update, bytes) else json.dumps(update))


async def test_a_mistake_of_our_own_loses_nothing(
    door: Door, telegram: Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser fails in a way nobody thought of: what came is kept, to be read again when it is mended."""

    def broken(*_: Any) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Adapter, "parse", broken)
    assert (await telegram.deliver(door, text_update())).status == 200
    ((_, state, payload),) = await stored()
    assert (state, json.loads(payload)) == (EventState.UNREADABLE, text_update())


async def test_an_event_of_no_interest_is_taken_too(door: Door, telegram: Telegram) -> None:
    assert (await telegram.deliver(door, {"update_id": 7, "edited_message": {}})).status == 200
    assert [(id, state) for id, state, _ in await stored()] == [("7", EventState.IGNORED)]


async def test_a_repeat_is_answered_the_same_and_stored_once(door: Door, telegram: Telegram) -> None:
    answers = await asyncio.gather(*[telegram.deliver(door, text_update()) for _ in range(5)])
    answers.append(await telegram.deliver(door, text_update("changed")))
    assert {answer.told[0] for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(await stored()) == 1
    assert (await in_thread(Message.objects.get)()).text == "hi"


async def test_a_declared_two_megabytes_are_not_read(door: Door, telegram: Telegram) -> None:
    answer = await telegram.deliver(door, b"x" * 2 * 2**20)
    assert (answer.status, code(answer), answer.read) == (413, "AMX-1413", 0)


async def test_two_megabytes_that_were_not_declared_are_read_up_to_the_limit(
    door: Door, telegram: Telegram
) -> None:
    piece = b"x" * 2**16
    answer = await door.knock(telegram.path, [piece] * 32, telegram.signed)
    assert (answer.status, answer.read) == (413, MAX_BODY // len(piece) + 1)
    assert await stored() == []


@pytest.mark.parametrize("declared", ["-1", "1e3", "²", "", "9" * 5_000, str(MAX_BODY + 1)])
async def test_a_length_that_is_none_is_too_large(door: Door, telegram: Telegram, declared: str) -> None:
    answer = await door.knock(telegram.path, [b"{}"], telegram.signed | {"content-length": declared})
    assert (answer.status, answer.read) == (413, 0)


async def test_a_body_in_pieces_is_put_together(door: Door, telegram: Telegram) -> None:
    body = json.dumps(text_update("hello")).encode()
    answer = await door.knock(telegram.path, [body[:10], b"", body[10:]], telegram.signed)
    assert answer.status == 200
    assert len(await stored()) == 1


async def test_who_is_slow_is_not_waited_for(channel: Channel, telegram: Telegram) -> None:
    async with opened(read_timeout=0.05) as door:

        async def trickle() -> dict[str, Any]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b" ", "more_body": True}

        answer = await door.knock(telegram.path, trickle, telegram.signed)
        assert (answer.status, code(answer)) == (408, "AMX-1408")
        assert answer.read <= 4


async def test_who_hangs_up_leaves_nothing(door: Door, telegram: Telegram) -> None:
    async def hang_up() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert (await door.knock(telegram.path, hang_up, telegram.signed)).status == 400
    assert await stored() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_webhooks_are_sent_by_post(door: Door, telegram: Telegram, method: str) -> None:
    answer = await telegram.deliver(door, text_update(), method=method)
    assert (answer.status, code(answer)) == (405, "AMX-2405")


async def test_ten_thousand_guesses_are_hardly_looked_at(door: Door, telegram: Telegram) -> None:
    statuses = []
    for n in range(10_000):
        statuses.append((await telegram.deliver(door, b"{}", headers={SECRET: f"guess{n}"})).status)
    assert statuses.count(429) >= 9_900
    assert statuses.count(403) + statuses.count(429) == 10_000
    refused = await telegram.deliver(door, text_update())
    assert refused.status == 429, "even with the right one: the address must wait"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await telegram.deliver(door, text_update(), address="192.0.2.2")).status == 200


async def test_a_provider_that_proves_itself_is_never_slowed_down(door: Door, telegram: Telegram) -> None:
    for n in range(100):
        assert (await telegram.deliver(door, text_update(number=n))).status == 200


async def test_while_the_database_is_away_nothing_is_promised(channel: Channel, telegram: Telegram) -> None:
    """503 and when to come again, not a single 2xx; and once it is back all goes on."""
    async with opened(queue=1) as door:
        assert (await telegram.deliver(door, text_update(number=1))).status == 200
        async with writer_busy(door.commit):
            waiting = door.commit.submit(lambda cursor, rows: rows, None)
            for answer in [await telegram.deliver(door, text_update(number=n)) for n in (2, 3)]:
                assert (answer.status, code(answer)) == (503, "AMX-1503")
                assert int(answer.headers["retry-after"]) >= 1
            unknown = await door.knock("/webhooks/telegram/" + "0" * 32, b"{}")
            assert unknown.status == 503, "whether there is such a channel is not known"
        await waiting
        assert (await telegram.deliver(door, text_update(number=2))).status == 200
    assert [id for id, _, _ in await stored()] == ["1", "2"]


async def test_a_channel_that_cannot_be_opened_asks_to_try_again(
    channel: Channel, telegram: Telegram, settings: Any
) -> None:
    """As after a change of VAULT_KEY. Nobody can be let in; nothing may be lost either."""
    settings.VAULT_KEY = bytes(32)
    async with opened() as door:
        answer = await telegram.deliver(door, text_update())
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
