"""One conversation: its messages, what became of each, and a colleague's answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agent_link.models import Agent
from gateway import thread as module
from gateway.models import Channel, Conversation, Direction, Message, MessageStatus, PartState
from gateway.thread import Thread
from tests import make

# session, user, memberships, conversation, messages, answers, parts, envelopes
QUERIES = 8


@pytest.fixture
def conversation(bot: Channel) -> Conversation:
    return make.make_conversation(bot, "Do you mend chairs?")


def shown(client: Client, conversation: Conversation, **query: str) -> Thread:
    answer: Thread = client.get(reverse("thread", args=[conversation.pk]), query).context["thread"]
    return answer


@pytest.mark.sqlite
def test_each_message_has_its_timeline(as_bob: Client, conversation: Conversation, agent: Agent) -> None:
    make.answer(conversation, agent, "Yes, we do.")
    make.send()
    inbound, outgoing = shown(as_bob, conversation).entries
    assert inbound.timeline is not None
    assert [stage.name for stage in inbound.timeline.stages if stage.at] == [
        "Received", "Stored", "Pushed", "Acknowledged", "Replied", "Sent",
    ]  # fmt: skip
    assert outgoing.timeline is None, "its stages stand beside what it answers"
    assert outgoing.word == "Sent"


def test_an_answer_stands_in_one_exchange_with_its_question(
    as_bob: Client, conversation: Conversation, agent: Agent, bot: Channel
) -> None:
    make.answer(conversation, agent)
    make.receive(bot, "And stools?")
    exchanges = shown(as_bob, conversation).exchanges
    assert [len(exchange.entries) for exchange in exchanges] == [2, 1]


def test_trouble_is_told_with_its_code_and_next_step(
    as_bob: Client, conversation: Conversation, agent: Agent
) -> None:
    make.set_aside(conversation, agent, "AMX-3504: no agent finished it")
    page = as_bob.get(reverse("thread", args=[conversation.pk])).content.decode()
    assert "Set aside" in page
    assert "AMX-3504" in page
    assert "Answer it yourself" in page


def test_telegram_tells_no_deliveries_so_none_is_waited_for(
    as_bob: Client, conversation: Conversation, agent: Agent
) -> None:
    make.answer(conversation, agent)
    make.send()
    timeline = shown(as_bob, conversation).entries[0].timeline
    assert timeline is not None
    assert timeline.stages[-1].note == "not reported by this channel"


@pytest.mark.parametrize("messages", [1, 20])
def test_the_number_of_queries_does_not_grow(
    as_bob: Client, bot: Channel, agent: Agent, messages: int, django_assert_num_queries: Any
) -> None:
    for number in range(messages):
        made = make.make_conversation(bot, f"question {number}")
        make.answer(made, agent)
    make.send()
    with django_assert_num_queries(QUERIES):
        assert len(shown(as_bob, made).entries) == 2 * messages


@pytest.mark.sqlite
def test_long_threads_come_in_pages(
    as_bob: Client, bot: Channel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 4)
    made = make.make_conversation(bot, *[f"question {number}" for number in range(6)])
    make.answer(made, agent, "answer to question 0")
    make.send()
    last = shown(as_bob, made)
    assert [entry.message.seq for entry in last.entries] == [4, 5, 6, 7]
    earlier = shown(as_bob, made, before=str(last.earlier))
    assert [entry.message.seq for entry in earlier.entries] == [1, 2, 3]
    assert earlier.earlier is None
    timeline = earlier.entries[0].timeline
    assert timeline is not None
    assert timeline.stages[5].at is not None, "its answer stands on another page, and counts all the same"


@pytest.mark.parametrize("before", ["x", "-1", "²", "9" * 30])
def test_a_made_up_page_is_no_error(as_bob: Client, conversation: Conversation, before: str) -> None:
    assert as_bob.get(reverse("thread", args=[conversation.pk]), {"before": before}).status_code == 200


def test_text_stays_text(as_bob: Client, bot: Channel) -> None:
    made = make.make_conversation(bot, "<img src=x onerror=alert(1)>", name="<i>Ada</i>")
    page = as_bob.get(reverse("thread", args=[made.pk])).content.decode()
    assert "<img src=x" not in page
    assert "<i>Ada" not in page


# -- answering ------------------------------------------------------------------------------------------------------


def reply(client: Client, conversation: Conversation, text: str, **headers: str) -> Any:
    return client.post(reverse("reply", args=[conversation.pk]), {"text": text}, headers=headers)


@pytest.mark.sqlite
def test_bob_answers(as_bob: Client, bob: Any, conversation: Conversation) -> None:
    answer = reply(as_bob, conversation, "  Nine is fine.  ")
    assert answer["Location"] == reverse("thread", args=[conversation.pk])
    message = Message.objects.get(direction=Direction.OUT)
    assert (message.text, message.author, message.status) == ("Nine is fine.", bob, MessageStatus.QUEUED)
    (part,) = make.send()
    assert (part.text, part.address) == ("Nine is fine.", "42")
    message.refresh_from_db()
    assert message.status == MessageStatus.SENT


def test_without_javascript_a_fault_shows_on_the_page(as_bob: Client, conversation: Conversation) -> None:
    answer = reply(as_bob, conversation, "   ")
    assert answer.status_code == 422
    assert "This field is required" in answer.content.decode()
    assert not Message.objects.filter(direction=Direction.OUT).exists()


def test_with_htmx_an_empty_box_comes_back_and_the_thread_is_told(
    as_bob: Client, conversation: Conversation
) -> None:
    answer = reply(as_bob, conversation, "Nine is fine.", **{"HX-Request": "true"})
    assert answer["HX-Trigger"] == '{"amx:thread": {}}'
    assert "Nine is fine." not in answer.content.decode()


def test_with_htmx_a_fault_keeps_what_was_written(as_bob: Client, conversation: Conversation) -> None:
    answer = reply(as_bob, conversation, "x" * 16_001, **{"HX-Request": "true"})
    assert "xxx" in answer.content.decode()
    assert "at most 16000 characters" in answer.content.decode()


@pytest.mark.parametrize("text", ["\x00", "a\x00b"])
def test_a_null_character_is_refused(as_bob: Client, conversation: Conversation, text: str) -> None:
    assert reply(as_bob, conversation, text).status_code == 422


def test_hints_go_out_when_it_is_stored(
    as_bob: Client,
    conversation: Conversation,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("gateway.answering.bus.publish", lambda topic, hint: heard.append(topic))
    with django_capture_on_commit_callbacks(execute=True):
        reply(as_bob, conversation, "Nine is fine.")
    lane, workspace = conversation.pk.hex, conversation.workspace_id.hex
    assert heard == ["outbox", f"conversation:{lane}", f"workspace:{workspace}"]


def test_vera_sees_no_box_to_write_in(as_vera: Client, conversation: Conversation) -> None:
    assert "composer" not in as_vera.get(reverse("thread", args=[conversation.pk])).content.decode()


# -- deciding about what may have been sent ---------------------------------------------------------------------------


@pytest.fixture
def in_doubt(conversation: Conversation, agent: Agent) -> Message:
    message = make.answer(conversation, agent, "Yes, we do.")
    make.send(PartState.UNKNOWN, "AMX-2504: no answer in time")
    return message


def decide(client: Client, message: Message, name: str, **headers: str) -> Any:
    return client.post(reverse(name, args=[message.parts.get().pk]), headers=headers)


def test_bob_is_asked_to_decide(as_bob: Client, in_doubt: Message) -> None:
    page = as_bob.get(reverse("thread", args=[in_doubt.conversation_id])).content.decode()
    assert "It was sent" in page
    assert "Send again" in page


@pytest.mark.sqlite
def test_it_was_sent(as_bob: Client, in_doubt: Message) -> None:
    decide(as_bob, in_doubt, "mark_sent")
    in_doubt.refresh_from_db()
    part = in_doubt.parts.get()
    assert (part.state, part.error, in_doubt.status) == (PartState.SENT, "", MessageStatus.SENT)
    assert part.sent_at is not None
    assert not make.send(), "nothing is left to send"


@pytest.mark.sqlite
def test_it_is_sent_again(as_bob: Client, in_doubt: Message) -> None:
    decide(as_bob, in_doubt, "resend")
    in_doubt.refresh_from_db()
    assert in_doubt.parts.get().state == PartState.READY
    assert in_doubt.status == MessageStatus.UNKNOWN, "a status never falls"
    (part,) = make.send()
    assert part.text == "Yes, we do."
    in_doubt.refresh_from_db()
    assert in_doubt.status == MessageStatus.SENT
    assert in_doubt.conversation.send_pending == 0


@pytest.mark.parametrize("second", ["mark_sent", "resend"])
def test_what_is_decided_is_decided_once(as_bob: Client, in_doubt: Message, second: str) -> None:
    decide(as_bob, in_doubt, "resend")
    decide(as_bob, in_doubt, second)
    in_doubt.conversation.refresh_from_db()
    assert in_doubt.conversation.send_pending == 1
    assert (
        "decided meanwhile" in as_bob.get(f"/conversations/{in_doubt.conversation_id.hex}").content.decode()
    )


def test_with_htmx_the_thread_comes_back(as_bob: Client, in_doubt: Message) -> None:
    page = decide(as_bob, in_doubt, "mark_sent", **{"HX-Request": "true"}).content.decode()
    assert "<html" not in page
    assert "Yes, we do." in page
    assert "It was sent" not in page


def test_a_sender_that_is_at_work_is_not_disturbed(
    as_bob: Client, in_doubt: Message, conversation: Conversation, bot: Channel, agent: Agent
) -> None:
    """The conversation is claimed for something else: `resend` must not hand it to a second sender."""
    make.receive(bot, "And stools?")
    make.answer(conversation, agent, "Those too.")
    (claimed,) = make.run(make.outbox.claim, {"claim_s": 60.0, "born_s": -86_400.0})[0]
    decide(as_bob, in_doubt, "resend")
    assert make.run(make.outbox.claim, {"claim_s": 60.0, "born_s": -86_400.0}) == [[]]
    make.run(make.outbox.settle, make.Outcome(claimed, PartState.SENT, external_id="1", after_s=0.0))
    assert [part.text for part in make.send()] == ["Yes, we do."]
