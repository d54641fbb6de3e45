"""The operator's desk for agents and for what waits for them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agent_link.api import online, revoke
from agent_link.models import Agent, Envelope, Lane, PairingCode, Reply
from workspaces.admin import Desk


@admin.register(Agent)
class AgentAdmin(Desk):
    changeable = ("name",)
    ids = ("pk", "workspace", "connection", "session")
    list_display = ("hex_id", "name", "workspace", "is_online", "last_seen_at", "node", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "draining")
    list_select_related = ("workspace",)
    search_fields = ("name", "node", "workspace__slug")
    actions = ("revoke",)

    @admin.display(boolean=True, description="online")
    def is_online(self, agent: Agent) -> bool:
        return online(agent)

    @admin.action(description="Revoke", permissions=["decide"])
    def revoke(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        for agent in agents.filter(revoked_at=None):
            revoke(agent)
        self.message_user(request, "Revoked; open connections are being closed.")


@admin.register(PairingCode)
class PairingCodeAdmin(Desk):
    ids = ("workspace", "agent")
    list_display = ("hex_id", "workspace", "expires_at", "used_at", "agent")
    list_filter = (("used_at", admin.EmptyFieldListFilter),)
    list_select_related = ("workspace", "agent")
    search_fields = ("workspace__slug", "agent__name")


@admin.register(Lane)
class LaneAdmin(Desk):
    ids = ("pk", "workspace", "agent", "connection")
    list_display = ("hex_id", "workspace", "agent", "pending", "attempt", "token", "due_at", "active_at")
    list_select_related = ("workspace", "agent")


@admin.register(Envelope)
class EnvelopeAdmin(Desk):
    ids = ("pk", "lane")
    list_display = (
        "hex_id",
        "lane",
        "seq",
        "kind",
        "state",
        "created_at",
        "pushed_at",
        "finished_at",
        "error",
    )
    list_filter = ("state", "kind")
    list_select_related = ("lane",)


@admin.register(Reply)
class ReplyAdmin(Desk):
    ids = ("pk", "envelope")
    list_display = ("hex_id", "envelope", "part", "final", "created_at")
    list_filter = ("final",)
    list_select_related = ("envelope",)
