"""The Telegram room, outwards: calls as Telegram wants them, and its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import telegram.error as theirs

from deploy.servers import free_port
from gateway.channels.telegram.adapter import in_our_words
from gateway.errors import Ambiguous, ConfigRefused, ProviderAway, Refused, SendError, Throttled, Unreachable
from gateway.messages import Outbound
from tests.gateway.conformance import Room, Sends, chain
from tests.gateway.telegram_room import SECRET, room
from tests.telegram_api import TelegramApi, telegram_api
from tests.telegram_spec import missing

HOOK = "http://127.0.0.1:8443/webhooks/telegram/1"

SENT = [
    Sends("a text", "hi", {"chat_id": 42, "text": "hi"}),
    Sends("signs that mean something elsewhere", "<b>*_`1 & 2", {"chat_id": 42, "text": "<b>*_`1 & 2"}),
    Sends("as much as fits", "😀" * 2_048, {"chat_id": 42, "text": "😀" * 2_048}),
    Sends("to a group", "hi", {"chat_id": -1001234567890, "text": "hi"}, address="-1001234567890"),
    Sends("too fast", "hi", given=lambda api: api.throttle(1, 7), raises=Throttled, retry_after=7.0),
    Sends("to one who blocked us", "hi", given=lambda api: api.blocked.add(42), raises=Unreachable),
    Sends("to nobody we know", "hi", address="44", raises=Refused),
    Sends("too long", "x" * 4_097, raises=Refused),
    Sends("only white space", " \n ", raises=Refused),
    Sends("while Telegram fails", "hi", given=lambda api: api.fail(1, 500), raises=ProviderAway),
    Sends("while its gateway fails", "hi", given=lambda api: api.fail(1, 502), raises=ProviderAway),
    Sends(
        "accepted, and no answer in time",
        "hi",
        given=lambda api: api.hang_after_accept(1, 2),
        raises=Ambiguous,
    ),
    Sends(
        "accepted, and the connection breaks",
        "hi",
        {"chat_id": 42, "text": "hi"},
        given=lambda api: api.hang_after_accept(1, 0, drop=True),
        raises=Ambiguous,
    ),
]


@pytest.fixture
def api() -> Iterator[TelegramApi]:
    if missing():
        pytest.skip(missing())
    with telegram_api(chats={42, -1001234567890}) as api:
        yield api


@pytest.fixture
async def here(api: TelegramApi) -> AsyncIterator[Room]:
    here = room(api.url, timeout=0.5)
    yield here
    await here.adapter.close()


@pytest.mark.parametrize("case", SENT, ids=str)
async def test_a_part_is_sent(case: Sends, here: Room, api: TelegramApi, caplog: Any) -> None:
    await case.check(here, api, lambda: [call.params for call in api.calls("sendMessage")], caplog)


async def test_each_part_gets_the_id_that_telegram_gave_it(here: Room, api: TelegramApi) -> None:
    first, second = [
        await here.adapter.send(here.config, Outbound("42", text, "key")) for text in ("one", "two")
    ]
    assert first != second
    assert first.startswith("42:")
    assert api.texts(42) == ["one", "two"]


async def test_a_token_that_telegram_does_not_know(api: TelegramApi, caplog: Any) -> None:
    there = room(api.url, "654321:another-token-of-a-bot-0123456789abcdef")
    await Sends("", "hi", raises=ConfigRefused).check(there, api, list, caplog)
    await there.adapter.close()


async def test_a_telegram_that_is_not_there(caplog: Any) -> None:
    there = room(f"http://127.0.0.1:{free_port()}")
    await Sends("", "hi", raises=ProviderAway).check(there, None, list, caplog)
    await there.adapter.close()


async def test_many_that_come_together_all_arrive(here: Room, api: TelegramApi) -> None:
    """The first calls of an event loop, for which there is no pool of connections yet."""
    await asyncio.gather(*[here.adapter.send(here.config, Outbound("42", f"{n}", "key")) for n in range(20)])
    assert sorted(api.texts(42), key=int) == [str(n) for n in range(20)]


def caused(error: theirs.TelegramError, cause: Exception) -> theirs.TelegramError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (caused(theirs.TimedOut(), httpx.ConnectTimeout("")), ProviderAway),  # never left
        (caused(theirs.TimedOut(), httpx.PoolTimeout("")), ProviderAway),
        (caused(theirs.TimedOut(), httpx.ReadTimeout("")), Ambiguous),
        (caused(theirs.TimedOut(), httpx.WriteTimeout("")), Ambiguous),
        (caused(theirs.NetworkError("httpx.ConnectError: x"), httpx.ConnectError("")), ProviderAway),
        (caused(theirs.NetworkError("httpx.ReadError: x"), httpx.ReadError("")), Ambiguous),
        (theirs.NetworkError("Bad Gateway"), ProviderAway),
        (theirs.Conflict("x"), Refused),
        (theirs.ChatMigrated(-100), Refused),
        (theirs.BadRequest("x"), Refused),
        (theirs.TelegramError("x"), Refused),
    ],
)
def test_their_errors_in_our_words(error: theirs.TelegramError, ours: type[SendError]) -> None:
    assert type(in_our_words(error)) is ours


# -- connecting -------------------------------------------------------------------------------------------------------


async def test_connecting_tells_telegram_where_we_listen(here: Room, api: TelegramApi) -> None:
    for _ in range(2):  # it may be repeated
        await here.adapter.connect(here.config, HOOK)
    assert (api.webhook.url, api.webhook.secret_token) == (HOOK, SECRET)
    assert api.webhook.allowed_updates == ["message"]
    assert await here.adapter.probe(here.config, HOOK) == []


async def test_what_is_wrong_with_a_connection_is_found(here: Room, api: TelegramApi) -> None:
    (elsewhere,) = await here.adapter.probe(here.config, HOOK)
    assert elsewhere.trouble == "Telegram sends this bot's updates elsewhere, or nowhere"
    await here.adapter.connect(here.config, HOOK)
    api.webhook.last_error, api.webhook.last_error_date = "Connection refused", 1_764_000_000
    (unreached,) = await here.adapter.probe(here.config, HOOK)
    assert "Connection refused" in unreached.trouble


async def test_an_address_that_telegram_does_not_call(here: Room) -> None:
    with pytest.raises(Refused, match="https url must be provided") as caught:
        await here.adapter.connect(here.config, "http://studio.example/webhooks/telegram/1")
    here.holds_no_secret(*chain(caught.value))
