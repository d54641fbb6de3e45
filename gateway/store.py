"""Arrivals become rows, once: the raw event, who wrote it, the conversation, the message and its envelope.

`record` is an operation for the group commit. An event that is there already (same channel, same external id) changes
nothing and is answered like the first time. Unique rows are inserted in one order, whatever the order of arrival: two
processes that get the same burst crosswise must not wait for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from agent_link import lanes
from agent_link.bus import Bus
from agent_link.sql import Cursor, Statement, utc
from gateway.messages import Inbound
from gateway.models import Direction, EventState, MessageStatus
from local_agent.protocol.ids import new_id

EVENT = Statement(
    """INSERT INTO gateway_inboundevent (id, channel_id, external_id, payload, state, detail, received_at)
       SELECT id, channel, external_id, payload, state, detail, received_at FROM {rows} g WHERE true
       ON CONFLICT DO NOTHING RETURNING id""",
    id="id",
    channel="id",
    external_id="text",
    payload="text",
    state="text",
    detail="text",
    received_at="time",
)
CONVERSATION_FOUND = Statement(
    """SELECT g.channel, g.address, c.lane_id, p.id, p.name FROM {rows} g
       JOIN gateway_conversation c ON c.channel_id = g.channel AND c.address = g.address
       JOIN gateway_contact p ON p.id = c.contact_id""",
    channel="id",
    address="text",
)
IDENTITY_FOUND = Statement(
    """SELECT g.channel, g.sender, i.contact_id FROM {rows} g
       JOIN gateway_identity i ON i.channel_id = g.channel AND i.external_id = g.sender""",
    channel="id",
    sender="text",
)
# Foreign keys are checked at COMMIT, so whoever wins the unique row then adds what it points to.
IDENTITY = Statement(
    """INSERT INTO gateway_identity (id, channel_id, external_id, contact_id)
       SELECT id, channel, sender, contact FROM {rows} g WHERE true
       ON CONFLICT DO NOTHING RETURNING contact_id""",
    id="id",
    channel="id",
    sender="text",
    contact="id",
)
CONTACT = Statement(
    "INSERT INTO gateway_contact (id, workspace_id, name) SELECT contact, workspace, name FROM {rows} g",
    contact="id",
    workspace="id",
    name="text",
)
CONVERSATION = Statement(
    """INSERT INTO gateway_conversation (lane_id, workspace_id, channel_id, contact_id, address)
       SELECT lane, workspace, channel, contact, address FROM {rows} g WHERE true
       ON CONFLICT DO NOTHING RETURNING lane_id""",
    lane="id",
    workspace="id",
    channel="id",
    contact="id",
    address="text",
)
MESSAGE = Statement(
    """INSERT INTO gateway_message
           (id, conversation_id, seq, direction, text, status, answers_id, reply_id, agent_id, author_id,
            received_at, stored_at)
       SELECT id, conversation, seq, direction, text, status, answers, reply, agent, author,
              received_at, {now} FROM {rows} g""",
    id="id",
    conversation="id",
    seq="int",
    direction="text",
    text="text",
    status="int",
    answers="id",
    reply="id",
    agent="id",
    author="int",
    received_at="time",
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One verified event at our door. `id` names its message too; `received_at` in seconds since 1970."""

    id: str
    workspace: str
    channel: str
    kind: str
    channel_name: str
    external_id: str
    payload: str
    received_at: float
    inbound: Inbound | None = None
    trouble: str = ""

    @property
    def state(self) -> EventState:
        if self.trouble:
            return EventState.UNREADABLE
        return EventState.RECORDED if self.inbound else EventState.IGNORED


