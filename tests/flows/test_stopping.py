"""SIGTERM: what is under way ends well, and what is left goes on after the next start."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.flows.conftest import MakeAgent
from tests.processes import Studio, answered, until
from tests.telegram_api import TOKEN, TelegramApi


@pytest.mark.sqlite
def test_a_studio_that_is_stopped_under_load_loses_nothing(
    studio: Studio, api: httpx.Client, telegram: TelegramApi, make_agent: MakeAgent
) -> None:
    make_agent(studio)
    wanted: dict[str, Any] = {
        "kind": "telegram",
        "name": "Bot",
        "config": {"bot_token": TOKEN},
        "connect": True,
    }
    answered(api.post("/channels", json=wanted), 201)
    for n in range(30):
        assert telegram.deliver(telegram.text_update(n % 5 + 1, f"{n}")) == [200]
    took = studio.stop(within=15)
    print(f"\nstopped in {took:.1f} s under load")
    studio.start()

    def texts() -> list[str]:
        return [call.params["text"] for call in telegram.calls("sendMessage")]

    until(lambda: len(texts()) >= 30)
    assert sorted(texts()) == sorted(f"echo {n}" for n in range(30))
    for chat in range(1, 6):
        said = [
            int(c.params["text"][5:]) for c in telegram.calls("sendMessage") if c.params["chat_id"] == chat
        ]
        assert said == sorted(said)
