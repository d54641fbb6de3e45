"""The inspector: what providers sent, word for word, and what became of it."""

from __future__ import annotations

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from gateway.models import EventState, InboundEvent, Message
from gateway.replay import replay as read_again
from workspaces.access import WorkspaceRequest, role_required, workspace_required
from workspaces.models import Role

PAGE = 50
OUTCOMES = {
    EventState.RECORDED: "Understood now: it became a message.",
    EventState.IGNORED: "Understood now: nothing for a conversation.",
    EventState.UNREADABLE: "Still not understood; the reason stands below.",
}


@require_safe
@workspace_required
def events(request: WorkspaceRequest) -> HttpResponse:
    chosen = request.GET.get("state", "")
    found = InboundEvent.objects.filter(channel__workspace=request.workspace)
    if chosen in EventState.values:
        found = found.filter(state=chosen)
    if (before := _id(request.GET.get("before", ""))) is not None:
        found = found.filter(pk__lt=before)
    rows = list(
        found.select_related("channel").defer("payload", "channel__sealed_config").order_by("-pk")[: PAGE + 1]
    )
    context = {
        "events": rows[:PAGE],
        "older": rows[PAGE - 1].pk.hex if len(rows) > PAGE else "",
        "states": EventState.choices,
        "chosen": chosen,
    }
    return render(request, "gateway/events.html", context)


@require_safe
@workspace_required
def event(request: WorkspaceRequest, event: UUID) -> HttpResponse:
    row = _event(request, event)
    message = Message.objects.filter(pk=row.pk).first()  # they share one id
    return render(
        request, "gateway/event.html", {"event": row, "payload": _pretty(row.payload), "message": message}
    )


@require_POST
@role_required(Role.MEMBER)
def replay(request: WorkspaceRequest, event: UUID) -> HttpResponse:
    row = _event(request, event)
    if row.state == EventState.UNREADABLE:
        messages.info(request, OUTCOMES[read_again(row)])
    return redirect("event", row.pk)


def _event(request: WorkspaceRequest, event: UUID) -> InboundEvent:
    found = InboundEvent.objects.filter(channel__workspace=request.workspace)
    return get_object_or_404(found.select_related("channel"), pk=event)


def _id(text: str) -> UUID | None:
    try:
        return UUID(hex=text)
    except ValueError:
        return None


def _pretty(payload: str) -> str:
    """JSON with line breaks; anything else as it came."""
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return payload
