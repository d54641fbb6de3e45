"""Rows for tests, made by the operations that make them in life. The fixtures are in tests/people.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from agent_link import answers, lanes
from agent_link.answers import Answer
from agent_link.lanes import Assignment, Claim, Finish
from agent_link.models import Agent, EnvelopeState
from agent_link.sql import cursor_of
from gateway import outbox
from gateway.messages import Inbound
from gateway.models import Channel, ChannelState, Conversation, InboundEvent, Message, PartState
from gateway.outbox import Outcome
from gateway.registry import new_channel
from gateway.store import Arrival, record
from local_agent.protocol.ids import new_id
from workspaces.keys import digest
from workspaces.models import Membership, Role, Workspace

CONFIGS: dict[str, dict[str, Any]] = {
    "webchat": {},
    "telegram": {"bot_token": "123456:AAE-not-a-real-token-of-a-bot"},
}
_numbers = count(1)


def run(operation: Callable[..., Any], *rows: Any) -> list[Any]:
    """An operation of the group commit, in a transaction of its own."""
    with transaction.atomic():
        return list(operation(cursor_of(connection), rows))


def make_workspace(name: str = "Shop") -> Workspace:
    return Workspace.objects.create(name=name, slug=f"{name.lower()}-{next(_numbers)}")


def make_user(name: str, password: str | None = None) -> User:
    return User.objects.create_user(name, f"{name}@example.com", password)


def make_member(workspace: Workspace, name: str, role: Role = Role.MEMBER) -> User:
    user = make_user(name)
    Membership.objects.create(workspace=workspace, user=user, role=role)
    return user


def make_channel(workspace: Workspace, kind: str = "webchat", name: str = "", **config: Any) -> Channel:
    channel = new_channel(workspace, kind, name or f"Our {kind}", CONFIGS[kind] | config)
    channel.state = ChannelState.ACTIVE
    channel.save()
    return channel


def make_agent(workspace: Workspace, name: str = "attic-7", *, online: bool = True) -> Agent:
    now = timezone.now()
    return Agent.objects.create(
        workspace=workspace,
        name=name,
        token_digest=digest(f"{name} {next(_numbers)}"),
        connection=UUID(hex=new_id()) if online else None,
        connected_at=now if online else None,
        last_seen_at=now if online else None,
        sdk="aimatrix-agent/0.1",
    )


def receive(channel: Channel, text: str, *, sender: str = "42", name: str = "Ada") -> Message:
    """Somebody writes on `channel`."""
    event = new_id()
    arrival = _arrival(channel, event, event, {"text": text}, inbound=Inbound(sender, sender, text, name))
    run(record, arrival)
    return Message.objects.select_related("conversation").get(pk=UUID(hex=event))


def receive_unreadable(channel: Channel, payload: Any, trouble: str = "text is a number") -> InboundEvent:
    """Something arrives that the parser does not understand."""
    event = new_id()
    run(record, _arrival(channel, event, f"odd-{event[-6:]}", payload, trouble=trouble))
    return InboundEvent.objects.get(pk=UUID(hex=event))


def _arrival(channel: Channel, event: str, external_id: str, payload: Any, **more: Any) -> Arrival:
    return Arrival(
        id=event,
        workspace=channel.workspace_id.hex,
        channel=channel.pk.hex,
        kind=channel.kind,
        channel_name=channel.name,
        external_id=external_id,
        payload=json.dumps(payload),
        received_at=time.time(),
        **more,
    )


def make_conversation(channel: Channel, *texts: str, sender: str = "42", name: str = "Ada") -> Conversation:
    for text in texts or ("hello",):
        message = receive(channel, text, sender=sender, name=name)
    return message.conversation


def push(conversation: Conversation, agent: Agent) -> Claim:
    """The message at the head of the conversation goes out to `agent`."""
    wanted = Assignment(conversation.pk.hex, agent.pk.hex, (agent.connection or agent.pk).hex, 30.0)
    (claim,) = run(lanes.claim, wanted)
    assert isinstance(claim, Claim)
    return claim


def answer(conversation: Conversation, agent: Agent, text: str = "hello to you") -> Message:
    """`agent` takes the message at the head and answers it, finally."""
    claim = push(conversation, agent)
    reply = new_id()
    given = Answer(
        id=reply,
        envelope=claim.envelope,
        token=claim.token,
        part=0,
        final=True,
        payload={"text": text},
        workspace=conversation.workspace_id.hex,
        agent=agent.pk.hex,
        received_at=time.time(),
        acknowledged_at=time.time(),
    )
    assert run(answers.accept, given) == ["stored"]
    return Message.objects.get(reply_id=UUID(hex=reply))


def set_aside(conversation: Conversation, agent: Agent, error: str = "AMX-3504: not finished") -> None:
    """The message at the head is given up."""
    claim = push(conversation, agent)
    with transaction.atomic():
        lanes.finish(cursor_of(connection), [Finish(claim.envelope, state=EnvelopeState.DEAD, error=error)])


def send(state: PartState = PartState.SENT, error: str = "", after_s: float = 0.0) -> Sequence[outbox.Part]:
    """Everything that waits to be sent is called for, with this outcome."""
    parts: Sequence[outbox.Part] = run(outbox.claim, {"claim_s": 60.0, "born_s": -86_400.0})[0]
    for part in parts:
        external_id = new_id() if state == PartState.SENT else None
        run(outbox.settle, Outcome(part, state, error, external_id, after_s))
    return parts
