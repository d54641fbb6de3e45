"""The web chat room: no provider in between, so no webhook, and sending is storing."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.channels.webchat.adapter import WebChat, WebChatConfig
from gateway.errors import BadConfig, BadSignature
from gateway.messages import Outbound, Webhook


def test_nobody_gets_in_by_webhook() -> None:
    room, config = WebChat(None), WebChatConfig()
    webhook = Webhook("POST", {"authorization": "anything"}, b"{}")
    with pytest.raises(BadSignature):
        room.admit(config, webhook.headers)
    for door in (room.verify, room.parse):
        with pytest.raises(BadSignature):
            door(config, webhook)


async def test_a_part_is_known_by_its_key_however_often_it_is_sent() -> None:
    part = Outbound("visitor", "hi", "key")
    assert [await WebChat(None).send(WebChatConfig(), part) for _ in range(2)] == ["key", "key"]
    assert WebChat.limits.idempotent


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "http://localhost:8080", "https://*.shop.example"]
)
def test_an_origin_is_a_site(origin: str) -> None:
    assert WebChat(None).new_config({"origins": [origin]}).origins == [origin]


@pytest.mark.parametrize(
    "given",
    [
        {"origins": ["https://a.example; script-src *"]},
        {"origins": ["https://a.example\nx"]},
        {"origins": ["*"]},
        {"origins": "https://a.example"},
        {"greetings": "hi"},
        {"greeting": 7},
    ],
)
def test_what_is_none_is_refused(given: dict[str, Any]) -> None:
    """It becomes part of a header."""
    with pytest.raises(BadConfig):
        WebChat(None).new_config(given)
