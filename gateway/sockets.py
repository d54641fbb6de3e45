"""Web chat visitors' WebSocket, /webchat/<channel id>/socket: the other front door, with the same store behind it.

    visitor → {"t": "hello", "token": …, "after": seq}      the token of an earlier visit, or null; may be repeated
            ← {"t": "welcome", "token", "greeting", "suggestions", "messages": […]}
    visitor → {"t": "message", "id": …, "text": …}          the id is the page's; a repeat is stored once
            ← {"t": "stored", "id"}                         only after COMMIT
            ← {"t": "working", "d"} · {"t": "partial", "d", "at", "text"} · {"t": "message", …}
    visitor → {"t": "seen", "seq": …}                       raises what was sent to delivered

What is shown comes from rows; hints only say when to look. A page that lost its connection says up to which `seq` it
knows and gets the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core import signing

from agent_link.bus import Bus, Hint
from agent_link.group_commit import DatabaseAway, GroupCommit
from agent_link.sql import Cursor, Record, Statement, iso
from gateway.directory import Directory, OpenChannel
from gateway.errors import BadConfig
from gateway.messages import Inbound
from gateway.store import Arrival, Recorded, announce, record
from local_agent.protocol.ids import new_id
from workspaces.vault import SealBroken

HELLO_WITHIN = 5.0
LOOK_EVERY = 30.0
ANSWER_WITHIN = 120.0  # for so long after what a visitor said, the rows are looked at in each sweep
HISTORY = 50
BURST, PER_SECOND = 10, 0.5
SALT = "webchat.visitor"

# Nothing is shown that comes after an answer which is not out yet: so `after` never passes over one.
SHOWN = Statement(
    """SELECT m.seq, m.id, m.direction, m.text, m.received_at, m.answers_id, e.external_id, c.lane_id
       FROM {rows} g
       JOIN gateway_conversation c ON c.channel_id = g.channel AND c.address = g.address
       JOIN gateway_message m ON m.conversation_id = c.lane_id AND m.seq > g.after
       LEFT JOIN gateway_inboundevent e ON e.id = m.id
       WHERE (m.direction = 'in' OR m.status >= 20)
         AND NOT EXISTS (SELECT 1 FROM gateway_message w WHERE w.conversation_id = c.lane_id AND w.seq > g.after
                         AND w.seq < m.seq AND w.status = 5)
       ORDER BY m.seq DESC LIMIT 50""",
    channel="id",
    address="text",
    after="int",
)
DELIVERED = Statement(
    """UPDATE gateway_outboxpart AS p SET delivered_at = {now}
       FROM {rows} g, gateway_message m
       WHERE m.conversation_id = g.lane AND m.seq <= g.seq AND m.status = 20 AND p.message_id = m.id
         AND p.state = 'sent' AND p.delivered_at IS NULL
       RETURNING p.message_id""",
    lane="id",
    seq="int",
)
RAISED = Statement(
    "UPDATE gateway_message AS m SET status = 40 FROM {rows} g WHERE m.id = g.message AND m.status < 40",
    message="id",
)


class Said(msgspec.Struct, tag_field="t", tag="message"):
    id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z-]{8,64}\Z")]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class Hello(msgspec.Struct, tag_field="t", tag="hello"):
    token: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


class Seen(msgspec.Struct, tag_field="t", tag="seen"):
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


_decoder = msgspec.json.Decoder(Said | Hello | Seen)


def shown(cursor: Cursor, wanted: Sequence[Record]) -> list[list[dict[str, Any]]]:
    """Operation: what a visitor (channel, address) may see after `after`, oldest first, at most the last 50."""
    found = []
    for row in wanted:
        messages = cursor.run(SHOWN, [row])
        found.append([_shown(message) for message in reversed(messages)])
    return found


def _shown(row: Sequence[Any]) -> dict[str, Any]:
    """`page_id`: of what the visitor wrote, the page's own id, by which it knows its bubble."""
    seq, message, direction, text, at, answers, external_id, lane = row
    return {
        "seq": seq,
        "id": message,
        "from": direction,
        "text": text,
        "at": iso(at),
        "answers": answers,
        "page_id": (external_id or "").partition(":")[2],
        "lane": lane,
    }


def deliver(cursor: Cursor, rows: Sequence[Record]) -> list[bool]:
    """Operation: the visitor of `lane` has all up to `seq` on the screen. Whether that was news."""
    news = []
    for row in rows:
        messages = {found[0] for found in cursor.run(DELIVERED, [row])}
        cursor.run(RAISED, [{"message": message} for message in messages])
        news.append(bool(messages))
    return news


class VisitorSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    channel_layer_alias = None

    def __init__(self, commit: GroupCommit, directory: Directory, bus: Bus, sweep_s: float) -> None:
        super().__init__()
        self._commit, self._directory, self._bus, self._sweep_s = commit, directory, bus, sweep_s
        self._channel: OpenChannel
        self._visitor = self._lane = ""
        self._after = 0
        self._unanswered: set[str] = set()
        self._answer_by = 0.0  # on the steady clock
        self._tokens, self._tokens_at = float(BURST), time.monotonic()
        self._hello_by: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None

    # -- the socket -----------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        try:
            channel = await self._directory.get(self.scope["url_route"]["kwargs"]["channel"])
        except (DatabaseAway, BadConfig, SealBroken):
            channel = None
        if channel is None or channel.kind != "webchat" or not self._same_origin():
            await self.close()  # before accept: answered 403
            return
        self._channel = channel
        await self.accept()
        loop = asyncio.get_running_loop()
        self._hello_by = loop.call_later(HELLO_WITHIN, lambda: loop.create_task(self.close(4408)))

    async def disconnect(self, code: int) -> None:
        if self._hello_by is not None:
            self._hello_by.cancel()
        if self._watching is not None:
            self._watching.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = _decoder.decode(text_data or "")
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            await self._say(t="error", code="AMX-2420", title=f"not understood: {error}")
            return
        try:
            await self._act(frame)
        except DatabaseAway as error:
            await self._say(
                t="error",
                code=error.code,
                title="try again shortly; nothing was stored",
                id=getattr(frame, "id", None),
            )

    async def _act(self, frame: Said | Hello | Seen) -> None:
        if isinstance(frame, Hello):
            await self._hello(frame)
        elif not self._visitor:
            await self._say(t="error", code="AMX-2421", title="say hello first")
        elif isinstance(frame, Said):
            await self._said(frame)
        elif self._lane and await self._commit.submit(deliver, {"lane": self._lane, "seq": frame.seq}):
            self._bus.publish(f"conversation:{self._lane}", {"t": "message"})

    async def _say(self, **frame: Any) -> None:
        await self.send(text_data=msgspec.json.encode(frame).decode())

    def _same_origin(self) -> bool:
        """A page of another site may not speak here; programs that send no Origin hold no visitor's cookie either."""
        headers = dict(self.scope["headers"])
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        try:
            return origin is None or urlsplit(origin.decode("latin-1")).netloc == host.decode("latin-1")
        except ValueError:
            return False

    # -- what visitors say ----------------------------------------------------------------------------------------

    async def _hello(self, hello: Hello) -> None:
        if self._hello_by is not None:
            self._hello_by.cancel()
        visitor = self._known_visitor(hello.token) or self._visitor or new_id()
        if self._visitor not in {"", visitor}:
            await self._say(
                t="error", code="AMX-2421", title="this line is another visitor's; open a new one"
            )
            return
        self._after = hello.after
        messages = await self._new_messages(visitor)
        self._visitor = visitor  # only now that a welcome follows, in which the page is told who it is
        config = self._channel.config
        await self._say(
            t="welcome",
            token=signing.dumps([self._channel.id, self._visitor], salt=SALT),
            greeting=config.greeting,
            suggestions=config.suggestions,
            messages=messages,
        )
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def _known_visitor(self, token: str | None) -> str | None:
        try:
            channel, visitor = signing.loads(token or "", salt=SALT)
        except (signing.BadSignature, ValueError):
            return None
        return str(visitor) if channel == self._channel.id else None

    async def _said(self, said: Said) -> None:
        if not self._allowed():
            await self._say(t="error", code="AMX-2429", title="please wait a moment", id=said.id)
            return
        text = said.text.replace("\x00", "").strip()
        arrival = Arrival(
            id=new_id(),
            workspace=self._channel.workspace,
            channel=self._channel.id,
            kind=self._channel.kind,
            channel_name=self._channel.name,
            external_id=f"{self._visitor}:{said.id}",
            payload=msgspec.json.encode(said).decode(),
            received_at=time.time(),
            inbound=Inbound(self._visitor, self._visitor, text, f"Visitor {self._visitor[-4:]}")
            if text
            else None,
        )
        recorded: Recorded = await self._commit.submit(record, arrival)
        await self._say(t="stored", id=said.id)
        if recorded.lane is not None:
            self._belongs_to(recorded.lane)
            announce(self._bus, arrival.workspace, recorded.lane)

    def _allowed(self) -> bool:
        """A short burst is welcome, a flood is not."""
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._tokens_at) * PER_SECOND)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    # -- what visitors see ----------------------------------------------------------------------------------------

    async def _new_messages(self, visitor: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = await self._commit.submit(
            shown, {"channel": self._channel.id, "address": visitor, "after": self._after}
        )
        for message in messages:
            self._after = message["seq"]
            self._note(message)
            self._belongs_to(message.pop("lane"))
        return messages

    def _note(self, message: dict[str, Any]) -> None:
        if message["from"] == "in":
            self._unanswered.add(message["id"])
            self._answer_by = time.monotonic() + ANSWER_WITHIN
        else:
            self._unanswered.discard(message["answers"])

    def _belongs_to(self, lane: str) -> None:
        """From now on hints of this conversation are heard."""
        if not self._lane:
            self._lane = lane
            if self._watching is not None:
                self._watching.cancel()
                self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Passes live hints on; looks at the rows when one says so, and now and then without."""
        if not self._lane:
            return
        with self._bus.listen(f"conversation:{self._lane}") as hints:
            await self._show()
            while True:
                waits = self._unanswered and time.monotonic() < self._answer_by
                arrived = await hints.next(self._sweep_s if waits else LOOK_EVERY)
                hint: Hint = arrived[1] if arrived else {"t": "message"}
                if hint["t"] in {"working", "partial"}:
                    await self._say(**hint)
                elif hint["t"] == "message":
                    await self._show()

    async def _show(self) -> None:
        with contextlib.suppress(DatabaseAway):
            for message in await self._new_messages(self._visitor):
                await self._say(t="message", **message)
