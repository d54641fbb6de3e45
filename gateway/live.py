"""Live updates of console pages: server-sent events that say which part of the page to fetch again.

    conversations · agents      of the workspace, at most one each a second
    thread                      of one conversation, at most four a second
    working · partial           an agent took a message up, {"d"}; a piece of its answer, {"d", "at", "text"}

An event carries no rows: the page asks for the fragment and gets what it may see. Hints may be lost, so each
opening begins with all events once. A stream ends by itself after some minutes; the browser comes back and is
checked anew.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from django.http import Http404, HttpResponseBase, StreamingHttpResponse

from agent_link.bus import Hint, bus
from gateway.models import Conversation
from workspaces.access import WorkspaceRequest, workspace_required

BEAT = 15.0
LIFETIME = 600.0
GATHER_WORKSPACE, GATHER_CONVERSATION = 1.0, 0.25

# kind of hint → event of the page; other hints are of no interest to it
WORKSPACE_EVENTS = {"message": "conversations", "agents": "agents"}
CONVERSATION_EVENTS = {"message": "thread", "pushed": "thread", "working": "working", "partial": "partial"}
# These are about this moment: they carry what they say, and are not repeated to who comes later.
PASSING = {"working": ("d",), "partial": ("d", "at", "text")}


@workspace_required
def live(request: WorkspaceRequest) -> HttpResponseBase:
    """`?conversation=<id>`: events of that one, else of the workspace."""
    given = request.GET.get("conversation")
    if given is None:
        stream = _stream(f"workspace:{request.workspace.pk.hex}", WORKSPACE_EVENTS, GATHER_WORKSPACE)
    else:
        lane = _conversation(request, given)
        stream = _stream(f"conversation:{lane}", CONVERSATION_EVENTS, GATHER_CONVERSATION)
    response = StreamingHttpResponse(stream, content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"  # or nginx keeps events back
    return response


def _conversation(request: WorkspaceRequest, given: str) -> str:
    try:
        wanted = UUID(hex=given)
    except ValueError:
        raise Http404 from None
    if not Conversation.objects.filter(pk=wanted, workspace=request.workspace).exists():
        raise Http404
    return wanted.hex


async def _stream(topic: str, events: dict[str, str], gather: float) -> AsyncIterator[str]:
    ends = time.monotonic() + LIFETIME
    with bus.listen(topic) as hints:
        yield "retry: 2000\n\n"
        for name in dict.fromkeys(events.values()):
            if name not in PASSING:
                yield _event(name)
        while time.monotonic() < ends:
            arrived = await hints.next(BEAT)
            if arrived is None:
                yield ": beat\n\n"
                continue
            burst = [arrived[1]]
            await asyncio.sleep(gather)
            while (more := await hints.next(0)) is not None:
                burst.append(more[1])
            for event in _said(burst, events):
                yield event


def _said(burst: Iterable[Hint], events: dict[str, str]) -> list[str]:
    """What passes, piece by piece in its order, then each other event once."""
    passing, changed = [], {}
    for hint in burst:
        name = events.get(hint["t"], "")
        if name in PASSING:
            passing.append(_event(name, {key: hint[key] for key in PASSING[name]}))
        elif name:
            changed[name] = _event(name)
    return [*passing, *changed.values()]


def _event(name: str, data: dict[str, object] | None = None) -> str:
    return f"event: {name}\ndata: {json.dumps(data or {})}\n\n"
