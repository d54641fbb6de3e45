"""Agents as rows: who a token belongs to, who is connected and where. Operations for the group commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent_link.sql import Cursor, Record, Statement

BY_TOKEN = Statement(
    """SELECT a.token_digest, a.id, a.workspace_id, a.name, a.session, a.revoked_at IS NOT NULL
       FROM agent_link_agent a JOIN {rows} g ON a.token_digest = g.digest""",
    digest="text",
)
ARRIVED = Statement(
    """UPDATE agent_link_agent AS a
       SET connection = g.connection, session = g.session, node = g.node, sdk = g.sdk, draining = false,
           connected_at = {now}, last_seen_at = {now}
       FROM {rows} g WHERE a.id = g.agent""",
    agent="id",
    connection="id",
    session="id",
    node="text",
    sdk="text",
)
LEFT = Statement(
    """UPDATE agent_link_agent AS a SET connection = NULL, last_seen_at = {now}
       FROM {rows} g WHERE a.id = g.agent AND a.connection = g.connection""",
    agent="id",
    connection="id",
)
SEEN = Statement(
    """UPDATE agent_link_agent AS a SET last_seen_at = {now}, draining = g.draining
       FROM {rows} g WHERE a.id = g.agent AND a.connection = g.connection
       RETURNING a.id, a.connection, a.revoked_at""",
    agent="id",
    connection="id",
    draining="bool",
)


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """Whose token it is. `session`: of the agent's last connection, to know a resumption by."""

    id: str
    workspace: str
    name: str
    session: str | None
    revoked: bool


def by_token(cursor: Cursor, digests: Sequence[str]) -> list[KnownAgent | None]:
    """Operation: the agents with these token digests."""
    rows = cursor.run(BY_TOKEN, [{"digest": digest} for digest in set(digests)])
    found = {row[0]: KnownAgent(row[1], row[2], row[3], row[4], bool(row[5])) for row in rows}
    return [found.get(digest) for digest in digests]


def arrive(cursor: Cursor, rows: Sequence[Record]) -> list[None]:
    """Operation: (agent, connection, session, node, sdk) speaks for its agent from now on."""
    cursor.run(ARRIVED, list({row["agent"]: row for row in rows}.values()))
    return [None] * len(rows)


def leave(cursor: Cursor, rows: Sequence[Record]) -> list[None]:
    """Operation: (agent, connection) is gone; nothing happens where a newer connection took over."""
    cursor.run(LEFT, rows)
    return [None] * len(rows)


def seen(cursor: Cursor, rows: Sequence[Record]) -> list[bool]:
    """Operation: (agent, connection, draining) lives; False where it was revoked or replaced meanwhile."""
    alive = {(agent, connection) for agent, connection, revoked in cursor.run(SEEN, rows) if revoked is None}
    return [(row["agent"], row["connection"]) in alive for row in rows]
