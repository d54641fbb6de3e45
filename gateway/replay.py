"""An event that we could not read is read again: the parser may have learnt more since it came."""

from __future__ import annotations

from django.db import connection, transaction

from agent_link.bus import bus
from agent_link.sql import cursor_of
from gateway.errors import BadPayload, BadSignature
from gateway.messages import Inbound, Parsed, Webhook
from gateway.models import Channel, EventState, InboundEvent
from gateway.registry import adapter, config_of
from gateway.store import Arrival, Recorded, announce, converse


def replay(event: InboundEvent) -> EventState:
    """Parses the stored payload again and stores what it says, once. Returns the event's state after it."""
    parsed = _parsed(event)
    if parsed.trouble:
        InboundEvent.objects.filter(pk=event.pk).update(detail=parsed.trouble[:200])
        return EventState.UNREADABLE
    state = EventState.RECORDED if parsed.inbound else EventState.IGNORED
    unread = InboundEvent.objects.filter(pk=event.pk, state=EventState.UNREADABLE)
    with transaction.atomic():
        if unread.update(state=state, detail="") and parsed.inbound:
            _store(event, parsed.inbound)
    return state


def _parsed(event: InboundEvent) -> Parsed:
    channel = event.channel
    if not event.payload:
        return Parsed(event.external_id, trouble="the payload's retention has ended")
    try:
        return adapter(channel.kind).parse(config_of(channel), Webhook("POST", {}, event.payload.encode()))
    except (BadPayload, BadSignature) as error:
        return Parsed(event.external_id, trouble=str(error))


def _store(event: InboundEvent, said: Inbound) -> None:
    """As at the door, but the event has its row. The message takes the conversation's next place."""
    arrival = _arrival(event, event.channel, said)
    (recorded,) = converse(cursor_of(connection), [arrival], {arrival.id})
    transaction.on_commit(lambda: _announce(arrival, recorded))


def _arrival(event: InboundEvent, channel: Channel, said: Inbound) -> Arrival:
    return Arrival(
        id=event.pk.hex,
        workspace=channel.workspace_id.hex,
        channel=channel.pk.hex,
        kind=channel.kind,
        channel_name=channel.name,
        external_id=event.external_id,
        payload=event.payload,
        received_at=event.received_at.timestamp(),
        inbound=said,
    )


def _announce(arrival: Arrival, recorded: Recorded) -> None:
    if recorded.lane is not None:
        announce(bus, arrival.workspace, recorded.lane)
