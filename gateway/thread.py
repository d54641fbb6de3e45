"""A conversation as it is read: its messages in order, each with what has become of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from agent_link.models import Envelope, Reply
from gateway.models import Conversation, Direction, Message, MessageStatus, OutboxPart, PartState
from gateway.timeline import NO_RECEIPTS, Answered, Timeline, of_inbound, of_outgoing

PAGE = 50

STATUS_WORDS = {
    # status → (word, tone), for what an agent said; its stages stand beside the message it answers
    MessageStatus.QUEUED: ("Being sent", "calm"),
    MessageStatus.UNKNOWN: ("May have been sent", "warn"),
    MessageStatus.SENT: ("Sent", "good"),
    MessageStatus.FAILED: ("Not sent", "bad"),
    MessageStatus.DELIVERED: ("Delivered", "good"),
    MessageStatus.READ: ("Read", "good"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """`timeline`: None for an answer: its stages belong to what it answers. `unknown`: parts to decide on."""

    message: Message
    timeline: Timeline | None
    unknown: list[OutboxPart]

    @property
    def word(self) -> str:
        return STATUS_WORDS[MessageStatus(self.message.status)][0]

    @property
    def tone(self) -> str:
        return STATUS_WORDS[MessageStatus(self.message.status)][1]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message with a timeline of its own, and what follows it without one."""

    entries: list[Entry]

    @property
    def timeline(self) -> Timeline | None:
        return self.entries[0].timeline


@dataclass(frozen=True, slots=True)
class Thread:
    """`earlier`: the number before which there is more, or None."""

    entries: list[Entry]
    earlier: int | None

    @property
    def exchanges(self) -> list[Exchange]:
        found: list[Exchange] = []
        for entry in self.entries:
            if entry.timeline is not None or not found:
                found.append(Exchange([]))
            found[-1].entries.append(entry)
        return found


def thread(conversation: Conversation, *, before: int | None = None) -> Thread:
    """The last messages, or the last before number `before`, in five queries."""
    found = _messages(conversation.pk)
    if before is not None:
        found = found.filter(seq__lt=before)
    window = list(found.order_by("-seq")[: PAGE + 1])
    earlier = window[PAGE - 1].seq if len(window) > PAGE else None
    messages = window[:PAGE][::-1]
    inbound = [message.pk for message in messages if message.direction == Direction.IN]
    answers = _answers(conversation.pk, inbound)
    parts = _parts([*messages, *answers])
    answered: dict[UUID, list[Answered]] = defaultdict(list)
    for answer in answers:
        if answer.answers_id is not None:
            answered[answer.answers_id].append(Answered(answer, parts[answer.pk]))
    envelopes = Envelope.objects.defer("payload").in_bulk(inbound)
    receipts = conversation.channel.kind not in NO_RECEIPTS
    return Thread(
        [
            _entry(message, envelopes.get(message.pk), answered[message.pk], parts[message.pk], receipts)
            for message in messages
        ],
        earlier,
    )


def _messages(conversation: UUID) -> QuerySet[Message]:
    return Message.objects.filter(conversation=conversation).select_related("agent", "author")


def _answers(conversation: UUID, inbound: Sequence[UUID]) -> list[Message]:
    """Answers to these messages, wherever they stand: found through the replies that brought them."""
    replies = Reply.objects.filter(envelope__in=inbound).values("pk")
    return list(_messages(conversation).filter(reply_id__in=replies).order_by("seq"))


def _parts(messages: Iterable[Message]) -> dict[UUID, list[OutboxPart]]:
    parts: dict[UUID, list[OutboxPart]] = defaultdict(list)
    outgoing = {message.pk for message in messages if message.direction == Direction.OUT}
    for part in OutboxPart.objects.filter(message__in=outgoing).order_by("place"):
        parts[part.message_id].append(part)
    return parts


def _entry(
    message: Message,
    envelope: Envelope | None,
    answers: Sequence[Answered],
    parts: Sequence[OutboxPart],
    receipts: bool,
) -> Entry:
    timeline = None
    if message.direction == Direction.IN:
        timeline = of_inbound(message, envelope, answers, receipts=receipts)
    elif message.answers_id is None:
        timeline = of_outgoing(Answered(message, parts), receipts=receipts)
    return Entry(message, timeline, [part for part in parts if part.state == PartState.UNKNOWN])
