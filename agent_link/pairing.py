"""From a one-time code to an agent's token. The code is typed by a person; the token never is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import msgspec
from django.utils import timezone

from agent_link.models import PairingCode
from agent_link.sql import Cursor, Statement
from local_agent.protocol.ids import new_id
from workspaces.keys import digest, mint, mint_code
from workspaces.models import Workspace

LIFETIME = timedelta(minutes=10)

TAKEN = Statement(
    """UPDATE agent_link_pairingcode AS p SET used_at = {now} FROM {rows} g
       WHERE p.digest = g.digest AND p.used_at IS NULL AND p.expires_at > {now}
       RETURNING p.digest, p.workspace_id""",
    digest="text",
)
NAMED = Statement(
    "SELECT w.id, w.name FROM workspaces_workspace w JOIN {rows} g ON w.id = g.workspace", workspace="id"
)
BORN = Statement(
    """INSERT INTO agent_link_agent (id, workspace_id, name, token_digest, node, sdk, draining)
       SELECT agent, workspace, name, token_digest, '', '', false FROM {rows} g""",
    agent="id",
    workspace="id",
    name="text",
    token_digest="text",
)


class Wanted(msgspec.Struct):
    """What a computer sends to become an agent."""

    code: Annotated[str, msgspec.Meta(min_length=8, max_length=20)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] = "agent"


@dataclass(frozen=True, slots=True)
class Paired:
    agent: str
    token: str
    workspace: str
    workspace_name: str


def new_code(workspace: Workspace) -> tuple[str, PairingCode]:
    """A code for one computer, and its row. The code is shown once."""
    code = mint_code()
    row = PairingCode.objects.create(
        workspace=workspace, digest=digest(code), expires_at=timezone.now() + LIFETIME
    )
    return code, row


def pair(cursor: Cursor, wanted: Sequence[Wanted]) -> list[Paired | None]:
    """Operation: each code makes one agent, once; None where it is unknown, used or too old."""
    digests = [digest(one.code.strip().upper()) for one in wanted]
    taken = {row[0]: row[1] for row in cursor.run(TAKEN, [{"digest": d} for d in set(digests)])}
    names = {row[0]: row[1] for row in cursor.run(NAMED, [{"workspace": w} for w in set(taken.values())])}
    paired: list[Paired | None] = []
    agents = []
    for one, code in zip(wanted, digests, strict=True):
        workspace = taken.pop(code, None)
        if workspace is None:
            paired.append(None)
            continue
        agent, token = new_id(), mint("agent")
        agents.append(
            {"agent": agent, "workspace": workspace, "name": one.name, "token_digest": digest(token)}
        )
        paired.append(Paired(agent, token, workspace, names[workspace]))
    cursor.run(BORN, agents)
    return paired
