"""The Bot API server that the other tests talk to, tried with an independent client: python-telegram-bot."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from tests.telegram_api import TOKEN, TelegramApi, telegram_api
from tests.telegram_spec import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "here")

PROJECT = Path(__file__).parents[1]
ADA, BLOCKER, STRANGER = 42, 43, 44


@pytest.fixture
def api() -> Iterator[TelegramApi]:
    with telegram_api(chats={ADA, BLOCKER}) as api:
        api.blocked.add(BLOCKER)
        yield api


@pytest.fixture(scope="module")
def refusing() -> Iterator[TelegramApi]:
    """For calls that change nothing: one server for all of them."""
    with telegram_api(chats={ADA}) as api:
        yield api
        assert not api.sent


@pytest.fixture
async def bot(api: TelegramApi) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=api.base_url) as bot:
        yield bot


class Hook:
    """A webhook of ours: answers with the statuses it is given, then 200, and keeps what came."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.came: list[tuple[str | None, Any]] = []
        self.url = ""


@contextmanager
def hook(*statuses: int) -> Iterator[Hook]:
    kept = Hook(list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.came.append((self.headers["X-Telegram-Bot-Api-Secret-Token"], body))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# What is carried out


async def test_a_bot_learns_who_it_is(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot) == (123456, True)


async def test_a_message_is_sent_and_recorded(api: TelegramApi, bot: Bot) -> None:
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
    message = await bot.send_message(ADA, " Grüße 👋 ", reply_markup=keys, disable_notification=True)
    assert (message.chat.id, message.text) == (ADA, "Grüße 👋")
    [call] = api.sent[1:]  # after getMe
    assert (call.method, call.params["disable_notification"]) == ("sendMessage", True)
    assert call.params["reply_markup"] == keys.to_dict()
    assert api.texts(ADA) == [" Grüße 👋 "]


async def test_a_message_is_edited(api: TelegramApi, bot: Bot) -> None:
    message = await bot.send_message(ADA, "thinking …")
    edited = await message.edit_text("42")
    assert isinstance(edited, type(message))
    assert (edited.message_id, edited.text) == (message.message_id, "42")
    with pytest.raises(BadRequest, match="is not modified"):
        await message.edit_text("42")


async def test_the_webhook_is_registered_told_and_removed(bot: Bot) -> None:
    await bot.set_webhook("https://studio.example/w", secret_token="s-1", allowed_updates=["message"])
    info = await bot.get_webhook_info()
    assert (info.url, info.allowed_updates) == ("https://studio.example/w", ("message",))
    with pytest.raises(Conflict):
        await bot.get_updates()
    await bot.delete_webhook()
    assert (await bot.get_webhook_info()).url == ""
    assert await bot.get_updates() == ()


@pytest.mark.parametrize("name", ["sendMessage", "sendmessage", "SENDMESSAGE"])
def test_parameters_come_as_query_form_multipart_or_json(api: TelegramApi, name: str) -> None:
    url, said = f"{api.base_url}{TOKEN}/{name}", {"chat_id": str(ADA), "text": "hi"}
    for answer in (
        httpx.get(url, params=said),
        httpx.post(url, data=said),
        httpx.post(url, files={key: (None, value) for key, value in said.items()}),
        httpx.post(url, json={"chat_id": ADA, "text": "hi"}),
    ):
        assert answer.json()["result"]["text"] == "hi", answer.text
    assert api.texts(ADA) == ["hi"] * 4


# What is refused


def test_an_unknown_method(refusing: TelegramApi) -> None:
    answer = httpx.post(f"{refusing.base_url}{TOKEN}/sendTelepathy")
    assert answer.status_code == 404
    assert answer.json() == {"ok": False, "error_code": 404, "description": "Not Found"}


def test_a_wrong_token(refusing: TelegramApi) -> None:
    answer = httpx.post(f"{refusing.base_url}1:wrong/getMe")
    assert answer.status_code == 401
    assert answer.json() == {"ok": False, "error_code": 401, "description": "Unauthorized"}


async def test_the_client_understands_a_wrong_token(refusing: TelegramApi) -> None:
    bot = Bot("1:wrong", base_url=refusing.base_url)
    with pytest.raises(InvalidToken):
        await bot.get_me()
    await bot.request.shutdown()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"text": "hi"}, "chat_id is empty"),
        ({"chat_id": ADA}, "message text is empty"),
        ({"chat_id": ADA, "text": ""}, "message text is empty"),
        ({"chat_id": ADA, "text": " \n"}, "message text is empty"),
        ({"chat_id": ADA, "text": "a" * 4097}, "message is too long"),
        ({"chat_id": ADA, "text": "👋" * 2049}, "message is too long"),
        ({"chat_id": STRANGER, "text": "hi"}, "chat not found"),
        ({"chat_id": "ada", "text": "hi"}, "chat not found"),
        ({"chat_id": ADA, "text": 5}, "text: 5 is not of type 'string'"),
        ({"chat_id": ADA, "text": "hi", "disable_notification": "perhaps"}, "disable_notification:"),
        ({"chat_id": ADA, "text": "hi", "reply_markup": "{"}, "can't parse reply_markup JSON object"),
        ({"chat_id": ADA, "text": "hi", "reply_markup": {"inline_keyboard": "x"}}, "reply_markup"),
        ({"chat_id": ADA, "text": "hi", "reply_parameters": {}}, "'message_id' is a required property"),
    ],
)
def test_a_message_that_telegram_would_not_send(
    refusing: TelegramApi, said: dict[str, Any], answer: str
) -> None:
    got = httpx.post(f"{refusing.base_url}{TOKEN}/sendMessage", json=said)
    assert got.status_code == 400
    assert got.json()["description"].startswith("Bad Request: ")
    assert answer in got.json()["description"]
    assert refusing.refused[-1].description == got.json()["description"]


