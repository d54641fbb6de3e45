"""What has become of a message, stage by stage, with the milliseconds in between. Pure: rows in, stages out.

received → stored → pushed → acknowledged → replied → sent → delivered        what a contact wrote
written  → stored → sent → delivered                                          what a colleague wrote
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from agent_link.models import Envelope, EnvelopeState
from gateway.models import Message, OutboxPart, PartState

# Telegram tells no bot whether a message arrived.
NO_RECEIPTS = frozenset({"telegram"})

NEXT_STEPS = {
    "AMX-2401": "Correct the channel's credentials, then press Connect on its page.",
    "AMX-2404": "Enable the channel, then answer again.",
    "AMX-2410": "The contact blocked the channel or is gone. Try another way to reach them.",
    "AMX-2422": "The provider does not take this text. Change it, then answer again.",
    "AMX-2504": "Look into the chat, then choose: it was sent, or send it again.",
    "AMX-2599": "Look into Studio's log, then choose: it was sent, or send it again.",
    "AMX-3504": "Answer it yourself below, and look at Agents: is one online?",
}
WAITING_NEXT = {
    "AMX-2401": NEXT_STEPS["AMX-2401"],
    "AMX-2429": "Nothing to do: it is sent when the provider allows.",
    "AMX-2503": "Nothing to do: it is sent when the provider is back.",
}
UNKNOWN_NEXT = "Look into the chat, then choose: it was sent, or send it again."
FAILED_NEXT = "Read the reason, then answer again."
DEAD_NEXT = "Answer it yourself below, and look into the agent's log."

_CODE = re.compile(r"(AMX-\d{4})(?:: )?(.*)", re.DOTALL)


class Progress(StrEnum):
    DONE = "done"
    PENDING = "pending"
    TROUBLE = "trouble"
    NONE = "none"  # will not come, and nobody waits for it


@dataclass(frozen=True, slots=True)
class Stage:
    """`gap_ms`: since the last stage that is done. `word`: where a message stands that came no further."""

    name: str
    progress: Progress
    at: datetime | None = None
    gap_ms: float | None = None
    word: str = ""
    note: str = ""
    code: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    stages: tuple[Stage, ...]

    @property
    def total_ms(self) -> float:
        times = [stage.at for stage in self.stages if stage.at and stage.progress is Progress.DONE]
        return max(0.0, (times[-1] - times[0]).total_seconds() * 1000) if times else 0.0

    @property
    def trouble(self) -> Stage | None:
        return next((stage for stage in self.stages if stage.progress is Progress.TROUBLE), None)

    @property
    def word(self) -> str:
        """Where it stands, in a word or two."""
        if self.trouble is not None:
            return self.trouble.word
        waiting = next((stage for stage in self.stages if stage.progress is Progress.PENDING), None)
        if waiting is not None and waiting.word:
            return waiting.word
        done = [stage for stage in self.stages if stage.progress is Progress.DONE]
        return (done[-1].word or done[-1].name) if done else ""


@dataclass(frozen=True, slots=True)
class Answered:
    """An outgoing message with the provider calls it took."""

    message: Message
    parts: Sequence[OutboxPart]


def of_inbound(
    message: Message, envelope: Envelope | None, answers: Sequence[Answered], *, receipts: bool = True
) -> Timeline:
    """What a contact wrote, on its way to the agent and back. `receipts`: the channel tells of deliveries."""
    parts = [part for answer in answers for part in answer.parts]
    return _timeline(
        _done("Received", message.received_at),
        _done("Stored", message.stored_at),
        *_at_the_agent(envelope, answers),
        *_sending(parts, expected=_expects_answer(envelope, answers), receipts=receipts),
    )


def of_outgoing(answer: Answered, *, receipts: bool = True) -> Timeline:
    """What a colleague wrote, on its way to the contact."""
    return _timeline(
        _done("Written", answer.message.received_at),
        _done("Stored", answer.message.stored_at),
        *_sending(answer.parts, expected=True, receipts=receipts),
    )


def _at_the_agent(envelope: Envelope | None, answers: Sequence[Answered]) -> Iterable[Stage]:
    if envelope is None:
        return (Stage(name, Progress.NONE) for name in ("Pushed", "Acknowledged", "Replied"))
    over = envelope.state != EnvelopeState.NEW
    pushed = _step("Pushed", envelope.pushed_at, over=over, word="Waiting for an agent")
    # When the agent had it is stored together with how it ended.
    word = "An agent has it" if pushed.progress is Progress.DONE else ""
    return (
        pushed,
        _step("Acknowledged", envelope.acknowledged_at, over=over, word=word),
        _replied(envelope, answers),
    )


def _replied(envelope: Envelope, answers: Sequence[Answered]) -> Stage:
    if envelope.state == EnvelopeState.DEAD:
        code, detail = _reason(envelope.error)
        return Stage(
            "Replied",
            Progress.TROUBLE,
            word="Set aside",
            note=detail,
            code=code,
            next_step=NEXT_STEPS.get(code, DEAD_NEXT),
        )
    if answers and envelope.state == EnvelopeState.DONE:
        return _done("Replied", answers[-1].message.received_at)
    if envelope.state == EnvelopeState.DONE:
        return replace(_done("Replied", envelope.finished_at), word="Finished without an answer")
    return Stage("Replied", Progress.PENDING)


def _expects_answer(envelope: Envelope | None, answers: Sequence[Answered]) -> bool:
    return bool(answers) or (envelope is not None and envelope.state == EnvelopeState.NEW)


def _sending(parts: Sequence[OutboxPart], *, expected: bool, receipts: bool) -> Iterable[Stage]:
    if not parts:
        progress = Progress.PENDING if expected else Progress.NONE
        return Stage("Sent", progress), Stage("Delivered", progress if receipts else Progress.NONE)
    sent = _sent(parts)
    if sent.progress is Progress.TROUBLE or not receipts:
        unheard = "not reported by this channel" if sent.progress is Progress.DONE else ""
        return sent, Stage("Delivered", Progress.NONE, note=unheard)
    delivered = [part.delivered_at for part in parts if part.delivered_at is not None]
    if len(delivered) == len(parts):
        return sent, _done("Delivered", max(delivered))
    return sent, Stage("Delivered", Progress.PENDING)


def _sent(parts: Sequence[OutboxPart]) -> Stage:
    for part in parts:
        if part.state == PartState.FAILED:
            return _trouble(part, "Not sent", FAILED_NEXT)
    for part in parts:
        if part.state == PartState.UNKNOWN:
            return _trouble(part, "May have been sent", UNKNOWN_NEXT)
    times = [part.sent_at for part in parts if part.sent_at is not None and part.state == PartState.SENT]
    if len(times) == len(parts):
        return _done("Sent", max(times))
    retried = next((part for part in parts if part.error), None)
    if retried is None:
        return Stage("Sent", Progress.PENDING, word="Being sent")
    code, detail = _reason(retried.error)
    note = f"{detail}; tried {retried.attempts} ×" if detail else f"tried {retried.attempts} ×"
    next_step = WAITING_NEXT.get(code, "")
    return Stage(
        "Sent", Progress.PENDING, word="Will be tried again", note=note, code=code, next_step=next_step
    )


def _trouble(part: OutboxPart, word: str, next_step: str) -> Stage:
    code, detail = _reason(part.error)
    next_step = NEXT_STEPS.get(code, next_step)
    return Stage("Sent", Progress.TROUBLE, word=word, note=detail, code=code, next_step=next_step)


def _reason(error: str) -> tuple[str, str]:
    """`AMX-2504: no answer in time` → code and detail; an error without a code has none."""
    found = _CODE.fullmatch(error)
    return (found[1], found[2]) if found else ("", error)


def _done(name: str, at: datetime | None) -> Stage:
    return Stage(name, Progress.DONE, at=at)


def _step(name: str, at: datetime | None, *, over: bool, word: str) -> Stage:
    if at is not None:
        return _done(name, at)
    return Stage(name, Progress.NONE) if over else Stage(name, Progress.PENDING, word=word)


def _timeline(*stages: Stage) -> Timeline:
    """With the gaps filled in. Clocks of two machines may disagree by a little; a gap is never negative."""
    measured: list[Stage] = []
    last: datetime | None = None
    for stage in stages:
        if stage.progress is Progress.DONE and stage.at is not None:
            at, before = stage.at, last or stage.at
            stage = replace(stage, gap_ms=max(0.0, (at - before).total_seconds() * 1000) if last else None)
            last = max(before, at)
        measured.append(stage)
    return Timeline(tuple(measured))
