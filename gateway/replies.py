"""An agent's answers become messages to send, inside the transaction of `agent_link.answers` that stores them."""

from __future__ import annotations

from collections.abc import Sequence

from agent_link.answers import Answer
from agent_link.sql import Cursor
from gateway.outgoing import Draft, compose


def accept(cursor: Cursor, answers: Sequence[tuple[str, Answer]]) -> None:
    """(lane, answer) pairs, each new. `payload` is {"text": …}; an answer without words finishes in silence."""
    compose(
        cursor,
        [
            Draft(
                lane=lane,
                text=answer.payload["text"].replace("\x00", "\N{REPLACEMENT CHARACTER}"),
                received_at=answer.received_at,
                answers=answer.envelope,
                reply=answer.id,
                agent=answer.agent,
            )
            for lane, answer in answers
            if isinstance(answer.payload.get("text"), str) and answer.payload["text"].strip()
        ],
    )