def test_the_longest_message_is_sent(api: TelegramApi) -> None:
    """4,096 UTF-16 units, of which this sign takes two."""
    longest = {"chat_id": ADA, "text": "👋" * 2048}
    assert httpx.post(f"{api.base_url}{TOKEN}/sendMessage", json=longest).status_code == 200


async def test_errors_as_the_client_names_them(
    api: TelegramApi, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # else it warns that retry_after will change its type
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(BLOCKER, "hi")
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(STRANGER, "hi")
    api.throttle(1, retry_after=7)
    with pytest.raises(RetryAfter) as throttled:
        await bot.send_message(ADA, "hi")
    assert throttled.value.retry_after == timedelta(seconds=7)
    api.fail(1, 502)
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.send_message(ADA, "hi")
    assert api.texts(ADA) == []
    await bot.send_message(ADA, "hi")
    assert api.texts(ADA) == ["hi"]


async def test_a_chat_action_is_one_of_telegrams(bot: Bot) -> None:
    assert await bot.send_chat_action(ADA, "typing")
    assert await bot.send_chat_action(ADA, "upload_voice")
    with pytest.raises(BadRequest, match="Wrong parameter action"):
        await bot.send_chat_action(ADA, "dancing")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({}, "url is empty"),
        ({"url": "http://studio.example/w"}, "An HTTPS URL must be provided"),
        ({"url": "ftp://127.0.0.1/w"}, "An HTTPS URL must be provided"),
        ({"url": "https://studio.example:9000/w"}, "only on ports 80, 88, 443 or 8443"),
        ({"url": "https://studio.example/w", "secret_token": "not allowed"}, "unallowed characters"),
        ({"url": "https://studio.example/w", "secret_token": "s" * 257}, "secret token is too long"),
    ],
)
def test_a_webhook_that_telegram_would_not_take(
    refusing: TelegramApi, said: dict[str, Any], answer: str
) -> None:
    got = httpx.post(f"{refusing.base_url}{TOKEN}/setWebhook", json=said)
    assert got.status_code == 400
    assert answer in got.json()["description"]
    assert refusing.webhook.url == ""


