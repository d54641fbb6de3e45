"""Channels: adding, connecting, disabling, and what is never shown unasked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from gateway.models import Channel, ChannelState
from gateway.registry import adapter, config_of
from tests import make

TOKEN = "123456:AAE-not-a-real-token-of-a-bot"


@pytest.fixture
def no_telegram(settings: Settings) -> Iterator[None]:
    """Nobody listens where Telegram should be."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        settings.TELEGRAM_API_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
        adapter.cache_clear()
        yield
    adapter.cache_clear()


@pytest.mark.sqlite
def test_alice_adds_a_web_chat(as_alice: Client) -> None:
    given = {
        "name": "Website",
        "greeting": "Welcome!",
        "suggestions": "When are you open?\n\n  Where are you?  ",
        "origins": "https://www.example.com/\nhttp://localhost:3000",
    }
    answer = as_alice.post(reverse("new_webchat"), given)
    channel = Channel.objects.get()
    assert answer["Location"] == reverse("channel", args=[channel.pk])
    assert (channel.name, channel.state) == ("Website", ChannelState.ACTIVE)
    config = config_of(channel)
    assert config.greeting == "Welcome!"
    assert config.suggestions == ["When are you open?", "Where are you?"]
    assert config.origins == ["https://www.example.com", "http://localhost:3000"]


@pytest.mark.parametrize(
    "origin",
    ["example.com", "https://a.b; script-src *", "https://a.b/path", "javascript:alert(1)", "https://"],
)
def test_a_site_is_a_scheme_and_a_host(as_alice: Client, origin: str) -> None:
    answer = as_alice.post(reverse("new_webchat"), {"name": "x", "greeting": "x", "origins": origin})
    assert "is not a site" in answer.content.decode()
    assert not Channel.objects.exists()


def test_suggestions_are_few_and_short(as_alice: Client) -> None:
    for suggestions in ("\n".join("abcdef"), "x" * 81):
        given = {"name": "x", "greeting": "x", "suggestions": suggestions}
        assert "At most 5 lines" in as_alice.post(reverse("new_webchat"), given).content.decode()


def test_a_telegram_channel_that_cannot_connect_is_kept_and_says_why(
    as_alice: Client, no_telegram: None
) -> None:
    given = {"name": "Bot", "bot_token": TOKEN}
    answer = as_alice.post(reverse("new_telegram"), given, follow=True)
    channel = Channel.objects.get()
    assert channel.state == ChannelState.ERROR
    page = answer.content.decode()
    assert "Needs attention" in page
    assert "AMX-2503" in page
    assert "press Connect" in page
    assert TOKEN not in page


def test_a_token_that_cannot_be_one_is_refused(as_alice: Client) -> None:
    answer = as_alice.post(reverse("new_telegram"), {"name": "Bot", "bot_token": "hello"})
    assert "bot_token must look like" in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_refused_token_is_not_sent_back(as_alice: Client) -> None:
    answer = as_alice.post(reverse("new_telegram"), {"name": "", "bot_token": TOKEN})
    assert TOKEN not in answer.content.decode()


def test_a_web_chat_shows_its_page_and_its_line_of_script(as_bob: Client, channel: Channel) -> None:
    page = as_bob.get(reverse("channel", args=[channel.pk])).content.decode()
    assert f"/webchat/{channel.pk.hex}&quot;" not in page
    assert f"/webchat/{channel.pk.hex}/widget.js&quot; async" in page
    assert "Secret" not in page


@pytest.mark.sqlite
def test_the_secret_is_shown_on_demand(as_alice: Client, bot: Channel) -> None:
    secret = config_of(bot).webhook_secret
    page = as_alice.get(reverse("channel", args=[bot.pk])).content.decode()
    assert f"/webhooks/telegram/{bot.pk.hex}" in page
    assert secret not in page
    answer = as_alice.post(reverse("channel_secret", args=[bot.pk]))
    assert secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert TOKEN not in answer.content.decode()


def test_bob_is_not_shown_where_the_secret_could_be_asked_for(as_bob: Client, bot: Channel) -> None:
    page = as_bob.get(reverse("channel", args=[bot.pk])).content.decode()
    assert "Admins can see it" in page
    assert "Disable" not in page


def test_disable_and_connect(as_alice: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr("agent_link.bus.Bus.publish", lambda self, topic, hint: heard.append((topic, hint)))
    as_alice.post(reverse("disable_channel", args=[channel.pk]))
    channel.refresh_from_db()
    assert channel.state == ChannelState.DISABLED
    as_alice.post(reverse("connect_channel", args=[channel.pk]))
    channel.refresh_from_db()
    assert channel.state == ChannelState.ACTIVE
    assert heard == [("channels", {"channel": channel.pk.hex})] * 2


def test_a_seal_that_does_not_open_is_told(as_alice: Client, bot: Channel) -> None:
    Channel.objects.update(sealed_config=b"\x01" + b"0" * 40)
    assert as_alice.get(reverse("channel", args=[bot.pk])).status_code == 200
    page = as_alice.post(reverse("connect_channel", args=[bot.pk]), follow=True).content.decode()
    assert "AMX-1201" in page


@pytest.mark.parametrize("channels", [1, 6])
def test_the_number_of_queries_does_not_grow(
    as_bob: Client, workspace: Any, channels: int, django_assert_num_queries: Any
) -> None:
    for number in range(channels):
        make.receive(make.make_channel(workspace, name=f"Chat {number}"), "hello")
    with django_assert_num_queries(4):  # session, user, memberships, channels
        page = as_bob.get(reverse("channels")).content.decode()
    assert page.count("Last heard") == channels


def test_an_empty_list_says_what_to_do(as_alice: Client, as_bob: Client) -> None:
    assert reverse("new_webchat") in as_alice.get(reverse("channels")).content.decode()
    assert reverse("new_webchat") not in as_bob.get(reverse("channels")).content.decode()
