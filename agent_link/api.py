"""Agents over REST: who is there, a code for one more, and the end of one's access."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agent_link.bus import bus
from agent_link.models import Agent
from agent_link.pairing import new_code
from workspaces.api import ApiView, IdField
from workspaces.paging import PageQuery, newest_first, paged

# A connection that is two heartbeats late has gone without a word, with its process or its network.
HEARTBEATS_TRUSTED = 2.5


class AgentSerializer(serializers.Serializer[Agent]):
    id = IdField()
    name = serializers.CharField()
    presence = serializers.SerializerMethodField()
    draining = serializers.BooleanField(help_text="finishes what it has and takes nothing new")
    sdk = serializers.CharField(help_text="what it runs, as it told")
    connected_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field({"type": "string", "enum": ["online", "offline"]})
    def get_presence(self, agent: Agent) -> str:
        return "online" if online(agent) else "offline"


PAIRING = inline_serializer(
    "Pairing",
    {
        "code": serializers.CharField(help_text="for one computer, once"),
        "expires_at": serializers.DateTimeField(),
        "command": serializers.CharField(help_text="to be typed on that computer"),
        "studio_url": serializers.URLField(),
    },
)


def online(agent: Agent) -> bool:
    """Whether the agent can be handed a message now, as far as its row tells."""
    if agent.connection is None or agent.last_seen_at is None or agent.revoked_at is not None:
        return False
    trusted = timedelta(seconds=HEARTBEATS_TRUSTED * settings.TUNNEL_HEARTBEAT)
    return agent.last_seen_at > timezone.now() - trusted


def revoke(agent: Agent) -> None:
    """Ends the agent's access; its open connection is closed."""
    with transaction.atomic():
        Agent.objects.filter(pk=agent.pk, revoked_at=None).update(revoked_at=timezone.now())
        transaction.on_commit(partial(_tell, agent))


def _tell(agent: Agent) -> None:
    bus.publish("agents", {"agent": agent.pk.hex, "revoked": True})
    bus.publish(f"workspace:{agent.workspace_id.hex}", {"t": "agents"})


class Agents(ApiView):
    @extend_schema(
        operation_id="agents_list",
        summary="List agents, newest first",
        parameters=[PageQuery],
        responses=paged(AgentSerializer),
    )
    def get(self, request: Request) -> Response:
        query = self.read(PageQuery, request.query_params)
        rows = self.workspace.agents.filter(revoked_at=None)
        return newest_first(request, rows, query, AgentSerializer)


class AgentDetail(ApiView):
    @extend_schema(
        operation_id="agents_revoke",
        summary="Revoke an agent",
        description="Its token opens nothing any more. What it held goes to another agent.",
        responses={204: None},
    )
    def delete(self, request: Request, agent: uuid.UUID) -> Response:
        row = self.workspace.agents.filter(pk=agent, revoked_at=None).first()
        if row is None:
            raise Http404("no such agent")
        revoke(row)
        return Response(status=204)


class Pair(ApiView):
    @extend_schema(
        operation_id="agents_pair",
        summary="Get a code that pairs one computer",
        request=None,
        responses={201: PAIRING},
    )
    def post(self, request: Request) -> Response:
        code, row = new_code(self.workspace)
        answer: dict[str, Any] = {
            "code": code,
            "expires_at": row.expires_at,
            "command": f"aimatrix pair {code} --studio {settings.STUDIO_URL}",
            "studio_url": settings.STUDIO_URL,
        }
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})
