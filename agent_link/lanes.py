"""Order, leases and fencing: every move of a lane, as an operation for the group commit.

    waiting ──claim──► out to an agent ──finish──► done, or set aside
       ▲                    │    ▲
       └─ release, expiry ──┘    └─ extend, adopt

A lane has one `due_at`. Claiming moves it to the end of the lease and raises the token; finishing or giving back moves
it to now; a retry moves it to later. So nothing can be stuck: whatever is unfinished falls due again by itself. What
ends a lease for good raises the token too: whoever held it has no more say in when the lane is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_link.models import EnvelopeState
from agent_link.sql import Cursor, Record, Statement, utc

OPENED = Statement(
    """INSERT INTO agent_link_lane (id, workspace_id) SELECT lane, workspace FROM {rows} g WHERE true
       ON CONFLICT DO NOTHING""",
    lane="id",
    workspace="id",
)
NUMBERED = Statement(
    """UPDATE agent_link_lane AS l
       SET next_seq = l.next_seq + g.items, pending = l.pending + g.envelopes, active_at = {now},
           due_at = CASE WHEN l.pending = 0 THEN {now} ELSE l.due_at END
       FROM {rows} g WHERE l.id = g.lane RETURNING l.id, l.next_seq""",
    lane="id",
    items="int",
    envelopes="int",
)
PUT = Statement(
    """INSERT INTO agent_link_envelope (id, lane_id, seq, kind, payload)
       SELECT id, lane, seq, kind, payload FROM {rows} g""",
    id="id",
    lane="id",
    seq="int",
    kind="text",
    payload="text",
)
MOST_DUE = 200  # of each workspace, so that a busy one hides no other's
DUE = Statement(
    """SELECT f.id, f.workspace_id FROM (
           SELECT l.id, l.workspace_id, l.due_at,
                  ROW_NUMBER() OVER (PARTITION BY l.workspace_id ORDER BY l.due_at) AS place, g.most
           FROM agent_link_lane l JOIN {rows} g ON g.workspace = l.workspace_id
           WHERE l.pending > 0 AND l.due_at <= {now}
       ) f WHERE f.place <= f.most ORDER BY f.due_at""",
    workspace="id",
    most="int",
)
CLAIMED = Statement(
    """WITH free AS (
           SELECT l.id, g.agent, g.connection, g.lease_s FROM agent_link_lane l JOIN {rows} g ON g.lane = l.id
           WHERE l.pending > 0 AND l.due_at <= {now} {lock of l}
       )
       UPDATE agent_link_lane AS l
       SET token = l.token + 1, attempt = l.attempt + 1, agent_id = free.agent, connection = free.connection,
           due_at = {now+free.lease_s}
       FROM free WHERE l.id = free.id
       RETURNING l.id, l.token, l.attempt, l.done, l.done_seq""",
    lane="id",
    agent="id",
    connection="id",
    lease_s="real",
)
PUSHED = Statement(
    """WITH head AS (
           SELECT (SELECT e.id FROM agent_link_envelope e WHERE e.lane_id = g.lane AND e.seq > g.done_seq
                   ORDER BY e.seq LIMIT 1) AS id
           FROM {rows} g
       )
       UPDATE agent_link_envelope AS e SET pushed_at = {now} FROM head WHERE e.id = head.id
       RETURNING e.lane_id, e.id, e.kind, e.payload""",
    lane="id",
    done_seq="int",
)
EXTENDED = Statement(
    """UPDATE agent_link_lane AS l SET due_at = {now+g.lease_s} FROM {rows} g
       WHERE l.id = g.lane AND l.token = g.token AND l.pending > 0 RETURNING l.id, l.token""",
    lane="id",
    token="int",
    lease_s="real",
)
LOCKED = Statement(
    """SELECT l.id FROM {rows} g JOIN agent_link_envelope e ON e.id = g.envelope
       JOIN agent_link_lane l ON l.id = e.lane_id ORDER BY l.id {wait for l}""",
    envelope="id",
)
HELD = Statement(
    """SELECT g.at, e.id, l.id, l.token, e.kind FROM {rows} g
       JOIN agent_link_envelope e ON e.id = g.envelope
       JOIN agent_link_lane l ON l.id = e.lane_id AND l.token = g.token AND l.agent_id = g.agent
       WHERE e.seq = (SELECT MIN(h.seq) FROM agent_link_envelope h WHERE h.lane_id = l.id AND h.seq > l.done_seq)""",
    at="int",
    envelope="id",
    token="int",
    agent="id",
)
ADOPTED = Statement(
    """UPDATE agent_link_lane AS l SET connection = g.connection, due_at = {now+g.lease_s}
       FROM {rows} g WHERE l.id = g.lane""",
    lane="id",
    connection="id",
    lease_s="real",
)
POSTPONED = Statement(
    """UPDATE agent_link_lane AS l SET token = l.token + 1, due_at = {now+g.after_s} FROM {rows} g
       WHERE l.id = g.lane AND l.token = g.token""",
    lane="id",
    token="int",
    after_s="real",
)
RELEASED = Statement(
    """UPDATE agent_link_lane AS l SET attempt = l.attempt - g.untried, due_at = {now+g.after_s} FROM {rows} g
       WHERE l.id = g.lane AND l.token = g.token AND l.connection = g.connection AND l.pending > 0
       RETURNING l.id, l.token""",
    lane="id",
    token="int",
    connection="id",
    untried="int",
    after_s="real",
)
FINISHED = Statement(
    """UPDATE agent_link_envelope AS e
       SET state = g.state, error = g.error, acknowledged_at = g.acknowledged_at, finished_at = {now} FROM {rows} g
       WHERE e.id = g.envelope AND e.state = 0 RETURNING e.lane_id, e.seq""",
    envelope="id",
    state="int",
    error="text",
    acknowledged_at="time",
)
ADVANCED = Statement(
    """UPDATE agent_link_lane AS l
       SET pending = l.pending - 1, done = l.done + 1, done_seq = g.seq, attempt = 0, token = l.token + 1,
           due_at = {now}
       FROM {rows} g WHERE l.id = g.lane""",
    lane="id",
    seq="int",
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which agent is to get what waits at the head of a lane."""

    lane: str
    agent: str
    connection: str
    lease_s: float


