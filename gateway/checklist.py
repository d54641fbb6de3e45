"""The first steps in a new workspace, ticked by what is really there."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from gateway.models import Channel, ChannelState, Message, MessageStatus
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Step:
    """`page`: the name of the page where it is done."""

    done: bool
    text: str
    page: str


def steps(workspace: Workspace) -> list[Step]:
    """All five, in one query."""
    row = (
        Workspace.objects.filter(pk=workspace.pk)
        .annotate(
            computers=Count("agents", filter=Q(agents__connected_at__isnull=False, agents__revoked_at=None)),
            answered=Exists(_sent().filter(answers__isnull=False, conversation__channel__kind="webchat")),
            helped=Exists(_sent().filter(author__isnull=False)),
            telegram=Exists(
                Channel.objects.filter(workspace=OuterRef("pk"), kind="telegram", state=ChannelState.ACTIVE)
            ),
        )
        .values("computers", "answered", "helped", "telegram")
        .get()
    )
    return [
        Step(row["computers"] > 0, "Bring an agent online", "agents"),
        Step(row["answered"], "Get a first answer in the web chat", "channels"),
        Step(row["helped"], "Answer somebody yourself", "conversations"),
        Step(row["telegram"], "Connect Telegram", "new_telegram"),
        Step(row["computers"] > 1, "Pair a second computer", "agents"),
    ]


def _sent() -> QuerySet[Message]:
    return Message.objects.filter(
        conversation__workspace=OuterRef("pk"), direction="out", status__gte=MessageStatus.SENT
    )
