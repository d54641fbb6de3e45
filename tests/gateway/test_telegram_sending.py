from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.channels.telegram.adapter import Telegram
from gateway.messages import Outbound
from tests.telegram_api import TOKEN, telegram_api
from tests.telegram_spec import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


async def test_a_call_makes_no_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the certificates for one took 20 ms, in which the event loop did nothing else."""
    made: list[int] = []
    make = ssl.create_default_context

    def counted(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        made.append(1)
        return make(*args, **kwargs)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    with telegram_api(chats={42}) as api:
        adapter = Telegram(SimpleNamespace(TELEGRAM_API_URL=api.url))
        config = adapter.config({"bot_token": TOKEN})
        try:
            await adapter.send(config, Outbound("42", "text 0", "key"))
            made.clear()
            for number in (1, 2):
                await adapter.send(config, Outbound("42", f"text {number}", "key"))
        finally:
            await adapter.close()
        assert api.texts(42) == ["text 0", "text 1", "text 2"]
    assert made == []
