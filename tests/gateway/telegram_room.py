"""The Telegram adapter with a configuration, for its tests."""

from __future__ import annotations

from types import SimpleNamespace

from gateway.channels.telegram.adapter import SECRET_HEADER, Telegram, TelegramConfig
from tests.gateway.conformance import Room
from tests.telegram_api import TOKEN

SECRET = "a-secret_of-the-webhook-0123456789abcdef"


def room(url: str = "http://127.0.0.1:1", token: str = TOKEN, timeout: float = 5.0) -> Room:
    """`url`: of the Bot API; `timeout`: seconds that a call may take."""
    adapter = Telegram(SimpleNamespace(TELEGRAM_API_URL=url))
    adapter.call_timeout = timeout
    return Room(adapter, TelegramConfig(token, SECRET), lambda body: {SECRET_HEADER: SECRET}, [token, SECRET])
