"""Runs a handler for one message, within limits, and says what is to be done with the outcome."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from .message import Message, Reply, Restart
from .stream import Stream

if TYPE_CHECKING:
    from .context import Context

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3
RETRY_S: Final = 5.0  # times the attempt
MOST: Final = 100_000  # characters of one answer

Piece = str | Reply | Restart
Answer = str | Reply | None
Outcome = Answer | Awaitable[Any] | AsyncIterator[Any]
Handle = Callable[[Message, "Context"], Outcome]


class AnswerTooLong(Exception):
    """The handler's answer has more than 100,000 characters."""


class NotAnAnswer(TypeError):
    """The handler gave something that is neither text, nor a Reply, nor None."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer came of it. `error` names the kind of error only: its text may quote the customer."""

    status: Literal["retry", "error"]
    error: str
    retry_in_s: float | None = None


class Runner:
    """`handle` may return text, a Reply or None, or yield pieces of text; at most `timeout_s` in all."""

    def __init__(self, handle: Handle, *, timeout_s: float) -> None:
        self._handle = handle
        self._timeout_s = timeout_s

    async def run(self, message: Message, context: Context, stream: Stream) -> Reply | Failed | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = _reply(await self._answer(message, context, stream))
        except Exception as error:  # whatever the owner's code raises is the message's failure, not ours
            # The id, not the text: logs are read by more people than messages are.
            log.exception("message %s, attempt %d: the handler failed", message.id, message.attempt)
            return _failed(error, message.attempt)
        finally:
            stream.close()
        return reply

    async def _answer(self, message: Message, context: Context, stream: Stream) -> Answer:
        outcome: Any = self._handle(message, context)
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if hasattr(outcome, "__aiter__"):
            outcome = await _gather(outcome, stream)
        if outcome is None or isinstance(outcome, str | Reply):
            return outcome
        raise NotAnAnswer(f"the handler gave a {type(outcome).__name__}; return text, a Reply or None")


async def _gather(pieces: Any, stream: Stream) -> Answer:
    """The pieces, shown as they come; the answer is all of them, or the Reply that was yielded last."""
    reply: Reply | None = None
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Reply):
                reply = piece
            elif isinstance(piece, Restart):
                stream.restart()
            elif isinstance(piece, str):
                stream.write(piece)
            else:
                raise NotAnAnswer(f"the handler yielded a {type(piece).__name__}; yield text")
    return reply or stream.text


def _reply(answer: Answer) -> Reply | None:
    reply = Reply(answer) if isinstance(answer, str) else answer
    if reply is not None and len(reply.text) > MOST:
        raise AnswerTooLong(f"{len(reply.text)} characters")
    return reply if reply is not None and reply.text.strip() else None


def _failed(error: Exception, attempt: int) -> Failed:
    name = type(error).__name__
    if attempt < ATTEMPTS:
        return Failed("retry", name, RETRY_S * attempt)
    return Failed("error", name)
