"""The operator's desk for channels and for every message on its way."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agent_link.bus import bus
from gateway import unknown
from gateway.models import Channel, Contact, Conversation, Identity, InboundEvent, Message, OutboxPart
from workspaces.admin import Desk


@admin.register(Channel)
class ChannelAdmin(Desk):
    changeable = ("name", "state")
    ids = ("pk", "workspace")
    list_display = ("hex_id", "name", "kind", "workspace", "state", "state_detail", "created_at")
    list_filter = ("state", "kind")
    list_select_related = ("workspace",)
    search_fields = ("name", "workspace__slug")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.save(update_fields=self.changeable)
        bus.publish("channels", {"channel": obj.pk.hex})


@admin.register(Contact)
class ContactAdmin(Desk):
    ids = ("pk", "workspace")
    list_display = ("hex_id", "name", "workspace", "created_at")
    list_select_related = ("workspace",)
    search_fields = ("name",)


@admin.register(Identity)
class IdentityAdmin(Desk):
    ids = ("pk", "channel", "contact")
    list_display = ("hex_id", "external_id", "contact", "channel")
    list_select_related = ("contact", "channel")
    search_fields = ("=external_id",)


@admin.register(Conversation)
class ConversationAdmin(Desk):
    ids = ("pk", "workspace", "channel", "contact")
    list_display = ("hex_id", "workspace", "channel", "contact", "address", "send_pending", "created_at")
    list_select_related = ("workspace", "channel", "contact")
    search_fields = ("=address",)


@admin.register(InboundEvent)
class InboundEventAdmin(Desk):
    ids = ("pk", "channel")
    list_display = ("hex_id", "channel", "external_id", "state", "detail", "received_at")
    list_filter = ("state",)
    list_select_related = ("channel",)
    search_fields = ("=external_id",)


@admin.register(Message)
class MessageAdmin(Desk):
    """The list leaves texts out: who looks for a message's fate need not read what was said."""

    ids = ("pk", "conversation", "reply_id", "agent")
    list_display = ("hex_id", "conversation", "seq", "direction", "status", "received_at", "stored_at")
    list_filter = ("direction", "status")
    list_select_related = ("conversation__channel", "conversation__contact")


@admin.register(OutboxPart)
class OutboxPartAdmin(Desk):
    ids = ("pk", "message", "conversation", "channel")
    list_display = ("hex_id", "message", "channel", "state", "attempts", "error", "created_at", "sent_at")
    list_filter = ("state",)
    list_select_related = ("message", "channel")
    search_fields = ("=external_id",)
    actions = ("mark_sent", "resend")

    @admin.action(description="Unknown: it was sent", permissions=["decide"])
    def mark_sent(self, request: HttpRequest, parts: QuerySet[OutboxPart]) -> None:
        self._told(request, sum(unknown.mark_sent(part) for part in parts), len(parts))

    @admin.action(description="Unknown: send it again", permissions=["decide"])
    def resend(self, request: HttpRequest, parts: QuerySet[OutboxPart]) -> None:
        self._told(request, sum(unknown.resend(part) for part in parts), len(parts))

    def _told(self, request: HttpRequest, decided: int, chosen: int) -> None:
        self.message_user(request, f"{decided} of {chosen} decided; the others were not unknown.")