def test_what_is_not_played_says_so(refusing: TelegramApi) -> None:
    got = httpx.post(f"{refusing.base_url}{TOKEN}/sendDice", json={"chat_id": ADA})
    assert got.status_code == 501
    formatted = {"chat_id": ADA, "text": "*hi*", "parse_mode": "MarkdownV2"}
    assert httpx.post(f"{refusing.base_url}{TOKEN}/sendMessage", json=formatted).status_code == 501


# Accepted, and yet no good answer


async def test_a_message_may_be_sent_though_the_answer_is_late_or_lost(api: TelegramApi, bot: Bot) -> None:
    api.hang_after_accept(1, 5.0)
    began = time.monotonic()
    with pytest.raises(TimedOut):
        await bot.send_message(ADA, "late", read_timeout=0.2)
    api.hang_after_accept(1, 0.0, drop=True)
    with pytest.raises(NetworkError):
        await bot.send_message(ADA, "lost")
    assert time.monotonic() - began < 3
    assert api.texts(ADA) == ["late", "lost"]


# Telegram's sending half


def test_updates_carry_the_secret_and_are_repeated_until_taken(api: TelegramApi) -> None:
    with hook(503, 403) as ours:
        httpx.post(
            f"{api.base_url}{TOKEN}/setWebhook", data={"url": ours.url, "secret_token": "s_1"}
        ).raise_for_status()
        first, second = api.text_update(STRANGER, "hi"), api.text_update(STRANGER, "ho", update_id=7)
        assert api.deliver(first) == [503, 403, 200]
        assert api.deliver(second) == [200]
    assert [update["update_id"] for _, update in ours.came] == [first["update_id"]] * 3 + [7]
    assert {secret for secret, _ in ours.came} == {"s_1"}
    info = httpx.get(f"{api.base_url}{TOKEN}/getWebhookInfo").json()["result"]
    assert info["last_error_message"] == "Wrong response from the webhook: 403 Forbidden"
    assert httpx.post(
        f"{api.base_url}{TOKEN}/sendMessage", json={"chat_id": STRANGER, "text": "You wrote first."}
    ).is_success


def test_a_webhook_that_is_away_is_tried_until_patience_ends(api: TelegramApi) -> None:
    with hook() as ours:
        away = ours.url
    httpx.post(f"{api.base_url}{TOKEN}/setWebhook", data={"url": away}).raise_for_status()
    tries = api.deliver(api.text_update(ADA, "hi"), patience=0.3)
    assert set(tries) == {0}
    assert len(tries) >= 2


def test_only_updates_that_exist_and_were_asked_for_are_sent(api: TelegramApi) -> None:
    with hook() as ours:
        url = f"{api.base_url}{TOKEN}/setWebhook"
        with pytest.raises(ValueError, match="no webhook"):
            api.deliver(api.text_update(ADA, "hi"))
        httpx.post(url, json={"url": ours.url, "allowed_updates": ["message"]}).raise_for_status()
        with pytest.raises(ValueError, match="not a valid Update"):
            api.deliver({"update_id": 1, "message": {"text": "no chat, no date"}})
        edited = {"update_id": 2, "edited_message": api.text_update(ADA, "hi")["message"]}
        assert api.deliver(edited) == []
    assert ours.came == []


# As a process


def test_as_a_process_it_logs_each_message_before_it_answers(tmp_path: Path) -> None:
    log = tmp_path / "sent.jsonl"
    command = [sys.executable, "-m", "tests.telegram_api", "--token", "9:x", "--log", str(log)]
    running = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert running.stdout
    with running.stdout:
        url = running.stdout.readline().strip()
        for text in ("one", "two", ""):
            httpx.post(f"{url}/bot9:x/sendMessage", data={"chat_id": "5", "text": text})
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert [(line["method"], line["params"]) for line in lines] == [
        ("sendMessage", {"chat_id": 5, "text": "one"}),
        ("sendMessage", {"chat_id": 5, "text": "two"}),
    ]
