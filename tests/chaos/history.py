"""What happened in a kill loop, and whether it may have. Pure: told what was seen, says what is wrong.

A message is known by its chat and its number there; the agent answers `echo <chat>:<number>`. Each that was
accepted (answered 2xx) must be stored once, be answered once, and reach the provider once, in the order of its
chat. The one way out is a part shown as `unknown`: allowed exactly where a Studio process was killed between the
intent to call the provider and the record of the outcome.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

TEXT = re.compile(r"echo (\d+):(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """A message, and the answer to it."""

    chat: int
    number: int

    @property
    def text(self) -> str:
        return f"{self.chat}:{self.number}"

    @property
    def echo(self) -> str:
        return f"echo {self.text}"


def said(text: str) -> Said | None:
    """Which message an answer belongs to; None for what nobody should ever say."""
    found = TEXT.fullmatch(text)
    return Said(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Part:
    """A row of the outbox."""

    id: str
    text: str
    state: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database says when all is quiet."""

    inbound: Sequence[tuple[int, str]]  # (chat, text), by place in the conversation
    envelopes: Mapping[str, int]  # state → how many
    parts: Sequence[Part]
    lanes_pending: int = 0
    sends_pending: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """`accepted`: messages answered 2xx, in that order. `calls`: (chat, text) that the provider carried out.

    `interrupted`: ids of the parts that were at the provider when a Studio process was killed.
    """

    accepted: Sequence[Said]
    calls: Sequence[tuple[int, str]]
    rows: Rows
    interrupted: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verdict:
    """`unknown` says of each such message whether the provider has it. It holds when nothing else is listed."""

    messages: int = 0
    lost: list[Said] = field(default_factory=list)
    duplicated: list[Said] = field(default_factory=list)
    reordered: list[tuple[Said, Said]] = field(default_factory=list)
    unknown: dict[Said, bool] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.reordered or self.wrong)

    def __str__(self) -> str:
        bad = [f"lost {one.text}" for one in self.lost]
        bad += [f"sent more than once: {one.text}" for one in self.duplicated]
        bad += [f"out of order: {later.text} before {one.text}" for later, one in self.reordered]
        return "\n".join([*bad, *self.wrong]) or "nothing is wrong"


def judge(history: History) -> Verdict:
    """Every claim, one after the other."""
    verdict = Verdict(messages=len(history.accepted))
    delivered = _delivered(history, verdict)
    states = _states(history, verdict)
    for one in history.accepted:
        times, state = delivered[one], states.get(one)
        if state == "unknown":
            verdict.unknown[one] = times > 0
        elif times == 0:
            verdict.lost.append(one)
        elif state != "sent":
            verdict.wrong.append(f"{one.text} reached the provider, its part is {state}")
        if times > 1:
            verdict.duplicated.append(one)
    _order(history, verdict)
    _receipts(history, verdict)
    _rest(history, verdict)
    _unknown(history, verdict)
    return verdict


def _delivered(history: History, verdict: Verdict) -> Counter[Said]:
    delivered: Counter[Said] = Counter()
    known = set(history.accepted)
    for chat, text in history.calls:
        one = said(text)
        if one is None or one.chat != chat or one not in known:
            verdict.wrong.append(f"chat {chat} was sent {text!r}, which answers nothing that it said")
        else:
            delivered[one] += 1
    return delivered


def _states(history: History, verdict: Verdict) -> dict[Said, str]:
    states: dict[Said, str] = {}
    for part in history.rows.parts:
        one = said(part.text)
        if one is None or one in states:
            verdict.wrong.append(f"part {part.id} ({part.text!r}) is one too many")
        else:
            states[one] = part.state
    for one in set(history.accepted) - set(states):
        verdict.wrong.append(f"{one.text} has no part in the outbox")
    return states


def _order(history: History, verdict: Verdict) -> None:
    for sequence in _by_chat(one for _, text in history.calls if (one := said(text))).values():
        verdict.reordered += [(before, after) for before, after in pairwise(sequence) if after < before]


def _receipts(history: History, verdict: Verdict) -> None:
    """Stored is what was answered 2xx: all of it, nothing else, once, and in the order of each chat."""
    accepted = _by_chat(history.accepted)
    stored = defaultdict(list)
    for chat, text in history.rows.inbound:
        stored[chat].append(text)
    for chat in accepted.keys() | stored.keys():
        expected = [one.text for one in accepted.get(chat, [])]
        if stored[chat] != expected:
            verdict.wrong.append(f"chat {chat}: accepted {expected}, stored {stored[chat]}")


def _rest(history: History, verdict: Verdict) -> None:
    """Nothing is left to do, and nothing was set aside."""
    rows = history.rows
    if dict(rows.envelopes) != {"done": len(history.accepted)}:
        verdict.wrong.append(f"envelopes: {dict(rows.envelopes)}, not {len(history.accepted)} done")
    if rows.lanes_pending or rows.sends_pending:
        verdict.wrong.append(f"still pending: {rows.lanes_pending} envelopes, {rows.sends_pending} parts")


def _unknown(history: History, verdict: Verdict) -> None:
    unknown = {part.id: part for part in history.rows.parts if part.state == "unknown"}
    for id_ in unknown.keys() - history.interrupted:
        verdict.wrong.append(f"{unknown[id_].text!r} is unknown, and no kill of Studio explains it")
    states = {part.id: part.state for part in history.rows.parts}
    for id_ in history.interrupted - unknown.keys():
        verdict.wrong.append(f"part {id_} was at the provider when Studio died, and is {states.get(id_)}")


def _by_chat(messages: Iterable[Said]) -> dict[int, list[Said]]:
    chats: defaultdict[int, list[Said]] = defaultdict(list)
    for one in messages:
        chats[one.chat].append(one)
    return chats
