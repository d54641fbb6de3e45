"""Channels: which there are, adding one, and keeping it connected."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from agent_link.bus import bus
from gateway.connecting import connect as ask_provider
from gateway.errors import BadConfig
from gateway.forms import NewChannelForm, NewTelegramForm, NewWebchatForm
from gateway.models import Channel, ChannelState, InboundEvent
from gateway.registry import adapter, config_of, new_channel, webhook_url
from workspaces.access import WorkspaceRequest, role_required, workspace_required
from workspaces.models import Role
from workspaces.vault import SealBroken


@require_safe
@workspace_required
def channels(request: WorkspaceRequest) -> HttpResponse:
    last = InboundEvent.objects.filter(channel=OuterRef("pk")).order_by("-pk").values("received_at")[:1]
    found = request.workspace.channels.defer("sealed_config").annotate(last_event_at=Subquery(last))
    return render(request, "gateway/channels.html", {"channels": found.order_by("name", "pk")})


@role_required(Role.ADMIN)
def new_telegram(request: WorkspaceRequest) -> HttpResponse:
    return _new(request, NewTelegramForm)


@role_required(Role.ADMIN)
def new_webchat(request: WorkspaceRequest) -> HttpResponse:
    return _new(request, NewWebchatForm)


def _new(request: WorkspaceRequest, form_type: type[NewChannelForm]) -> HttpResponse:
    form = form_type(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = new_channel(request.workspace, form.kind, form.cleaned_data["name"], form.config())
        except BadConfig as error:
            form.add_error(None, str(error))
        else:
            row.save()
            _connect(request, row)
            return redirect("channel", row.pk)
    return render(request, f"gateway/new_{form.kind}.html", {"form": form})


@require_safe
@workspace_required
def channel(request: WorkspaceRequest, channel: UUID) -> HttpResponse:
    return render(request, "gateway/channel.html", _shown(_channel(request, channel)))


@require_POST
@role_required(Role.ADMIN)
def show_secret(request: WorkspaceRequest, channel: UUID) -> HttpResponse:
    """On demand only, so that it does not stand on every screen."""
    row = _channel(request, channel)
    context = _shown(row)
    if context["has_secret"]:
        context["secret"] = adapter(row.kind).webhook_secret(config_of(row))
    return render(request, "gateway/_secret.html" if request.htmx else "gateway/channel.html", context)


@require_POST
@role_required(Role.ADMIN)
def connect(request: WorkspaceRequest, channel: UUID) -> HttpResponse:
    row = _channel(request, channel)
    _connect(request, row)
    return redirect("channel", row.pk)


@require_POST
@role_required(Role.ADMIN)
def disable(request: WorkspaceRequest, channel: UUID) -> HttpResponse:
    row = _channel(request, channel)
    row.state, row.state_detail = ChannelState.DISABLED, ""
    row.save(update_fields=["state", "state_detail"])
    bus.publish("channels", {"channel": row.pk.hex})
    messages.info(request, f"{row.name} takes no messages now. Connect takes it into use again.")
    return redirect("channel", row.pk)


def _connect(request: WorkspaceRequest, row: Channel) -> None:
    try:
        findings = async_to_sync(ask_provider)(row)
    except SealBroken as error:
        messages.error(request, f"{error.code}: {error}")
        return
    if not findings:  # otherwise the channel's page says what is wrong
        messages.success(request, f"{row.name} is connected.")


def _channel(request: WorkspaceRequest, channel: UUID) -> Channel:
    return get_object_or_404(request.workspace.channels, pk=channel)


def _shown(row: Channel) -> dict[str, Any]:
    chat = settings.STUDIO_URL + reverse("webchat", args=[row.pk])
    try:
        has_secret = adapter(row.kind).webhook_secret(config_of(row)) is not None
    except SealBroken:
        has_secret = False
    return {
        "channel": row,
        "webhook_url": webhook_url(row) if has_secret else "",
        "has_secret": has_secret,
        "chat_url": chat if row.kind == "webchat" else "",
        "snippet": f'<script src="{chat}/widget.js" async></script>',
    }
