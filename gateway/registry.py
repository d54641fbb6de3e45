"""Which channels there are, and how a stored channel becomes an adapter with its opened configuration."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

from gateway.adapter import ChannelAdapter
from gateway.errors import BadConfig
from gateway.models import Channel
from workspaces.models import Workspace
from workspaces.vault import seal, unseal

ADAPTERS = {
    # kind → (name for people, dotted path); imported on first use
    "webchat": ("Web chat", "gateway.channels.webchat.adapter.WebChat"),
    "telegram": ("Telegram", "gateway.channels.telegram.adapter.Telegram"),
}


@cache
def adapter(kind: str) -> ChannelAdapter[Any]:
    """The adapter of `kind`. Raises BadConfig where there is none."""
    if kind not in ADAPTERS:
        raise BadConfig(f"kind {kind!r} is not one of {', '.join(ADAPTERS)}")
    found: ChannelAdapter[Any] = import_string(ADAPTERS[kind][1])(settings)
    return found


def new_channel(workspace: Workspace, kind: str, name: str, given: dict[str, Any]) -> Channel:
    """A channel, not yet saved, its configuration checked and sealed. Raises BadConfig."""
    channel = Channel(workspace=workspace, kind=kind, name=name)
    config = adapter(kind).new_config(given)
    channel.sealed_config = seal(msgspec.json.encode(config), place=_place(workspace.pk.hex, channel.pk.hex))
    return channel


def config_of(channel: Channel) -> Any:
    """The opened configuration of a stored channel. Keep it out of logs."""
    return open_config(channel.kind, channel.workspace_id.hex, channel.pk.hex, bytes(channel.sealed_config))


def open_config(kind: str, workspace: str, channel: str, sealed: bytes) -> Any:
    """As config_of, from bare columns: for the hot path, which does not go through the ORM."""
    return adapter(kind).config(msgspec.json.decode(unseal(sealed, place=_place(workspace, channel))))


def webhook_url(channel: Channel) -> str:
    return f"{settings.STUDIO_URL}/webhooks/{channel.kind}/{channel.pk.hex}"


def _place(workspace: str, channel: str) -> str:
    return f"{workspace}|gateway_channel|sealed_config|{channel}"
