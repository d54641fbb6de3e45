from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.models import Channel, InboundEvent
from tests.api.conftest import Api
from tests.make import make_channel, receive

pytestmark = pytest.mark.sqlite


def unreadable(channel: Channel) -> InboundEvent:
    return InboundEvent.objects.create(
        channel=channel,
        external_id="99",
        payload='{"update_id": 99, "message": 7}',
        state="unreadable",
        detail="Expected `object`",
        received_at=timezone.now(),
    )


def test_an_event_is_told_word_for_word(ours: Api) -> None:
    event = unreadable(ours.channel)
    told = ours.get("/events")["results"][0]
    assert told == {
        "id": event.pk.hex,
        "type": "channel.event",
        "channel": ours.channel.pk.hex,
        "external_id": "99",
        "state": "unreadable",
        "detail": "Expected `object`",
        "received_at": event.received_at.isoformat().replace("+00:00", "Z"),
        "payload": '{"update_id": 99, "message": 7}',
    }


def test_the_newest_event_stands_first(ours: Api) -> None:
    later = receive(ours.channel, "later")
    assert ours.get("/events")["results"][0]["id"] == later.pk.hex


def test_events_are_filtered_by_channel_and_state(ours: Api) -> None:
    other = make_channel(ours.workspace, "telegram")
    event = unreadable(other)
    assert [e["id"] for e in ours.get(f"/events?channel={other.pk.hex}")["results"]] == [event.pk.hex]
    assert [e["id"] for e in ours.get("/events?state=unreadable")["results"]] == [event.pk.hex]
    assert ours.get(f"/events?state=ignored&channel={other.pk.hex}")["results"] == []


def test_a_list_costs_the_same_queries_however_long(ours: Api) -> None:
    ours.get("/events")
    for number in range(5):
        with CaptureQueriesContext(connection) as queries:
            assert len(ours.get("/events")["results"]) == number + 1
        assert len(queries) == 2
        receive(ours.channel, "more")
