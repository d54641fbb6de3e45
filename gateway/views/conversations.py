"""The conversations of a workspace, one of them, and what a colleague does there."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from gateway import inbox, unknown
from gateway.answering import answer
from gateway.checklist import Step, steps
from gateway.forms import AnswerForm
from gateway.models import Conversation, OutboxPart
from gateway.thread import thread as read
from workspaces.access import WorkspaceRequest, role_required, workspace_required
from workspaces.models import Role

A_YEAR = 365 * 86_400


@require_safe
@workspace_required
def conversations(request: WorkspaceRequest) -> HttpResponse:
    channels = list(request.workspace.channels.defer("sealed_config").order_by("name"))
    chosen = next((channel for channel in channels if channel.pk.hex == request.GET.get("channel")), None)
    before = request.GET.get("before", "")
    context = {
        "channels": channels,
        "chosen": chosen,
        "before": before,
        "page": inbox.page(request.workspace, channel=chosen.pk if chosen else None, before=before),
        "steps": [] if chosen or before else _steps(request),
    }
    template = "gateway/_conversations.html" if request.htmx else "gateway/conversations.html"
    return render(request, template, context)


def _steps(request: WorkspaceRequest) -> list[Step]:
    """Until all are done, or the person has seen enough of them."""
    if "checklist" in request.COOKIES:
        return []
    found = steps(request.workspace)
    return [] if all(step.done for step in found) else found


@require_POST
@workspace_required
def dismiss_checklist(request: WorkspaceRequest) -> HttpResponse:
    response = redirect("conversations")
    response.set_cookie("checklist", "seen", max_age=A_YEAR, httponly=True, samesite="Lax")
    return response


@require_safe
@workspace_required
def thread(request: WorkspaceRequest, conversation: UUID) -> HttpResponse:
    row = _conversation(request, conversation)
    before = request.GET.get("before", "")
    context = {
        "conversation": row,
        "thread": read(row, before=int(before) if before.isdecimal() else None),
        "before": before,
        "form": AnswerForm(),
    }
    return render(request, "gateway/_thread.html" if request.htmx else "gateway/thread.html", context)


@require_POST
@role_required(Role.MEMBER)
def reply(request: WorkspaceRequest, conversation: UUID) -> HttpResponse:
    row = _conversation(request, conversation)
    form = AnswerForm(request.POST)
    if form.is_valid():
        answer(row, form.cleaned_data["text"], author=request.user.pk)
        if not request.htmx:
            return redirect("thread", row.pk)
        response = render(request, "gateway/_composer.html", {"conversation": row, "form": AnswerForm()})
        return trigger_client_event(response, "amx:thread")
    if request.htmx:
        return render(request, "gateway/_composer.html", {"conversation": row, "form": form})
    context = {"conversation": row, "thread": read(row), "form": form}
    return render(request, "gateway/thread.html", context, status=422)


@require_POST
@role_required(Role.MEMBER)
def mark_sent(request: WorkspaceRequest, part: UUID) -> HttpResponse:
    row = _part(request, part)
    return _decided(request, row, unknown.mark_sent(row))


@require_POST
@role_required(Role.MEMBER)
def resend(request: WorkspaceRequest, part: UUID) -> HttpResponse:
    row = _part(request, part)
    return _decided(request, row, unknown.resend(row))


def _decided(request: WorkspaceRequest, part: OutboxPart, held: bool) -> HttpResponse:
    if request.htmx:
        row = _conversation(request, part.conversation_id)
        return render(request, "gateway/_thread.html", {"conversation": row, "thread": read(row)})
    if not held:
        messages.info(request, "That was decided meanwhile; nothing was changed.")
    return redirect("thread", part.conversation_id)


def _conversation(request: WorkspaceRequest, conversation: UUID) -> Conversation:
    found = request.workspace.conversations.select_related("lane", "channel", "contact")
    return get_object_or_404(found.defer("channel__sealed_config"), pk=conversation)


def _part(request: WorkspaceRequest, part: UUID) -> OutboxPart:
    found = OutboxPart.objects.filter(conversation__workspace=request.workspace)
    return get_object_or_404(found.select_related("conversation"), pk=part)
