"""The agents of a workspace: who is there, pairing one more, ending one's access."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agent_link.api import online, revoke
from agent_link.bus import bus
from agent_link.models import Agent, PairingCode
from agent_link.pairing import new_code
from workspaces.access import WorkspaceRequest, role_required, workspace_required
from workspaces.models import Role


def presence(agent: Agent) -> str:
    """`online`, `draining`, `offline` or `new`: paired, and never seen yet."""
    if online(agent):
        return "draining" if agent.draining else "online"
    return "offline" if agent.last_seen_at else "new"


@require_safe
@workspace_required
def agents(request: WorkspaceRequest) -> HttpResponse:
    found = request.workspace.agents.filter(revoked_at=None).order_by("name", "pk")
    context = {"agents": [(agent, presence(agent)) for agent in found]}
    return render(request, "agent_link/_agents.html" if request.htmx else "agent_link/agents.html", context)


@require_POST
@role_required(Role.ADMIN)
def pair(request: WorkspaceRequest) -> HttpResponse:
    """Shows the code once: it is in this answer and nowhere else."""
    code, row = new_code(request.workspace)
    command = f"aimatrix pair {code} --studio {settings.STUDIO_URL}"
    context = {"code": code, "command": command, **_told(row)}
    return render(request, "agent_link/_pairing.html" if request.htmx else "agent_link/pairing.html", context)


@require_safe
@role_required(Role.ADMIN)
def pairing(request: WorkspaceRequest, code: int) -> HttpResponse:
    """How long a code is good for, and whether it was used."""
    row = get_object_or_404(PairingCode, workspace=request.workspace, pk=code)
    return render(request, "agent_link/_pairing_state.html", _told(row))


def _told(row: PairingCode) -> dict[str, object]:
    left = (row.expires_at - timezone.now()).total_seconds()
    return {"pairing": row, "minutes": max(1, round(left / 60)), "expired": left <= 0}


@require_POST
@role_required(Role.ADMIN)
def revoke_agent(request: WorkspaceRequest, agent: UUID) -> HttpResponse:
    row = get_object_or_404(request.workspace.agents, pk=agent, revoked_at=None)
    revoke(row)
    bus.publish(f"workspace:{request.workspace.pk.hex}", {"t": "agents"})
    messages.info(request, f"{row.name} is no longer let in.")
    return redirect("agents")
