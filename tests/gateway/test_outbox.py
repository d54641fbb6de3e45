"""Sending: every part goes out once, in its order, and what became of it is said truthfully."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from django.db import DatabaseError, transaction

from gateway import outbox
from gateway.errors import (
    Ambiguous,
    ConfigRefused,
    ProviderAway,
    Refused,
    SendError,
    Throttled,
    Unreachable,
)
from gateway.models import (
    Channel,
    Conversation,
    Direction,
    Message,
    MessageStatus,
    OutboxPart,
    PartState,
)
from gateway.outbox import Outcome, Part, decide
from gateway.outgoing import Draft, compose
from tests.agent_link.notes import together
from tests.make import make_channel, make_conversation, make_workspace, run

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

PART = Part("p", "m", "c", "w", 1, "42", "channel", "hello", "sending", 0, expired=False)
OLD = replace(PART, expired=True)


@pytest.mark.parametrize(
    ("part", "error", "state", "wait"),
    [
        (PART, Throttled(retry_after=7), PartState.READY, (7, 7)),
        (PART, Throttled(), PartState.READY, (1.8, 2.2)),  # the provider did not say how long
        (PART, ProviderAway(), PartState.READY, (1.8, 2.2)),
        (replace(PART, attempts=1), ProviderAway(), PartState.READY, (9, 11)),
        (PART, ConfigRefused(), PartState.READY, (1.8, 2.2)),  # the owner may mend it
        (PART, Refused(), PartState.FAILED, (-1, -1)),
        (PART, Unreachable(), PartState.FAILED, (-1, -1)),
        (PART, Ambiguous(), PartState.UNKNOWN, (-1, -1)),
        (OLD, Throttled(retry_after=7), PartState.FAILED, (-1, -1)),
        (OLD, ProviderAway(), PartState.FAILED, (-1, -1)),
        (OLD, ConfigRefused(), PartState.FAILED, (-1, -1)),
        (OLD, Ambiguous(), PartState.UNKNOWN, (-1, -1)),  # old or not, it may have been sent
    ],
)
def test_what_follows_from_an_error(
    part: Part, error: SendError, state: PartState, wait: tuple[float, float]
) -> None:
    outcome = decide(part, error)
    assert outcome.state is state
    assert wait[0] <= outcome.after_s <= wait[1]
    assert outcome.error.startswith(error.code)


def say(conversation: Conversation, *texts: str) -> None:
    run(compose, *[Draft(conversation.pk.hex, text, time.time()) for text in texts])


def claimed() -> Sequence[Part]:
    found: Sequence[Part] = run(outbox.claim, {"claim_s": 0.0, "born_s": -86_400.0})[0]
    return found


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ("sent sent sent", MessageStatus.SENT),
        ("sent sent -", MessageStatus.QUEUED),
        ("sent failed sent", MessageStatus.FAILED),
        ("sent unknown sent", MessageStatus.UNKNOWN),
        ("failed unknown sent", MessageStatus.FAILED),
        ("unknown unknown unknown", MessageStatus.UNKNOWN),
        ("unknown sent -", MessageStatus.QUEUED),
        ("failed - -", MessageStatus.QUEUED),
    ],
)
def test_a_message_says_what_became_of_all_its_parts(bot: Channel, ends: str, status: MessageStatus) -> None:
    conversation = make_conversation(bot)
    say(conversation, "\n\n".join(letter * 3_000 for letter in "abc"))
    for part, end in zip(claimed(), ends.split(), strict=True):
        if end != "-":
            run(outbox.settle, Outcome(part, PartState(end), external_id=part.id if end == "sent" else None))
    assert Message.objects.get(direction=Direction.OUT).status == status


def test_what_is_known_late_raises_the_message(bot: Channel) -> None:
    say(make_conversation(bot), "hello")
    (part,) = claimed()
    message = Message.objects.filter(direction=Direction.OUT)
    run(outbox.settle, Outcome(part, PartState.UNKNOWN, "AMX-2504"))
    assert message.get().status == MessageStatus.UNKNOWN
    run(outbox.settle, Outcome(part, PartState.SENT, external_id="42:1"))
    assert message.get().status == MessageStatus.SENT
    run(outbox.settle, Outcome(part, PartState.UNKNOWN, "AMX-2504"))
    assert message.get().status == MessageStatus.SENT
    assert OutboxPart.objects.get().state == PartState.SENT


@pytest.mark.parametrize("fallen", [MessageStatus.QUEUED, MessageStatus.UNKNOWN, MessageStatus.SENT])
def test_the_database_refuses_a_status_that_falls(bot: Channel, fallen: MessageStatus) -> None:
    say(make_conversation(bot), "hello")
    message = Message.objects.filter(direction=Direction.OUT)
    message.update(status=MessageStatus.DELIVERED)
    with pytest.raises(DatabaseError, match="message_status_rises"), transaction.atomic():
        message.update(status=fallen)
    message.update(status=MessageStatus.READ)
    assert message.get().status == MessageStatus.READ


@pytest.mark.django_db(transaction=True)
def test_two_parts_that_end_at_the_same_moment_end_the_message() -> None:
    """One sender took over from another, and both come home: each sees the other's part or is seen by it."""
    bot = make_channel(make_workspace(), "telegram")
    for n in range(6):
        conversation = make_conversation(bot, sender=str(n))
        say(conversation, "a" * 4_000 + "\n\n" + "b" * 4_000)
        first, second = claimed()
        ends = [Outcome(part, PartState.SENT, external_id=part.id) for part in (first, second)]
        together(*[partial(run, outbox.settle, end) for end in ends])
        message = Message.objects.get(conversation=conversation, direction=Direction.OUT)
        assert message.status == MessageStatus.SENT
        conversation.refresh_from_db()
        assert conversation.send_pending == 0
