"""A colleague's answer: written in the console or sent by a program of the workspace."""

from __future__ import annotations

import time
from uuid import UUID

from django.db import connection, transaction

from agent_link.bus import bus
from agent_link.sql import cursor_of
from gateway.models import Conversation
from gateway.outgoing import Draft, compose


def answer(conversation: Conversation, text: str, *, author: int | None) -> UUID:
    """Stores `text` ready to be sent, and wakes the outbox. Returns the message's id."""
    draft = Draft(lane=conversation.pk.hex, text=text, received_at=time.time(), author=author)
    with transaction.atomic():
        (message,) = compose(cursor_of(connection), [draft])
        transaction.on_commit(lambda: tell(conversation))
    return UUID(hex=message)


def tell(conversation: Conversation) -> None:
    """The conversation has something to send, and something new to show."""
    bus.publish("outbox", {})
    show(conversation)


def show(conversation: Conversation) -> None:
    """Rows of the conversation changed."""
    lane, workspace = conversation.pk.hex, conversation.workspace_id.hex
    bus.publish(f"conversation:{lane}", {"t": "message"})
    bus.publish(f"workspace:{workspace}", {"t": "message", "conversation": lane})