@dataclass(frozen=True, slots=True)
class Recorded:
    """`new`: false for a repeat. `lane`: the conversation that has something to do now."""

    new: bool
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a message belongs."""

    lane: str
    contact: str
    contact_name: str


Key = tuple[str, str]  # channel, address


def record(cursor: Cursor, arrivals: Sequence[Arrival]) -> list[Recorded]:
    """Operation: stores each arrival once, its message at the end of its conversation."""
    ordered = sorted(arrivals, key=lambda arrival: (arrival.channel, arrival.external_id))
    new = {row[0] for row in cursor.run(EVENT, [_event(arrival) for arrival in ordered])}
    return converse(cursor, arrivals, new)


def _event(arrival: Arrival) -> dict[str, Any]:
    return {
        "id": arrival.id,
        "channel": arrival.channel,
        "external_id": arrival.external_id,
        "payload": arrival.payload,
        "state": arrival.state,
        "detail": arrival.trouble[:200],
        "received_at": utc(arrival.received_at),
    }


def converse(cursor: Cursor, arrivals: Sequence[Arrival], new: set[str]) -> list[Recorded]:
    """The message and the envelope of each arrival whose event (by id) is in `new`."""
    spoken = [(a, a.inbound) for a in arrivals if a.id in new and a.inbound is not None]
    threads = _threads(cursor, {(a.channel, said.address): (a, said) for a, said in reversed(spoken)})
    counts = Counter(threads[a.channel, said.address].lane for a, said in spoken)
    places = lanes.number(cursor, [{"lane": lane, "items": n, "envelopes": n} for lane, n in counts.items()])
    messages, envelopes, recorded = [], [], {}
    for arrival, said in spoken:
        thread = threads[arrival.channel, said.address]
        seq = places[thread.lane]
        places[thread.lane] += 1
        messages.append(_message(arrival, said, thread.lane, seq))
        envelopes.append(_envelope(arrival, said, thread, seq))
        recorded[arrival.id] = Recorded(True, thread.lane)
    cursor.run(MESSAGE, messages)
    cursor.run(lanes.PUT, envelopes)
    return [recorded.get(a.id) or Recorded(a.id in new) for a in arrivals]


def _message(arrival: Arrival, said: Inbound, lane: str, seq: int) -> dict[str, Any]:
    return {
        "id": arrival.id,
        "conversation": lane,
        "seq": seq,
        "direction": Direction.IN,
        "text": said.text,
        "status": MessageStatus.RECEIVED,
        "received_at": utc(arrival.received_at),
    }


def _envelope(arrival: Arrival, said: Inbound, thread: Thread, seq: int) -> dict[str, Any]:
    payload = {
        "text": said.text,
        "channel": {"id": arrival.channel, "kind": arrival.kind, "name": arrival.channel_name},
        "contact": {"id": thread.contact, "name": thread.contact_name},
        "trust": "unknown",
        "sent_at": arrival.received_at,
    }
    return {
        "id": arrival.id,
        "lane": thread.lane,
        "seq": seq,
        "kind": "message",
        "payload": msgspec.json.encode(payload).decode(),
    }


def _threads(cursor: Cursor, spoken: dict[Key, tuple[Arrival, Inbound]]) -> dict[Key, Thread]:
    threads = _found(cursor, spoken)
    missing = {key: pair for key, pair in spoken.items() if key not in threads}
    if missing:
        _open(cursor, missing)
        threads |= _found(cursor, missing)
    return threads


def _found(cursor: Cursor, keys: Iterable[Key]) -> dict[Key, Thread]:
    rows = cursor.run(
        CONVERSATION_FOUND, [{"channel": channel, "address": address} for channel, address in keys]
    )
    return {(channel, address): Thread(lane, contact, name) for channel, address, lane, contact, name in rows}


def _open(cursor: Cursor, missing: dict[Key, tuple[Arrival, Inbound]]) -> None:
    """Conversations for addresses that never wrote before, with their contacts where those are new too."""
    contacts = _contacts(cursor, missing.values())
    rows = [
        {
            "lane": new_id(),
            "workspace": arrival.workspace,
            "channel": arrival.channel,
            "contact": contacts[arrival.channel, said.sender],
            "address": said.address,
        }
        for _, (arrival, said) in sorted(missing.items(), key=itemgetter(0))
    ]
    won = {row[0] for row in cursor.run(CONVERSATION, rows)}
    cursor.run(lanes.OPENED, [row for row in rows if row["lane"] in won])


def _contacts(cursor: Cursor, spoken: Iterable[tuple[Arrival, Inbound]]) -> dict[Key, str]:
    senders = {
        (arrival.channel, said.sender): {
            "id": new_id(),
            "contact": new_id(),
            "channel": arrival.channel,
            "sender": said.sender,
            "workspace": arrival.workspace,
            "name": said.sender_name[:120],
        }
        for arrival, said in spoken
    }
    rows = [row for _, row in sorted(senders.items())]
    won = {row[0] for row in cursor.run(IDENTITY, rows)}
    cursor.run(CONTACT, [row for row in rows if row["contact"] in won])
    return {(channel, sender): contact for channel, sender, contact in cursor.run(IDENTITY_FOUND, rows)}


def announce(bus: Bus, workspace: str, lane: str) -> None:
    """A conversation has a new message, which may have to go to an agent."""
    bus.publish("lanes", {"workspace": workspace, "lane": lane})
    bus.publish(f"conversation:{lane}", {"t": "message"})
    bus.publish(f"workspace:{workspace}", {"t": "message", "conversation": lane})
