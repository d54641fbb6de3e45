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

# What is true of an answer's envelope: whose turn it is in its lane, and whether this very answer is there already.
JUDGED = Statement(
    """SELECT g.at, e.kind, l.id, l.token, known.id,
              e.seq = (SELECT MIN(h.seq) FROM agent_link_envelope h WHERE h.lane_id = l.id AND h.seq > l.done_seq)
       FROM {rows} g
       JOIN agent_link_envelope e ON e.id = g.envelope
       JOIN agent_link_lane l ON l.id = e.lane_id AND l.workspace_id = g.workspace
       LEFT JOIN agent_link_reply known ON known.id = g.r""",
    at="int",
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
MOST_PARTS = 2**15  # what a smallint holds


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer belongs. `head`: its envelope is the one whose turn it is; `known`: it is stored already."""

    kind: str
    lane: str
    token: int
    known: bool
    head: bool


def judge(answer: Answer, *, known: bool, head: bool, token: int) -> Verdict:
    """Pure: what is to be done with an answer, given what the rows say."""
    if known:
        return "dup"
    if not head or answer.token > token or answer.part >= MOST_PARTS:
        return "stale"
    late = answer.token < token
    return "stale" if late and not (answer.final and answer.part == 0) else "stored"


def accept(cursor: Cursor, answers: Sequence[Answer]) -> list[Verdict]:
    """Operation: stores what may be stored, hands it to its route, finishes envelopes at their final part."""
    places = _places(cursor, answers)
    verdicts: list[Verdict] = ["stale"] * len(answers)
    chosen: dict[str, int] = {}
    finished: set[str] = set()
    for at, place in sorted(places.items()):
        answer = answers[at]
        head = place.head and answer.envelope not in finished
        verdicts[at] = judge(answer, known=place.known or answer.id in chosen, head=head, token=place.token)
        if verdicts[at] == "stored":
            chosen[answer.id] = at
            if answer.final:
                finished.add(answer.envelope)
    new = _keep(cursor, [answers[at] for at in chosen.values()])
    taken: dict[str, list[tuple[str, Answer]]] = {}
    for r, at in chosen.items():
        if r in new:
            taken.setdefault(places[at].kind, []).append((places[at].lane, answers[at]))
        else:  # its id went to another envelope at this same moment, through another process
            verdicts[at] = "dup"
    for kind, pairs in taken.items():
        route(kind)(cursor, pairs)
        lanes.finish(cursor, [Finish(a.envelope, a.acknowledged_at) for _, a in pairs if a.final])
    return verdicts


def _places(cursor: Cursor, given: Sequence[Answer | Ending]) -> dict[int, Place]:
    """Of those whose envelope is their workspace's, by their place in `given`. Their lanes are held from now on."""
    lanes.hold(cursor, [one.envelope for one in given])
    rows = [
        {"at": at, "r": getattr(one, "id", None), "envelope": one.envelope, "workspace": one.workspace}
        for at, one in enumerate(given)
    ]
    return {
        at: Place(kind, lane, token, known is not None, bool(head))
        for at, kind, lane, token, known, head in cursor.run(JUDGED, rows)
    }


def _keep(cursor: Cursor, answers: Sequence[Answer]) -> set[str]:
    rows = [{"r": a.id, "envelope": a.envelope, "part": a.part, "final": a.final} for a in answers]
    return {row[0] for row in cursor.run(KEPT, rows)}


def known(cursor: Cursor, replies: Sequence[str]) -> list[bool]:
    """Operation: which of these reply ids are stored already."""
    stored = {row[0] for row in cursor.run(KNOWN, [{"r": reply} for reply in replies])}
    return [reply in stored for reply in replies]


def end(cursor: Cursor, endings: Sequence[Ending]) -> list[bool]:
    """Operation: finishes or postpones envelopes; False where the token is stale or all was over already."""
    places = _places(cursor, endings)
    held = {at: place for at, place in places.items() if place.head and place.token == endings[at].token}
    finishes, retries = [], []
    for at, place in held.items():
        ending = endings[at]
        if ending.status == "retry":
            retries.append((place.lane, ending.token, ending.retry_s))
        elif ending.status == "ok":
            finishes.append(Finish(ending.envelope, ending.acknowledged_at))
        else:
            finishes.append(Finish(ending.envelope, ending.acknowledged_at, EnvelopeState.DEAD, ending.error))
    lanes.finish(cursor, finishes)
    lanes.postpone(cursor, retries)
    return [at in held for at in range(len(endings))]
