"""Agents' answers become messages to send, in the transaction that stores them. (TUNNEL.md: I5, I9.)"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from agent_link import answers
from agent_link.answers import Answer
from agent_link.models import Agent, Envelope, EnvelopeState
from gateway import outbox
from gateway.models import Channel, Direction, Message, MessageStatus, OutboxPart
from gateway.outgoing import Draft, compose
from local_agent.protocol.ids import new_id
from tests.make import make_conversation, push, receive, run

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def asked(channel: Channel, agent: Agent) -> Answer:
    """The answer of an agent that has the first of two questions."""
    conversation = make_conversation(channel, "first?", "second?")
    claim = push(conversation, agent)
    payload = {"text": "yes"}
    workspace = conversation.workspace_id.hex
    return Answer(
        new_id(), claim.envelope, claim.token, 0, True, payload, workspace, agent.pk.hex, time.time()
    )


def said() -> list[str]:
    return list(
        Message.objects.filter(direction=Direction.OUT).order_by("seq").values_list("text", flat=True)
    )


def test_an_answer_is_a_message_with_its_parts(asked: Answer, agent: Agent) -> None:
    assert run(answers.accept, asked) == ["stored"]
    message = Message.objects.get(direction=Direction.OUT)
    assert (message.text, message.status, message.seq) == ("yes", MessageStatus.QUEUED, 3)
    assert message.answers_id == UUID(hex=asked.envelope)
    assert message.reply_id == UUID(hex=asked.id)
    assert message.agent == agent
    part = OutboxPart.objects.get()
    assert (part.message, part.text, part.place) == (message, "yes", 3_000)
    assert message.conversation.send_pending == 1


def test_an_answer_that_comes_twice_is_said_once(asked: Answer) -> None:
    assert run(answers.accept, asked, asked) == ["stored", "dup"]
    assert run(answers.accept, asked) == ["dup"]
    assert said() == ["yes"]


def test_pieces_are_said_in_their_order(asked: Answer) -> None:
    pieces = [
        replace(asked, id=new_id(), part=n, final=n == 2, payload={"text": f"piece {n}"}) for n in range(3)
    ]
    assert run(answers.accept, *pieces) == ["stored"] * 3
    assert said() == ["piece 0", "piece 1", "piece 2"]
    assert [part.text for part in run(outbox.claim, {"claim_s": 60.0, "born_s": -9.0})[0]] == said()


@pytest.mark.parametrize("payload", [{}, {"text": " \n"}, {"text": 5}, {"text": None}, {"words": "yes"}])
def test_an_answer_without_words_ends_in_silence(asked: Answer, payload: dict[str, Any]) -> None:
    assert run(answers.accept, replace(asked, payload=payload)) == ["stored"]
    assert said() == []
    assert Envelope.objects.get(pk=UUID(hex=asked.envelope)).state == EnvelopeState.DONE


def test_a_stale_answer_is_not_said(asked: Answer) -> None:
    stale = replace(asked, token=asked.token + 1)
    assert run(answers.accept, stale) == ["stale"]
    assert said() == []
    assert not OutboxPart.objects.exists()


def test_any_text_can_be_said(asked: Answer) -> None:
    run(answers.accept, replace(asked, payload={"text": "a\x00b"}))
    assert said() == ["a\N{REPLACEMENT CHARACTER}b"]
    assert OutboxPart.objects.get().text == "a\N{REPLACEMENT CHARACTER}b"


def test_a_colleague_and_an_agent_share_the_order(asked: Answer) -> None:
    lane = Envelope.objects.get(pk=UUID(hex=asked.envelope)).lane_id.hex
    run(compose, Draft(lane, "a moment please", time.time()))
    run(answers.accept, asked)
    run(compose, Draft(lane, "anything else?", time.time()), Draft(lane, "no?", time.time()))
    assert said() == ["a moment please", "yes", "anything else?", "no?"]
    parts = run(outbox.claim, {"claim_s": 60.0, "born_s": -9.0})[0]
    assert [part.text for part in parts] == said()


def test_what_is_said_beside_leaves_no_gap_on_the_wire(asked: Answer, agent: Agent, channel: Channel) -> None:
    """`seq` at the agent counts questions alone, whatever was said in between."""
    run(answers.accept, asked)
    conversation = receive(channel, "third?").conversation
    seqs = []
    for _ in range(2):
        claim = push(conversation, agent)
        seqs.append((claim.seq, json.loads(claim.payload)["text"]))
        run(answers.accept, replace(asked, id=new_id(), envelope=claim.envelope, token=claim.token))
    assert seqs == [(2, "second?"), (3, "third?")]
