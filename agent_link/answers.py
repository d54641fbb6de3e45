"""What comes back from agents, accepted once and handed to the room that sent the envelope.

An answer is fenced by its lane's token. One that comes too late is refused as `stale`, with one exception: a whole
answer (part 0 and final) to an envelope that nobody has finished yet is taken, because the customer is better off with
an answer than with two, or none. Whoever holds the envelope by then is fenced off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.utils.module_loading import import_string

from agent_link import lanes
from agent_link.lanes import Finish
from agent_link.models import EnvelopeState
from agent_link.sql import Cursor, Statement

Verdict = Literal["stored", "dup", "stale"]

JUDGED = Statement(
    """SELECT g.r, e.id, e.kind, e.state, l.id, l.token, known.id
       FROM {rows} g
       JOIN agent_link_envelope e ON e.id = g.envelope
       JOIN agent_link_lane l ON l.id = e.lane_id AND l.workspace_id = g.workspace
       LEFT JOIN agent_link_reply known ON known.id = g.r
       ORDER BY l.id {wait for l}""",
    r="id",
    envelope="id",
    workspace="id",
)
KEPT = Statement(
    """INSERT INTO agent_link_reply (id, envelope_id, part, final)
       SELECT r, envelope, part, final FROM {rows} g WHERE true ON CONFLICT DO NOTHING RETURNING id""",
    r="id",
    envelope="id",
    part="int",
    final="bool",
)
KNOWN = Statement("SELECT k.id FROM agent_link_reply k JOIN {rows} g ON k.id = g.r", r="id")
SUPPLIED = Statement(
    """SELECT g.envelope, e.state, l.id, l.token FROM {rows} g
       JOIN agent_link_envelope e ON e.id = g.envelope
       JOIN agent_link_lane l ON l.id = e.lane_id AND l.workspace_id = g.workspace
       ORDER BY l.id {wait for l}""",
    envelope="id",
    workspace="id",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One `reply` of an agent. `id` was made once, by the agent. Times in seconds since 1970."""

    id: str
    envelope: str
    token: int
    part: int
    final: bool
    payload: dict[str, Any]
    workspace: str
    agent: str
    received_at: float
    acknowledged_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """One `done` of an agent: finished without a (further) answer, or to be tried again after `retry_s`."""

    envelope: str
    token: int
    workspace: str
    status: Literal["ok", "error", "retry", "reject"]
    retry_s: float
    error: str
    acknowledged_at: float | None = None


Route = Callable[[Cursor, Sequence[tuple[str, Answer]]], None]


@cache
def route(kind: str) -> Route:
    """Who takes answers to envelopes of `kind`: called with (lane, answer) pairs, inside the transaction."""
    found: Route = import_string(settings.AGENT_LINK_ROUTES[kind])
    return found


def judge(answer: Answer, *, known: bool, state: int, token: int) -> Verdict:
    """Pure: what is to be done with an answer, given what the rows say."""
    if known:
        return "dup"
    if state != EnvelopeState.NEW or answer.token > token:
        return "stale"
    late = answer.token < token
    return "stale" if late and not (answer.final and answer.part == 0) else "stored"


def accept(cursor: Cursor, answers: Sequence[Answer]) -> list[Verdict]:
    """Operation: stores what may be stored, hands it to its route, finishes envelopes at their final part."""
    rows = [{"r": a.id, "envelope": a.envelope, "workspace": a.workspace} for a in answers]
    found = {row[0]: row[1:] for row in cursor.run(JUDGED, rows)}
    verdicts: dict[str, Verdict] = {}
    taken: dict[str, list[tuple[str, Answer]]] = {}
    finished: set[str] = set()
    finishes: list[Finish] = []
    for answer in answers:
        if answer.id in verdicts:
            continue
        if answer.id not in found:
            verdicts[answer.id] = "stale"
            continue
        _, kind, state, lane, token, known = found[answer.id]
        state = EnvelopeState.DONE if answer.envelope in finished else state
        verdicts[answer.id] = judge(answer, known=known is not None, state=state, token=token)
        if verdicts[answer.id] == "stored":
            taken.setdefault(kind, []).append((lane, answer))
            if answer.final:
                finished.add(answer.envelope)
                finishes.append(Finish(answer.envelope, answer.acknowledged_at, fence=answer.token < token))
    _keep(cursor, taken, verdicts)
    lanes.finish(cursor, finishes)
    return [verdicts[answer.id] for answer in answers]


def _keep(cursor: Cursor, taken: dict[str, list[tuple[str, Answer]]], verdicts: dict[str, Verdict]) -> None:
    for kind, pairs in taken.items():
        rows = [{"r": a.id, "envelope": a.envelope, "part": a.part, "final": a.final} for _, a in pairs]
        new = {row[0] for row in cursor.run(KEPT, rows)}
        for _, answer in pairs:
            if answer.id not in new:  # the same reply came through another process at the same moment
                verdicts[answer.id] = "dup"
        route(kind)(cursor, [(lane, answer) for lane, answer in pairs if answer.id in new])


def known(cursor: Cursor, replies: Sequence[str]) -> list[bool]:
    """Operation: which of these reply ids are stored already."""
    stored = {row[0] for row in cursor.run(KNOWN, [{"r": reply} for reply in replies])}
    return [reply in stored for reply in replies]


def end(cursor: Cursor, endings: Sequence[Ending]) -> list[bool]:
    """Operation: finishes or postpones envelopes; False where the token is stale or all was over already."""
    rows = [{"envelope": e.envelope, "workspace": e.workspace} for e in endings]
    found = {row[0]: row[1:] for row in cursor.run(SUPPLIED, rows)}
    valid = [
        e.envelope in found and found[e.envelope][0] == EnvelopeState.NEW and found[e.envelope][2] == e.token
        for e in endings
    ]
    held = [ending for ending, ok in zip(endings, valid, strict=True) if ok]
    lanes.finish(
        cursor,
        [
            Finish(
                e.envelope,
                e.acknowledged_at,
                EnvelopeState.DONE if e.status == "ok" else EnvelopeState.DEAD,
                "" if e.status == "ok" else e.error,
            )
            for e in held
            if e.status != "retry"
        ],
    )
    lanes.postpone(cursor, [(found[e.envelope][1], e.token, e.retry_s) for e in held if e.status == "retry"])
    return valid
