"""Channels, the people who write on them, their conversations, and what is still to be sent."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from agent_link.models import Agent, Lane
from workspaces.models import Workspace, new_uuid


class ChannelState(models.TextChoices):
    NEW = "new", "not yet connected"
    ACTIVE = "active"
    ERROR = "error", "needs attention"
    DISABLED = "disabled"


class Channel(models.Model):
    """One bot, number or chat page. Its credentials are sealed; `gateway.registry` opens them."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="channels")
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=80)
    sealed_config = models.BinaryField()
    state = models.CharField(max_length=10, choices=ChannelState.choices, default=ChannelState.NEW)
    state_detail = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ChannelState.values), name="channel_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class Contact(models.Model):
    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=120, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name or "someone"


class Identity(models.Model):
    """Who a contact is on one channel: a Telegram user id, a visitor's id."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="identities")
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="identities")
    external_id = models.CharField(max_length=128)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="identity_once_per_channel"),
        ]

    def __str__(self) -> str:
        return self.external_id


class Conversation(models.Model):
    """Its primary key is that of its lane: what is in order there is in order here."""

    lane = models.OneToOneField(Lane, models.CASCADE, primary_key=True, related_name="conversation")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="conversations")
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="conversations")
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="conversations")
    address = models.CharField(max_length=128, help_text="where answers go: a chat id, a visitor's id")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # The outgoing side works as a lane does: one sender at a time, in order, fenced by a growing token.
    send_due_at = models.DateTimeField(db_default=Now())
    send_token = models.BigIntegerField(default=0, db_default=0)
    send_pending = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "address"], name="conversation_one_per_address"),
            models.CheckConstraint(
                condition=Q(send_pending__gte=0), name="conversation_send_pending_positive"
            ),
        ]
        indexes = [
            models.Index(
                fields=["send_due_at"], condition=Q(send_pending__gt=0), name="conversation_send_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contact} on {self.channel}"


class EventState(models.TextChoices):
    RECORDED = "recorded", "became a message"
    IGNORED = "ignored", "known, and of no interest"
    UNREADABLE = "unreadable", "not understood"


class InboundEvent(models.Model):
    """What a provider sent, word for word, once per (channel, external id)."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="events", db_index=False)
    external_id = models.CharField(max_length=128)
    payload = models.TextField(help_text="raw; emptied when its retention ends")
    state = models.CharField(max_length=12, choices=EventState.choices)
    detail = models.CharField(max_length=200, blank=True, default="")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="event_once_per_channel"),
            models.CheckConstraint(condition=Q(state__in=EventState.values), name="event_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.external_id}"


class Direction(models.TextChoices):
    IN = "in", "from the contact"
    OUT = "out", "to the contact"


class MessageStatus(models.IntegerChoices):
    """Ranks: a status only ever rises. The database refuses the other way (trigger `message_status_rises`)."""

    RECEIVED = 0
    QUEUED = 5
    UNKNOWN = 10, "unknown: may have been sent"
    SENT = 20
    FAILED = 30
    DELIVERED = 40
    READ = 50


class Message(models.Model):
    """An inbound message, the event it came in and the envelope that carries it share one id."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    # The unique (conversation, seq) serves as this key's index; the rest are found through their conversation.
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages", db_index=False)
    seq = models.IntegerField(help_text="place in the conversation")
    direction = models.CharField(max_length=3, choices=Direction.choices)
    text = models.TextField()
    status = models.SmallIntegerField(choices=MessageStatus.choices)
    answers = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="replies", db_index=False
    )
    reply_id = models.UUIDField(null=True, blank=True, help_text="the agent's id of this answer")
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    received_at = models.DateTimeField(help_text="at our door: from the provider, or from whoever answered")
    stored_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="message_one_per_place"),
            models.UniqueConstraint(
                fields=["reply_id"], condition=Q(reply_id__isnull=False), name="message_once_per_reply"
            ),
            models.CheckConstraint(
                condition=Q(direction__in=Direction.values), name="message_direction_known"
            ),
            models.CheckConstraint(condition=Q(status__in=MessageStatus.values), name="message_status_known"),
            models.CheckConstraint(
                condition=Q(direction="in", status=0) | Q(direction="out", status__gt=0),
                name="message_status_fits_direction",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.pk.hex}"

    @property
    def event_id(self) -> uuid.UUID | None:
        """The raw event it came in."""
        return self.pk if self.direction == Direction.IN else None


class PartState(models.TextChoices):
    READY = "ready"
    SENDING = "sending", "handed to the provider"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown", "handed over, outcome not known"


class OutboxPart(models.Model):
    """One provider call: a message has as many as its text needs. Sent in order of (message, index)."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    message = models.ForeignKey(Message, models.CASCADE, related_name="parts")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="+", db_index=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    place = models.BigIntegerField(
        help_text="order among the conversation's parts: message seq × 1000 + index"
    )
    text = models.TextField()
    state = models.CharField(max_length=8, choices=PartState.choices, default=PartState.READY)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")
    external_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001  (NULL: not known yet)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "place"], name="part_one_per_place"),
            models.UniqueConstraint(
                fields=["channel", "external_id"],
                condition=Q(external_id__isnull=False),
                name="part_external_id_once",
            ),
            models.CheckConstraint(condition=Q(state__in=PartState.values), name="part_state_known"),
            models.CheckConstraint(
                condition=~Q(state="sent") | Q(sent_at__isnull=False), name="part_sent_has_a_time"
            ),
        ]
        indexes = [
            models.Index(
                fields=["conversation", "place"],
                condition=Q(state__in=["ready", "sending"]),
                name="part_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.pk.hex}"
