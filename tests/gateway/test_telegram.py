"""The Telegram room, inwards: updates in our words, and nobody else let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.telegram.adapter import SECRET_HEADER, TelegramConfig
from gateway.errors import BadConfig, BadSignature
from gateway.messages import Inbound
from tests.gateway.conformance import FIXTURES, Receives, refuses_bad_signatures, survives_bent_bodies
from tests.gateway.telegram_room import room
from tests.telegram_api import TOKEN
from tests.telegram_spec import folder, missing, specification

ADA = ("42", "42")

needs_specification = pytest.mark.skipif(bool(missing()), reason=missing() or "here")


RECEIVED = [
    Receives("a text", "text", Inbound(*ADA, "Do you open on Sundays?", "Ada Lovelace"), "100000001"),
    Receives(
        "any letters there are",
        "text_of_all_kinds",
        Inbound(*ADA, "שלום 👋🏽\n𝒳 – “quoted” \\u0041 é", "Ada Lovelace"),
        "100000002",
    ),
    Receives(
        "a text in a group: the answer goes there",
        "text_in_a_group",
        Inbound("43", "-1001234567890", "@shop_bot hello", "Bob"),
        "100000003",
    ),
    Receives("a reply to one of ours", "reply", Inbound(*ADA, "that one", "Ada Lovelace"), "100000004"),
    Receives("a command", "command", Inbound(*ADA, "/start from-the-website", "Ada Lovelace"), "100000005"),
    Receives("an edit, which we ignore", "edited", event="100000006"),
    Receives("a photo, for now ignored", "photo", event="100000007"),
    Receives("a sticker", "sticker", event="100000008"),
    Receives("a post of a channel", "channel_post", event="100000009"),
    Receives("words of nobody in particular", "anonymous_admin", event="100000010"),
    Receives("being blocked", "blocked_by_the_contact", event="100000011"),
    Receives("a button, which we never sent", "button_pressed", event="100000012"),
    Receives("a text of another kind", "unreadable_text", event="100000013", trouble="text"),
    Receives("a sender of another kind", "unreadable_sender", event="100000014", trouble="from"),
]
ODD = {"unreadable_text", "unreadable_sender"}


@pytest.mark.parametrize("case", RECEIVED, ids=str)
def test_an_update_in_our_words(case: Receives) -> None:
    case.check(room())


@pytest.mark.parametrize("case", RECEIVED, ids=str)
def test_who_is_not_telegram_is_not_let_in(case: Receives) -> None:
    refuses_bad_signatures(room(), case.fixture)


@pytest.mark.parametrize("case", RECEIVED, ids=str)
def test_a_bent_update_is_no_accident(case: Receives) -> None:
    survives_bent_bodies(room(), case.fixture)


@given(st.text(max_size=80))
def test_no_other_secret_opens(given: str) -> None:
    with pytest.raises(BadSignature):
        room().take({SECRET_HEADER: given}, b"{}")


def test_a_channel_without_a_secret_lets_nobody_in() -> None:
    """An empty header must not be equal to an empty secret."""
    here = room()
    for headers in ({}, {SECRET_HEADER: ""}):
        with pytest.raises(BadSignature):
            here.adapter.admit(TelegramConfig(TOKEN, ""), headers)


@needs_specification
@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "telegram").glob("*.json")))
def test_our_samples_are_what_telegram_sends(name: str) -> None:
    """By the Bot API's specification. The odd ones are not: that is what they are for."""
    update = json.loads(room().body(name))
    if name in ODD:
        with pytest.raises(ValueError, match="not a valid Update"):
            specification(folder()).check(["Update"], update)
    else:
        specification(folder()).check(["Update"], update)
    assert name in {case.fixture for case in RECEIVED}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"bot_token": 7},
        {"bot_token": "canary"},
        {"bot_token": ":canary" * 9},
        {"bot_token": TOKEN, "more": "canary"},
    ],
)
def test_a_configuration_that_cannot_work_is_said_so_and_not_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(BadConfig) as caught:
        room().adapter.new_config(given)
    assert "canary" not in str(caught.value)


def test_every_channel_gets_a_secret_of_its_own() -> None:
    adapter = room().adapter
    first, second = [adapter.new_config({"bot_token": TOKEN, "webhook_secret": "mine"}) for _ in range(2)]
    assert len({first.webhook_secret, second.webhook_secret, "mine"}) == 3
    assert adapter.webhook_secret(first) == first.webhook_secret
