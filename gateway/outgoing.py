"""What is to be said to a contact becomes a message and its outbox parts, whoever says it: an agent or a colleague.

`compose` is an operation for the group commit; inside `gateway.replies` it shares the transaction of the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_link import lanes
from agent_link.sql import Cursor, Statement, utc
from gateway.models import Direction, MessageStatus
from gateway.registry import adapter
from gateway.splitting import split
from gateway.store import MESSAGE
from local_agent.protocol.ids import new_id

ADDRESSED = Statement(
    """SELECT c.lane_id, c.channel_id, ch.kind FROM {rows} g
       JOIN gateway_conversation c ON c.lane_id = g.lane JOIN gateway_channel ch ON ch.id = c.channel_id""",
    lane="id",
)
PART = Statement(
    """INSERT INTO gateway_outboxpart (id, message_id, conversation_id, channel_id, place, text, state)
       SELECT id, message, conversation, channel, place, text, 'ready' FROM {rows} g""",
    id="id",
    message="id",
    conversation="id",
    channel="id",
    place="int",
    text="text",
)
WAITING = Statement(
    """UPDATE gateway_conversation AS c
       SET send_pending = c.send_pending + g.parts,
           send_due_at = CASE WHEN c.send_pending = 0 THEN {now} ELSE c.send_due_at END
       FROM {rows} g WHERE c.lane_id = g.lane""",
    lane="id",
    parts="int",
)
PARTS_PER_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Draft:
    """`answers`: the inbound message; `reply`: the agent's id of the answer; `author`: a colleague's user id."""

    lane: str
    text: str
    received_at: float
    answers: str | None = None
    reply: str | None = None
    agent: str | None = None
    author: int | None = None


def compose(cursor: Cursor, drafts: Sequence[Draft]) -> list[str]:
    """Operation: stores each draft at the end of its conversation, ready to be sent. Returns the messages' ids."""
    lanes_of_drafts = [{"lane": lane} for lane in {draft.lane for draft in drafts}]
    addressed = {row[0]: (row[1], row[2]) for row in cursor.run(ADDRESSED, lanes_of_drafts)}
    counts = Counter(draft.lane for draft in drafts)
    places = lanes.number(cursor, [{"lane": lane, "items": n, "envelopes": 0} for lane, n in counts.items()])
    messages: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for draft in drafts:
        channel, kind = addressed[draft.lane]
        seq = places[draft.lane]
        places[draft.lane] += 1
        message = _message(draft, seq)
        messages.append(message)
        texts = split(draft.text, adapter(kind).limits.text)[:PARTS_PER_MESSAGE]
        parts.extend(_part(message, channel, seq, index, text) for index, text in enumerate(texts))
    cursor.run(MESSAGE, messages)
    cursor.run(PART, parts)
    waiting = Counter(part["conversation"] for part in parts)
    cursor.run(WAITING, [{"lane": lane, "parts": n} for lane, n in sorted(waiting.items())])
    return [message["id"] for message in messages]


def _message(draft: Draft, seq: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "conversation": draft.lane,
        "seq": seq,
        "direction": Direction.OUT,
        "text": draft.text,
        "status": MessageStatus.QUEUED,
        "answers": draft.answers,
        "reply": draft.reply,
        "agent": draft.agent,
        "author": draft.author,
        "received_at": utc(draft.received_at),
    }


def _part(message: dict[str, Any], channel: str, seq: int, index: int, text: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "message": message["id"],
        "conversation": message["conversation"],
        "channel": channel,
        "place": seq * PARTS_PER_MESSAGE + index,
        "text": text,
    }
