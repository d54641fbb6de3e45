"""What arrives is stored once, in its order, with everything it needs to be answered. (TUNNEL.md: I2.)"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from agent_link.group_commit import Item, write
from agent_link.models import Envelope, Lane
from gateway.messages import Inbound
from gateway.models import Channel, Contact, Conversation, EventState, Identity, InboundEvent, Message
from gateway.store import Arrival, Recorded, record
from local_agent.protocol.ids import new_id
from tests.agent_link.notes import together
from tests.make import make_channel, make_workspace, run

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
racing = pytest.mark.django_db(transaction=True)


def arrival(
    channel: Channel,
    text: str | None = "hi",
    event: str = "",
    *,
    sender: str = "42",
    address: str = "",
    **more: Any,
) -> Arrival:
    return Arrival(
        id=new_id(),
        workspace=channel.workspace_id.hex,
        channel=channel.pk.hex,
        kind=channel.kind,
        channel_name=channel.name,
        external_id=event or new_id(),
        payload="{}",
        received_at=time.time(),
        inbound=None if text is None else Inbound(sender, address or sender, text, "Ada"),
        **more,
    )


def texts(lane: str | None) -> list[str]:
    assert lane is not None
    return list(
        Message.objects.filter(conversation=UUID(hex=lane)).order_by("seq").values_list("text", flat=True)
    )


def counts() -> tuple[int, ...]:
    kinds = (InboundEvent, Message, Envelope, Lane, Conversation, Contact, Identity)
    return tuple(kind.objects.count() for kind in kinds)


def test_a_first_word_makes_all_that_it_needs(bot: Channel) -> None:
    said = arrival(bot, "hello")
    (recorded,) = run(record, said)
    assert counts() == (1,) * 7
    conversation = Conversation.objects.get()
    assert recorded == Recorded(True, conversation.pk.hex)
    assert (conversation.address, conversation.workspace_id) == ("42", bot.workspace_id)
    assert conversation.contact == Identity.objects.get(external_id="42").contact
    assert conversation.contact.name == "Ada"


def test_event_message_and_envelope_share_one_id(bot: Channel) -> None:
    said = arrival(bot, "hello")
    run(record, said)
    assert {kind.objects.get().pk.hex for kind in (InboundEvent, Message, Envelope)} == {said.id}
    envelope = Envelope.objects.get()
    assert json.loads(envelope.payload) == {
        "text": "hello",
        "channel": {"id": bot.pk.hex, "kind": "telegram", "name": "Our telegram"},
        "contact": {"id": Contact.objects.get().pk.hex, "name": "Ada"},
        "trust": "unknown",
        "sent_at": pytest.approx(said.received_at),
    }
    assert (envelope.seq, envelope.lane.pending) == (Message.objects.get().seq, 1)


def test_a_repeat_changes_nothing(bot: Channel) -> None:
    run(record, arrival(bot, "hello", "7"))
    before = counts()
    assert run(record, arrival(bot, "hello", "7")) == [Recorded(False)]
    assert (
        run(record, arrival(bot, "hello again", "7"), arrival(bot, "and again", "7")) == [Recorded(False)] * 2
    )
    assert counts() == before


def test_a_repeat_in_the_same_batch(bot: Channel) -> None:
    first, second = run(record, arrival(bot, "hello", "7"), arrival(bot, "hello", "7"))
    assert (first.new, second.new) == (True, False)
    assert counts() == (1,) * 7


def test_the_same_id_at_another_channel_is_another_event(bot: Channel) -> None:
    other = make_channel(bot.workspace, "telegram")
    run(record, arrival(bot, "hello", "7"), arrival(other, "hello", "7"))
    assert InboundEvent.objects.count() == Conversation.objects.count() == Contact.objects.count() == 2


def test_the_order_of_a_batch_is_the_order_of_messages(bot: Channel) -> None:
    batch = [arrival(bot, f"{sender}{n}", sender=sender) for n in range(5) for sender in "ab"]
    lanes = {one.lane for one in run(record, *batch)}
    assert sorted(texts(lane) for lane in lanes) == [[f"{s}{n}" for n in range(5)] for s in "ab"]
    run(record, arrival(bot, "a5", sender="a"))
    assert [f"a{n}" for n in range(6)] in [texts(lane) for lane in lanes]


def test_a_person_in_two_chats_is_one_contact(bot: Channel) -> None:
    run(record, arrival(bot, sender="ada", address="alone"), arrival(bot, sender="ada", address="group"))
    assert (Conversation.objects.count(), Contact.objects.count(), Identity.objects.count()) == (2, 1, 1)


@pytest.mark.parametrize(
    ("more", "state"),
    [({}, EventState.IGNORED), ({"trouble": "text is a number"}, EventState.UNREADABLE)],
)
def test_what_is_no_message_is_kept_as_an_event(
    bot: Channel, more: dict[str, Any], state: EventState
) -> None:
    assert run(record, arrival(bot, None, **more)) == [Recorded(True)]
    event = InboundEvent.objects.get()
    assert (event.state, event.detail) == (state, more.get("trouble", ""))
    assert counts() == (1, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "text", ["a\x00b", "😀" * 5_000, "'; DROP TABLE gateway_message; --", "\u202e\\u0000"]
)
def test_any_text_can_be_stored(bot: Channel, text: str) -> None:
    (recorded,) = run(record, arrival(bot, text))
    assert texts(recorded.lane) == [text.replace("\x00", "\N{REPLACEMENT CHARACTER}")]


def test_names_and_reasons_are_cut_to_what_fits(bot: Channel) -> None:
    long = Inbound("42", "42", "hi", "x" * 500)
    run(record, Arrival(**{f: getattr(arrival(bot), f) for f in Arrival.__slots__} | {"inbound": long}))
    run(record, arrival(bot, None, trouble="y" * 500))
    assert Contact.objects.get().name == "x" * 120
    assert InboundEvent.objects.get(state=EventState.UNREADABLE).detail == "y" * 200


@racing
def test_five_deliveries_at_once_are_one_row() -> None:
    bot = make_channel(make_workspace(), "telegram")
    for _ in range(4):
        event = new_id()
        recorded = together(*[partial(run, record, arrival(bot, "hello", event)) for _ in range(5)])
        assert sorted(one.new for (one,) in recorded) == [False] * 4 + [True]
    assert InboundEvent.objects.count() == Message.objects.count() == 4
    assert Conversation.objects.count() == 1


@racing
def test_a_new_sender_at_two_doors_at_once_is_one_contact() -> None:
    bot = make_channel(make_workspace(), "telegram")
    for n in range(5):
        words = [arrival(bot, f"{word}", sender=f"ada{n}") for word in range(3)]
        recorded = together(*[partial(run, record, word) for word in words])
        assert len({one.lane for (one,) in recorded}) == 1
        assert sorted(texts(recorded[0][0].lane)) == ["0", "1", "2"]
    assert Contact.objects.count() == Identity.objects.count() == Conversation.objects.count() == 5


@racing
def test_two_doors_that_get_the_same_crosswise() -> None:
    """A provider that repeats a burst in another order: no two transactions may wait for each other."""
    bot = make_channel(make_workspace(), "telegram")
    for n in range(8):
        burst = [(f"{n}-{k}", f"sender{n}-{k}") for k in range(20)]
        there = [arrival(bot, "hi", event, sender=sender) for event, sender in burst]
        back = [arrival(bot, "hi", event, sender=sender) for event, sender in reversed(burst)]
        outcomes = together(partial(run, record, *there), partial(run, record, *back))
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert InboundEvent.objects.count() == Message.objects.count() == Contact.objects.count() == 160


@racing
def test_a_bad_row_does_not_change_the_order_of_the_others() -> None:
    """The batch is halved around it, from the front."""
    bot = make_channel(make_workspace(), "telegram")
    words = [arrival(bot, f"{n:02}") for n in range(11)]
    words[4] = replace(words[4], channel=new_id())
    outcome = write([Item(record, word, None) for word in words])  # type: ignore[arg-type]  # nobody waits
    results = [result for _, result in outcome]
    assert isinstance(results.pop(4), IntegrityError)
    assert texts(results[0].lane) == [f"{n:02}" for n in range(11) if n != 4]
