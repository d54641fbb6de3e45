"""The inspector: raw events, and reading again what could not be read."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agent_link.models import Envelope, Lane
from gateway.models import Channel, EventState, InboundEvent, Message
from gateway.replay import replay
from gateway.views import events as module
from tests import make

UPDATE = {
    "update_id": 7,
    "message": {
        "message_id": 1,
        "date": 1764000000,
        "text": "hi",
        "chat": {"id": 42, "type": "private"},
        "from": {"id": 42, "is_bot": False, "first_name": "Ada"},
    },
}


@pytest.mark.sqlite
def test_they_are_listed_and_narrowed_by_state(as_bob: Client, bot: Channel) -> None:
    make.receive(bot, "hi")
    odd = make.receive_unreadable(bot, {"odd": True})
    assert len(as_bob.get(reverse("events")).context["events"]) == 2
    assert as_bob.get(reverse("events"), {"state": "unreadable"}).context["events"] == [odd]
    assert len(as_bob.get(reverse("events"), {"state": "nonsense"}).context["events"]) == 2


def test_they_come_in_pages(as_bob: Client, bot: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    made = [make.receive_unreadable(bot, {}) for _ in range(3)]
    first = as_bob.get(reverse("events")).context
    assert first["events"] == [made[2], made[1]]
    second = as_bob.get(reverse("events"), {"before": first["older"]}).context
    assert (second["events"], second["older"]) == ([made[0]], "")


def test_a_payload_is_shown_with_line_breaks_and_as_text(as_bob: Client, bot: Channel) -> None:
    event = make.receive_unreadable(bot, {"name": "<script>alert(1)</script>", "word": "ü"})
    page = as_bob.get(reverse("event", args=[event.pk])).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "ü" in page
    assert "text is a number" in page


@pytest.mark.parametrize("payload", ["not json", "[" * 50_000, ""])
def test_any_payload_can_be_looked_at(as_bob: Client, bot: Channel, payload: str) -> None:
    event = make.receive_unreadable(bot, {})
    InboundEvent.objects.update(payload=payload)
    assert as_bob.get(reverse("event", args=[event.pk])).status_code == 200


def test_an_event_leads_to_its_message(as_bob: Client, bot: Channel) -> None:
    message = make.receive(bot, "hi")
    page = as_bob.get(reverse("event", args=[message.pk])).content.decode()
    assert f"/conversations/{message.conversation_id.hex}#m-{message.pk.hex}" in page
    assert "Replay" not in page


@pytest.mark.sqlite
def test_replay_makes_the_message_that_should_have_been(as_bob: Client, bot: Channel) -> None:
    event = make.receive_unreadable(bot, UPDATE)
    answer = as_bob.post(reverse("replay_event", args=[event.pk]), follow=True)
    assert "it became a message" in answer.content.decode()
    event.refresh_from_db()
    assert (event.state, event.detail) == (EventState.RECORDED, "")
    message = Message.objects.get()
    assert (message.pk, message.text, message.received_at) == (event.pk, "hi", event.received_at)
    assert Envelope.objects.get().pk == event.pk
    assert Lane.objects.get().pending == 1


@pytest.mark.sqlite
def test_replay_twice_makes_one_message(bot: Channel) -> None:
    event = make.receive_unreadable(bot, UPDATE)
    assert replay(event) == EventState.RECORDED
    assert replay(event) == EventState.RECORDED, "a second click that saw the old state"
    assert Message.objects.count() == 1


def test_replay_may_find_that_there_is_nothing_to_do(bot: Channel) -> None:
    event = make.receive_unreadable(bot, {"update_id": 8})
    assert replay(event) == EventState.IGNORED
    event.refresh_from_db()
    assert event.state == EventState.IGNORED


@pytest.mark.parametrize("payload", ['{"update_id": 9, "message": 5}', "not json", ""])
def test_replay_of_what_is_still_unreadable_says_why(as_bob: Client, bot: Channel, payload: str) -> None:
    event = make.receive_unreadable(bot, {})
    InboundEvent.objects.update(payload=payload)
    page = as_bob.post(reverse("replay_event", args=[event.pk]), follow=True).content.decode()
    assert "Still not understood" in page
    event.refresh_from_db()
    assert event.state == EventState.UNREADABLE
    assert event.detail not in {"", "text is a number"}


@pytest.mark.parametrize("events", [1, 30])
def test_the_number_of_queries_does_not_grow(
    as_bob: Client, bot: Channel, events: int, django_assert_num_queries: Any
) -> None:
    for _ in range(events):
        make.receive_unreadable(bot, {})
    with django_assert_num_queries(4):  # session, user, memberships, events
        as_bob.get(reverse("events"))
