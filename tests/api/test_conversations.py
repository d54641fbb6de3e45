from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agent_link.bus import bus
from agent_link.models import Lane
from gateway.models import Message, OutboxPart
from tests.api.conftest import Api, problem
from tests.make import answer, receive

pytestmark = pytest.mark.sqlite


def test_a_conversation_tells_who_where_and_how_far(ours: Api) -> None:
    (told,) = ours.get("/conversations")["results"]
    assert told["id"] == ours.conversation.pk.hex
    assert told["channel"] == {"id": ours.channel.pk.hex, "kind": "telegram", "name": "Shop bot"}
    assert told["contact"] == {"id": ours.contact.pk.hex, "name": "Ada"}
    assert (told["last_seq"], told["waiting"], told["sending"]) == (1, 1, 0)
    assert ours.get(f"/conversations/{told['id']}") == told


def test_conversations_stand_in_the_order_of_their_last_message(ours: Api) -> None:
    later = receive(ours.channel, "later", sender="43").conversation
    Lane.objects.filter(pk=later.pk).update(active_at=timezone.now() + timedelta(seconds=1))
    found = [told["id"] for told in ours.get("/conversations")["results"]]
    assert found == [later.pk.hex, ours.conversation.pk.hex]
    Lane.objects.filter(pk=ours.conversation.pk).update(active_at=timezone.now() + timedelta(seconds=2))
    assert [told["id"] for told in ours.get("/conversations")["results"]] == found[::-1]


def test_conversations_are_filtered_by_channel_and_contact(ours: Api) -> None:
    receive(ours.channel, "somebody else", sender="43")
    found = ours.get(f"/conversations?contact={ours.contact.pk.hex}")["results"]
    assert [c["id"] for c in found] == [ours.conversation.pk.hex]
    assert len(ours.get(f"/conversations?channel={ours.channel.pk.hex}")["results"]) == 2


def test_messages_stand_in_their_order_with_what_became_of_them(ours: Api) -> None:
    reply = answer(ours.conversation, ours.agent, "We open at nine.")
    told = ours.get(f"/conversations/{ours.conversation.pk.hex}/messages")
    asked, said = told["results"]
    assert told["next"] is None
    assert [(m["seq"], m["direction"], m["text"], m["status"]) for m in told["results"]] == [
        (1, "in", "hello", "received"),
        (2, "out", "We open at nine.", "queued"),
    ]
    assert said["id"] == reply.pk.hex
    assert said["answers"] == asked["id"]
    assert said["agent"] == ours.agent.pk.hex
    assert [(p["index"], p["state"]) for p in said["parts"]] == [(0, "ready")]
    assert asked["parts"] == []


def test_the_timeline_of_a_question_holds_its_answer(ours: Api) -> None:
    path = f"/conversations/{ours.conversation.pk.hex}/messages"
    before = {stage["name"]: stage for stage in ours.get(path)["results"][0]["timeline"]}
    assert before["Stored"]["progress"] == "done"
    assert before["Replied"]["progress"] == "pending"
    answer(ours.conversation, ours.agent, "We open at nine.")
    asked, said = ours.get(path)["results"]
    after = {stage["name"]: stage for stage in asked["timeline"]}
    assert after["Replied"]["progress"] == "done"
    assert after["Replied"]["gap_ms"] is not None
    assert said["timeline"] == []


def test_something_said_is_stored_at_the_end_and_wakes_the_sender(
    ours: Api, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[str] = []
    monkeypatch.setattr(bus, "publish", lambda topic, hint: hints.append(topic))
    lane = ours.conversation.pk.hex
    with django_capture_on_commit_callbacks(execute=True):
        stored = ours.call("POST", f"/conversations/{lane}/messages", {"text": "We are open."})
    assert stored.status_code == 201
    told = json.loads(stored.content)
    assert (told["seq"], told["direction"], told["status"], told["text"]) == (
        2,
        "out",
        "queued",
        "We are open.",
    )
    assert [stage["name"] for stage in told["timeline"]][:2] == ["Written", "Stored"]
    assert OutboxPart.objects.get(message=told["id"]).state == "ready"
    assert hints == ["outbox", f"conversation:{lane}", f"workspace:{ours.workspace.pk.hex}"]


def test_a_long_text_goes_in_parts(ours: Api) -> None:
    path = f"/conversations/{ours.conversation.pk.hex}/messages"
    told = json.loads(ours.call("POST", path, {"text": "word " * 2000}).content)
    assert [part["index"] for part in told["parts"]] == [0, 1, 2]


@pytest.mark.parametrize("body", [{}, *({"text": text} for text in ("", "  ", None, ["a"], "a\0"))])
def test_nothing_said_is_refused_naming_the_field(ours: Api, body: Any) -> None:
    told = problem(ours.call("POST", f"/conversations/{ours.conversation.pk.hex}/messages", body), 400)
    assert list(told["errors"]) == ["text"]
    assert Message.objects.count() == 1


def test_too_much_said_is_refused(ours: Api) -> None:
    problem(
        ours.call("POST", f"/conversations/{ours.conversation.pk.hex}/messages", {"text": "x" * 32_001}), 400
    )


def test_messages_go_on_after_a_number(ours: Api) -> None:
    for number in range(2, 8):
        receive(ours.channel, f"message {number}")
    path = f"/conversations/{ours.conversation.pk.hex}/messages"
    first = ours.get(f"{path}?limit=3")
    assert [m["seq"] for m in first["results"]] == [1, 2, 3]
    assert first["next"].endswith(f"{path}?after=3&limit=3")
    rest = ours.get(f"{path}?limit=4&after=3")
    assert [m["seq"] for m in rest["results"]] == [4, 5, 6, 7]
    assert rest["next"] is None


def test_lists_cost_the_same_queries_however_long(ours: Api) -> None:
    thread = f"/conversations/{ours.conversation.pk.hex}/messages"
    answer(ours.conversation, ours.agent, "We open at nine.")
    counted = []
    for _ in range(2):
        ours.get("/conversations")
        with CaptureQueriesContext(connection) as threads:
            ours.get("/conversations")
        with CaptureQueriesContext(connection) as messages:
            ours.get(thread)
        counted.append((len(threads), len(messages)))
        for number in range(8):
            receive(ours.channel, "and", sender=str(number))
            ours.call("POST", thread, {"text": "so"})
    # the key · the rows; the key · the conversation · messages · parts · envelopes · answers · their parts
    assert counted == [(2, 7), (2, 7)]
