"""Telegram Bot API. https://core.telegram.org/bots/api (10.1, read 2026-11-20)

Updates arrive as POST with X-Telegram-Bot-Api-Secret-Token. Anything but a 2xx is repeated by Telegram, so updates
that we ignore or cannot read are answered 200 too. Calls go through python-telegram-bot.

    {"update_id": 7, "message": {"message_id": 1, "date": 1764000000, "text": "hi",
     "chat": {"id": 42, "type": "private"}, "from": {"id": 42, "is_bot": false, "first_name": "Ada"}}}
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import telegram.error as theirs
from telegram import Bot
from telegram.request import HTTPXRequest

from gateway.adapter import ChannelAdapter
from gateway.channels.telegram.payloads import AnyUpdate, Update
from gateway.errors import (
    Ambiguous,
    BadConfig,
    BadPayload,
    BadSignature,
    ConfigRefused,
    ProviderAway,
    Refused,
    SendError,
    Throttled,
    Unreachable,
)
from gateway.messages import Finding, Inbound, Limits, Outbound, Parsed, Webhook

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105  (the header's name)
# Telegram keeps the last list when none is given, so it is always given.
ALLOWED_UPDATES = ["message"]
# python-telegram-bot gives periods as timedelta, as its next release will, and does not warn of it.
os.environ.setdefault("PTB_TIMEDELTA", "true")


class TelegramConfig(msgspec.Struct, forbid_unknown_fields=True):
    bot_token: str
    webhook_secret: str = ""


class Telegram(ChannelAdapter[TelegramConfig]):
    kind = "telegram"
    label = "Telegram"
    limits = Limits(text=4096)
    config_type = TelegramConfig
    call_timeout = 15.0  # seconds

    def __init__(self, settings: Any) -> None:
        self._api_url: str = settings.TELEGRAM_API_URL
        self._update = msgspec.json.Decoder(Update)
        self._any_update = msgspec.json.Decoder(AnyUpdate)
        self._requests: WeakKeyDictionary[asyncio.AbstractEventLoop, HTTPXRequest] = WeakKeyDictionary()

    def new_config(self, given: Mapping[str, Any]) -> TelegramConfig:
        config = self.config(given)
        number, _, rest = config.bot_token.partition(":")
        if not number.isdigit() or len(rest) < 20:
            raise BadConfig("bot_token must look like 123456:ABC…, as @BotFather gave it")
        config.webhook_secret = secrets.token_urlsafe(32)
        return config

    def webhook_secret(self, config: TelegramConfig) -> str:
        return config.webhook_secret

    def admit(self, config: TelegramConfig, headers: Mapping[str, str]) -> None:
        given = headers.get(SECRET_HEADER, "").encode()
        if not config.webhook_secret or not hmac.compare_digest(given, config.webhook_secret.encode()):
            raise BadSignature

    def verify(self, config: TelegramConfig, webhook: Webhook) -> None:
        # The secret is all that Telegram offers; it does not sign the body.
        self.admit(config, webhook.headers)

    def parse(self, config: TelegramConfig, webhook: Webhook) -> Parsed:
        try:
            return self._understood(self._update.decode(webhook.body))
        except (msgspec.ValidationError, RecursionError) as error:
            return Parsed(self._event_of(webhook.body), trouble=str(error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadPayload("the body is not JSON") from error

    def _understood(self, update: Update) -> Parsed:
        message, event = update.message, str(update.update_id)
        if message is None or message.sender is None or not message.text:
            return Parsed(event)
        name = f"{message.sender.first_name} {message.sender.last_name}".strip()
        return Parsed(event, Inbound(str(message.sender.id), str(message.chat.id), message.text, name))

    def _event_of(self, body: bytes) -> str:
        """The id of an update that we cannot read otherwise; empty where even that is not to be had."""
        try:
            return str(self._any_update.decode(body).update_id)
        except (msgspec.ValidationError, RecursionError):
            return ""
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadPayload("the body is not JSON") from error

    async def send(self, config: TelegramConfig, part: Outbound) -> str:
        async with self._bot(config, await self._pool()) as bot:
            sent = await bot.send_message(chat_id=int(part.address), text=part.text)
        return f"{part.address}:{sent.message_id}"

    async def connect(self, config: TelegramConfig, webhook_url: str) -> None:
        async with self._once(config) as bot:
            await bot.set_webhook(
                webhook_url, secret_token=config.webhook_secret, allowed_updates=ALLOWED_UPDATES
            )

    async def probe(self, config: TelegramConfig, webhook_url: str) -> list[Finding]:
        async with self._once(config) as bot:
            info = await bot.get_webhook_info()
        if info.url != webhook_url:
            return [
                Finding(
                    "Telegram sends this bot's updates elsewhere, or nowhere", "press Connect on the channel"
                )
            ]
        if info.last_error_message:
            return [
                Finding(
                    f"Telegram could not reach us: {info.last_error_message}",
                    "check STUDIO_URL and your proxy",
                )
            ]
        return []

    async def close(self) -> None:
        if request := self._requests.pop(asyncio.get_running_loop(), None):
            await request.shutdown()

    async def _pool(self) -> HTTPXRequest:
        """The connections of all bots in this event loop, kept until `close`."""
        loop = asyncio.get_running_loop()
        if loop not in self._requests:
            # Kept before anything is awaited: calls that come meanwhile must find this one.
            request = self._requests[loop] = self._request(size=100)
            await request.initialize()
        return self._requests[loop]

    @asynccontextmanager
    async def _once(self, config: TelegramConfig) -> AsyncIterator[Bot]:
        """A bot for a call now and then, with a connection of its own."""
        request = self._request(size=1)
        await request.initialize()
        try:
            async with self._bot(config, request) as bot:
                yield bot
        finally:
            await request.shutdown()

    @asynccontextmanager
    async def _bot(self, config: TelegramConfig, request: HTTPXRequest) -> AsyncIterator[Bot]:
        """python-telegram-bot, its errors in our words."""
        # Without a second one, which no call of ours uses, it makes a client each time, for 20 ms of CPU.
        bot = Bot(
            config.bot_token, base_url=f"{self._api_url}/bot", request=request, get_updates_request=request
        )
        try:
            yield bot
        except theirs.TelegramError as error:
            raise in_our_words(error) from None  # the original may hold the token in its address

    def _request(self, size: int) -> HTTPXRequest:
        return HTTPXRequest(
            connection_pool_size=size,
            read_timeout=self.call_timeout,
            write_timeout=self.call_timeout,
            connect_timeout=self.call_timeout,
        )


def in_our_words(error: Exception) -> SendError:
    """What became of a call that python-telegram-bot reports as `error`."""
    match error:
        case theirs.RetryAfter():
            assert not isinstance(error.retry_after, int)
            return Throttled("Telegram asks us to slow down", retry_after=error.retry_after.total_seconds())
        case theirs.Forbidden():
            return Unreachable(error.message)
        case theirs.InvalidToken():
            return ConfigRefused("Telegram does not know this bot token")
        case theirs.TimedOut():
            # A connect timeout proves that nothing was sent; any other leaves it open.
            connecting = type(error.__cause__).__name__ in {"ConnectTimeout", "PoolTimeout"}
            return ProviderAway("no connection") if connecting else Ambiguous("no answer in time")
        case theirs.BadRequest():
            return Refused(error.message)
        case theirs.NetworkError():
            refused = type(error.__cause__).__name__ == "ConnectError"
            return ProviderAway("no connection") if refused else _server_error(error.message)
        case _:
            return Refused(str(getattr(error, "message", type(error).__name__)))


def _server_error(message: str) -> SendError:
    """A 5xx answer says that Telegram failed before taking the call; a broken connection says nothing."""
    broken = message.startswith("httpx.")
    return Ambiguous("the connection broke") if broken else ProviderAway(message)