@dataclass(frozen=True, slots=True)
class Claim:
    """An envelope handed out: `token` is the fence, `seq` counts gaplessly within the lane."""

    lane: str
    envelope: str
    token: int
    attempt: int
    seq: int
    kind: str
    payload: str


@dataclass(frozen=True, slots=True)
class Finish:
    """`acknowledged_at`: when the agent had it, in seconds since 1970."""

    envelope: str
    acknowledged_at: float | None = None
    state: EnvelopeState = EnvelopeState.DONE
    error: str = ""


def number(cursor: Cursor, rows: Sequence[Record]) -> dict[str, int]:
    """Takes `items` numbers in each `lane`, `envelopes` of which are work to come. Returns lane → first number.

    Locks the lanes until the end of the transaction, so numbers are committed in their order.
    """
    items = {row["lane"]: row["items"] for row in rows}
    ordered = sorted(rows, key=lambda row: row["lane"])
    return {lane: following - items[lane] for lane, following in cursor.run(NUMBERED, ordered)}


def due(cursor: Cursor, workspaces: Sequence[str]) -> list[list[str]]:
    """Lanes of each workspace with work to hand out now, at most MOST_DUE, oldest first."""
    found: dict[str, list[str]] = {workspace: [] for workspace in workspaces}
    for lane, workspace in cursor.run(DUE, [{"workspace": w, "most": MOST_DUE} for w in found]):
        found[workspace].append(lane)
    return [found[workspace] for workspace in workspaces]


def claim(cursor: Cursor, wanted: Sequence[Assignment]) -> list[Claim | None]:
    """Leases each lane to the agent named, or None where it is not due or someone got there first."""
    rows = {
        a.lane: {"lane": a.lane, "agent": a.agent, "connection": a.connection, "lease_s": a.lease_s}
        for a in reversed(wanted)  # of several wishes for a lane the first is granted
    }
    leased = {row[0]: row for row in cursor.run(CLAIMED, list(rows.values()))}
    heads = cursor.run(PUSHED, [{"lane": row[0], "done_seq": row[4]} for row in leased.values()])
    claims: dict[str, Claim] = {}
    for lane, envelope, kind, payload in heads:
        _, token, attempt, done, _ = leased[lane]
        claims[lane] = Claim(lane, envelope, token, attempt, done + 1, kind, payload)
    return [claims.pop(a.lane, None) for a in wanted]


def extend(cursor: Cursor, rows: Sequence[Record]) -> list[bool]:
    """Prolongs leases (lane, token, lease_s); False where the lease is lost."""
    kept = {(lane, token) for lane, token in cursor.run(EXTENDED, rows)}
    return [(row["lane"], row["token"]) in kept for row in rows]


def hold(cursor: Cursor, envelopes: Iterable[str]) -> None:
    """Locks the lanes of these envelopes until the end of the transaction: what is read then stays true."""
    cursor.run(LOCKED, [{"envelope": envelope} for envelope in set(envelopes)])


def adopt(cursor: Cursor, rows: Sequence[Record]) -> list[tuple[str, str, int, str] | None]:
    """A returning agent's leases (envelope, token, agent, connection, lease_s) move to its new connection.

    Gives (envelope, lane, token, kind), or None where the lease is someone else's by now.
    """
    hold(cursor, [row["envelope"] for row in rows])
    held = {
        at: (envelope, lane, token, kind)
        for at, envelope, lane, token, kind in cursor.run(
            HELD, [{**row, "at": at} for at, row in enumerate(rows)]
        )
    }
    cursor.run(ADOPTED, [{**rows[at], "lane": lane} for at, (_, lane, _, _) in held.items()])
    return [held.get(at) for at in range(len(rows))]


def release(cursor: Cursor, rows: Sequence[Record]) -> list[bool]:
    """Gives lanes back (lane, token, connection), to be handed out again after `after_s` seconds.

    `untried` is 1 where the envelope never left for the agent, so that this was no attempt.
    """
    given = {(lane, token) for lane, token in cursor.run(RELEASED, rows)}
    return [(row["lane"], row["token"]) in given for row in rows]


def postpone(cursor: Cursor, lanes: Iterable[tuple[str, int, float]]) -> None:
    """(lane, token, seconds): the envelope at the head is handed out again, not before that time."""
    cursor.run(POSTPONED, [{"lane": lane, "token": token, "after_s": after} for lane, token, after in lanes])


def finish(cursor: Cursor, finishes: Iterable[Finish]) -> None:
    """Ends envelopes and lets their lanes move on. Whoever calls holds the lanes and has checked the tokens."""
    ends = {end.envelope: end for end in finishes}
    rows = [
        {
            "envelope": end.envelope,
            "state": int(end.state),
            "error": end.error[:200],
            "acknowledged_at": None if end.acknowledged_at is None else utc(end.acknowledged_at),
        }
        for end in ends.values()
    ]
    cursor.run(ADVANCED, [{"lane": lane, "seq": seq} for lane, seq in cursor.run(FINISHED, rows)])
