"""The list of conversations: who wrote where, what was said last, and what needs somebody. Newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.lookups import Exact, LessThan
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from agent_link.models import Envelope, EnvelopeState
from gateway.models import Conversation, Direction, Message, MessageStatus, OutboxPart, PartState
from workspaces.models import Workspace
from workspaces.paging import Cursor, Moment

PAGE = 30


@dataclass(frozen=True, slots=True)
class Badge:
    """`tone`: calm, warn or bad; the text says it too."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Row:
    conversation: Conversation
    last: Message | None
    badges: list[Badge]

    @property
    def said_by(self) -> str:
        """Who said the last words, where it was not the contact."""
        if self.last is None or self.last.direction == Direction.IN:
            return ""
        return "Agent" if self.last.author is None else self.last.author.username


@dataclass(frozen=True, slots=True)
class Page:
    """`older`: the cursor of the next page, empty on the last."""

    rows: list[Row]
    older: str


def page(workspace: Workspace, *, channel: UUID | None = None, before: str = "") -> Page:
    """One page in four queries, however long it is."""
    found = Conversation.objects.filter(lane__workspace=workspace).order_by("-lane__active_at", "-pk")
    if channel is not None:
        found = found.filter(channel=channel)
    if before:
        found = _beyond(found, before)
    found = found.select_related("lane", "channel", "contact").defer("channel__sealed_config")
    conversations = list(found[: PAGE + 1])
    shown = conversations[:PAGE]
    older = str(Cursor(shown[-1].pk, shown[-1].lane.active_at)) if len(conversations) > PAGE else ""
    return Page(_rows(shown), older)


def _rows(conversations: Sequence[Conversation]) -> list[Row]:
    ids = [conversation.pk for conversation in conversations]
    last = _last_messages(ids)
    unanswered, unknown = _set_aside(ids), _unknown(ids)
    now = timezone.now()
    return [
        Row(c, last.get(c.pk), list(_badges(c, last.get(c.pk), c.pk in unanswered, c.pk in unknown, now)))
        for c in conversations
    ]


def _last_messages(ids: Sequence[UUID]) -> dict[UUID, Message]:
    """A lane's numbers are given to its messages one by one, so the last message has the last number."""
    last = Message.objects.filter(conversation__in=ids, seq=F("conversation__lane__next_seq") - 1)
    return {message.conversation_id: message for message in last.select_related("author")}


def _set_aside(ids: Sequence[UUID]) -> set[UUID]:
    """Where the agents gave a message up and nobody has said anything since."""
    said_since = Message.objects.filter(
        conversation=OuterRef("lane"), direction=Direction.OUT, seq__gt=OuterRef("seq")
    )
    dead = Envelope.objects.filter(~Exists(said_since), lane__in=ids, state=EnvelopeState.DEAD)
    return set(dead.values_list("lane", flat=True))


def _unknown(ids: Sequence[UUID]) -> set[UUID]:
    parts = OutboxPart.objects.filter(conversation__in=ids, state=PartState.UNKNOWN)
    return set(parts.values_list("conversation", flat=True))


def _badges(
    conversation: Conversation, last: Message | None, unanswered: bool, unknown: bool, now: datetime
) -> list[Badge]:
    lane = conversation.lane
    badges = []
    if unanswered:
        badges.append(Badge("Set aside", "bad"))
    if unknown:
        badges.append(Badge("May have been sent", "warn"))
    if last is not None and last.status == MessageStatus.FAILED:
        badges.append(Badge("Not sent", "bad"))
    if lane.pending > 0:
        out = lane.attempt > 0 and lane.due_at > now
        badges.append(Badge("Agent is working", "calm") if out else Badge("Waiting for agent", "warn"))
    return badges


def _beyond(found: QuerySet[Conversation], cursor: str) -> QuerySet[Conversation]:
    """What comes after the cursor's row; all where it is not one of ours."""
    try:
        last = Cursor.read(cursor)
    except ValidationError:
        return found
    at, then = Moment(F("lane__active_at")), Moment(Value(last.moment, DateTimeField()))
    return found.filter(Q(LessThan(at, then)) | Q(Exact(at, then), pk__lt=last.id))
