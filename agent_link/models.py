"""Agents, and the ordered lanes of sealed envelopes that they work through.

A *lane* is a strictly ordered stream of work: one conversation, later one job. Its row is at once queue head, lease
and fence. `due_at` says when the next envelope may be handed out: now while it waits, the end of the lease while an
agent holds it, later while a retry waits. Each hand-out raises `token`; whoever comes back with a lower one is stale.

An *envelope* is one piece of work. What is inside is the business of the room that sent it (`kind`).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from workspaces.models import Workspace, new_uuid


class Agent(models.Model):
    """A computer of the customer's that may answer. Its token is kept as a keyed hash."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="agents")
    name = models.CharField(max_length=80)
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # Presence: the connection that speaks for the agent now, and when it was last heard.
    connection = models.UUIDField(null=True, blank=True, editable=False)
    session = models.UUIDField(null=True, blank=True, editable=False)
    node = models.CharField(max_length=80, blank=True, editable=False)
    sdk = models.CharField(max_length=80, blank=True, editable=False)
    draining = models.BooleanField(default=False, editable=False)
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name


class PairingCode(models.Model):
    """A one-time code that turns a computer into an agent of the workspace."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="+")

    def __str__(self) -> str:
        return f"pairing code until {self.expires_at:%H:%M}"


class Lane(models.Model):
    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False)
    connection = models.UUIDField(null=True, blank=True)
    token = models.BigIntegerField(default=0, db_default=0, help_text="fence: grows with each hand-out")
    attempt = models.SmallIntegerField(
        default=0, db_default=0, help_text="hand-outs of the envelope at the head"
    )
    due_at = models.DateTimeField(db_default=Now())
    pending = models.IntegerField(default=0, db_default=0, help_text="envelopes not yet finished")
    done = models.IntegerField(default=0, db_default=0, help_text="envelopes finished")
    done_seq = models.IntegerField(default=0, db_default=0, help_text="number of the last one finished")
    next_seq = models.IntegerField(default=1, db_default=1, help_text="the number the lane's next item gets")
    active_at = models.DateTimeField(db_default=Now(), help_text="when an item was last added")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pending__gte=0), name="lane_pending_not_negative"),
            models.CheckConstraint(
                condition=Q(next_seq__gt=F("pending")), name="lane_counts_what_it_numbered"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "due_at"], condition=Q(pending__gt=0), name="lane_due"),
            models.Index(fields=["workspace", "-active_at"], name="lane_recent"),
        ]

    def __str__(self) -> str:
        return f"lane {self.pk.hex}"


class EnvelopeState(models.IntegerChoices):
    NEW = 0, "waiting"
    DONE = 3, "done"
    DEAD = 4, "set aside"


class Envelope(models.Model):
    """`payload` is JSON text, sent to the agent as it stands. A waiting envelope is out when its lane is leased."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    lane = models.ForeignKey(Lane, models.CASCADE, related_name="envelopes", db_index=False)
    seq = models.IntegerField()
    kind = models.CharField(max_length=20)
    payload = models.TextField()
    state = models.SmallIntegerField(choices=EnvelopeState.choices, default=0, db_default=0)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    pushed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane", "seq"], name="envelope_one_per_number"),
            models.CheckConstraint(condition=Q(state__in=EnvelopeState.values), name="envelope_state_known"),
            models.CheckConstraint(
                condition=Q(state=0, finished_at=None) | Q(state__gt=0, finished_at__isnull=False),
                name="envelope_finished_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk.hex}"


class Reply(models.Model):
    """An answer accepted from an agent: its id, made once by the agent, can be accepted once."""

    id = models.UUIDField(primary_key=True, editable=False)
    envelope = models.ForeignKey(Envelope, models.CASCADE, related_name="replies")
    part = models.SmallIntegerField()
    final = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "replies"
        constraints = [
            models.UniqueConstraint(fields=["envelope"], condition=Q(final=True), name="reply_one_final"),
        ]

    def __str__(self) -> str:
        return f"reply {self.pk.hex}"
