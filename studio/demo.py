"""The demo: a workspace with an owner, a web chat and an API key, so that a first run has something to show."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from agent_link.models import Agent
from gateway.models import Channel, ChannelState
from gateway.registry import new_channel
from workspaces.api_keys import new_api_key
from workspaces.keys import digest
from workspaces.models import ApiKey, Membership, Role, Workspace

OWNER = "owner"
CHAT = {
    "greeting": "Hello! Ask about opening hours, delivery, returns or warranty.",
    "suggestions": ["When are you open?", "How long does delivery take?", "How can I return something?"],
}


@dataclass(slots=True)
class Demo:
    """What `var/demo.json` tells other programs on this computer. It opens doors: mode 600."""

    studio_url: str
    signin_url: str
    workspace: str
    api_key: str
    webchat_url: str
    agent_id: str


def path() -> Path:
    return Path(settings.VAR) / "demo.json"


def read() -> dict[str, str]:
    """What an earlier run left; empty where there was none."""
    try:
        known: dict[str, str] = json.loads(path().read_text())
    except (OSError, ValueError):
        return {}
    return known


def write(demo: Demo) -> None:
    temporary = path().with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(demo), file, indent=2)
    temporary.rename(path())


def seed() -> tuple[Workspace, User, Channel]:
    """Makes what is missing; a second run finds all as it was."""
    workspace, _ = Workspace.objects.get_or_create(slug="demo", defaults={"name": "Demo shop"})
    channel = Channel.objects.filter(workspace=workspace, kind="webchat").order_by("created_at").first()
    if channel is None:
        channel = new_channel(workspace, "webchat", "Website", CHAT)
        channel.state = ChannelState.ACTIVE
        channel.save()
    return workspace, _owner(workspace), channel


def _owner(workspace: Workspace) -> User:
    users = get_user_model().objects
    owner = users.filter(username=OWNER).first()
    if owner is None:
        password = secrets.token_urlsafe(15)
        keep = Path(settings.VAR) / "secrets" / "owner_password"
        keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep.touch(mode=0o600)
        keep.write_text(password)
        owner = users.create_superuser(OWNER, password=password)
    Membership.objects.get_or_create(workspace=workspace, user=owner, defaults={"role": Role.OWNER})
    return owner


def api_key(workspace: Workspace) -> str:
    """The key of the last run while it holds, else a new one."""
    known = read().get("api_key", "")
    if ApiKey.objects.filter(workspace=workspace, digest=digest(known), revoked_at=None).exists():
        return known
    return new_api_key(workspace, "demo")[0]


def agent(workspace: Workspace) -> str | None:
    """The id of the agent of the last run while it is not revoked."""
    known = read().get("agent_id", "")
    if known and Agent.objects.filter(workspace=workspace, revoked_at=None, pk=known).exists():
        return known
    return None
