"""Parts of which nobody knows whether they were sent: a person looks into the chat and decides.

Both decisions hold only while the part is still `unknown`: the late outcome of the first call, or a
colleague, may have been quicker. A message's status never falls; after `resend` it stays at UNKNOWN until the
part is sent.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from agent_link.sql import cursor_of
from gateway.answering import show, tell
from gateway.models import OutboxPart, PartState
from gateway.outbox import TOLD
from gateway.outgoing import WAITING


def mark_sent(part: OutboxPart) -> bool:
    """It did arrive. False where the part was decided meanwhile."""
    with transaction.atomic():
        if not _unknown(part).update(state=PartState.SENT, error="", sent_at=Now()):
            return False
        cursor_of(connection).run(TOLD, [{"message": part.message_id.hex}])
        transaction.on_commit(lambda: show(part.conversation))
    return True


def resend(part: OutboxPart) -> bool:
    """It did not arrive: it is sent again, ahead of what waits. False where it was decided meanwhile."""
    with transaction.atomic():
        if not _unknown(part).update(state=PartState.READY, error=""):
            return False
        # Due now, unless a sender holds the conversation: then it falls due when that one is through.
        cursor_of(connection).run(WAITING, [{"lane": part.conversation_id.hex, "parts": 1}])
        transaction.on_commit(lambda: tell(part.conversation))
    return True


def _unknown(part: OutboxPart) -> QuerySet[OutboxPart]:
    return OutboxPart.objects.filter(pk=part.pk, state=PartState.UNKNOWN)
