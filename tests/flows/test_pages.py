"""What a visitor's page shows, and shows again when it comes back, over real sockets."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.flows.conftest import MakeAgent
from tests.flows.pages import Page
from tests.processes import Studio, answered, until

pytestmark = pytest.mark.sqlite

STREAMS = """
from __future__ import annotations
import asyncio

async def handle(message, context):
    yield "echo "
    for word in message.text.split():
        await asyncio.sleep(0.1)
        yield word + " "
"""
SLOW = """
from __future__ import annotations
import asyncio

async def handle(message, context):
    await asyncio.sleep(0.7)
    return "echo " + message.text
"""


def made(api: httpx.Client, name: str = "Website") -> str:
    """A web chat, made over REST."""
    channel = answered(api.post("/channels", json={"kind": "webchat", "name": name}), 201)
    assert channel["state"] == "active"
    identity: str = channel["id"]
    return identity


def thread(api: httpx.Client) -> list[dict[str, Any]]:
    (conversation,) = answered(api.get("/conversations"))["results"]
    messages: list[dict[str, Any]] = answered(api.get(f"/conversations/{conversation['id']}/messages"))[
        "results"
    ]
    return messages


def test_pieces_make_up_the_whole_and_what_was_seen_is_delivered(
    studio: Studio, api: httpx.Client, make_agent: MakeAgent
) -> None:
    make_agent(studio, STREAMS)
    with Page(studio, made(api)) as ada:
        assert ada.welcome["messages"] == []
        assert ada.welcome["greeting"]
        page_id = ada.say("one two three four")
        whole = ada.answer()
        ada.send(t="seen", seq=whole["seq"])
        until(lambda: thread(api)[-1]["status"] == "delivered")
    assert whole["text"] == "echo one two three four "

    own = next(frame for frame in ada.heard if frame["t"] == "message")
    assert (own["from"], own["text"], own["seq"], own["page_id"]) == ("in", "one two three four", 1, page_id)
    assert (whole["seq"], whole["answers"]) == (2, own["id"])
    live = [frame for frame in ada.heard if frame["t"] in {"working", "partial"}]
    assert [frame["t"] for frame in live[:2]] == ["working", "partial"]
    assert all(frame["d"] == own["id"] for frame in live)
    assert len(live) > 3, "the answer came in pieces"
    shown = ""
    for piece in live[1:]:
        assert piece["at"] <= len(shown), "a piece is missing"
        shown = shown[: piece["at"]] + piece["text"]
    assert whole["text"].startswith(shown)

    question, _ = thread(api)
    stages = [stage for stage in question["timeline"] if stage["progress"] == "done"]
    names = ["Received", "Stored", "Pushed", "Acknowledged", "Replied", "Sent", "Delivered"]
    assert [stage["name"] for stage in stages] == names
    assert [stage["at"] for stage in stages] == sorted(stage["at"] for stage in stages)


def test_who_comes_back_gets_exactly_what_was_missed(
    studio: Studio, api: httpx.Client, make_agent: MakeAgent
) -> None:
    make_agent(studio, SLOW)
    channel = made(api)
    with Page(studio, channel) as ada:
        ada.say("one")
        seen = ada.answer()["seq"]
        ada.say("two")
    with Page(studio, channel, ada.token, after=seen) as back:
        assert [(m["from"], m["text"]) for m in back.welcome["messages"]] == [("in", "two")]
        last = back.answer()
        assert last["text"] == "echo two"
        assert back.rest(0.5) == []
    with Page(studio, channel, ada.token, after=last["seq"]) as again:
        assert again.welcome["messages"] == []
        assert again.rest(0.5) == []
    with Page(studio, channel, ada.token) as reloaded:
        shown = [(message["seq"], message["text"]) for message in reloaded.welcome["messages"]]
        assert shown == [(1, "one"), (2, "echo one"), (3, "two"), (4, "echo two")]


def test_what_a_page_repeats_is_stored_once(studio: Studio, api: httpx.Client, make_agent: MakeAgent) -> None:
    make_agent(studio, SLOW)
    channel = made(api)
    with Page(studio, channel) as ada:
        page_id = ada.say("hi")
        assert ada.say("hi", page_id) == page_id
        assert ada.answer()["text"] == "echo hi"
    with Page(studio, channel, ada.token) as back:  # it never heard `stored`, for all it knows
        back.say("hi", page_id)
        back.say("another")
        assert back.answer()["text"] == "echo another"
    assert [message["text"] for message in thread(api)] == ["hi", "echo hi", "another", "echo another"]


def test_a_token_shows_one_visitor_on_one_channel(
    studio: Studio, api: httpx.Client, make_agent: MakeAgent
) -> None:
    make_agent(studio, STREAMS)
    channel, other = made(api), made(api, "Other site")
    with Page(studio, channel) as ada, Page(studio, channel) as bob:
        ada.say("a secret of ada")
        bob.say("bob is here")
        assert ada.answer()["text"] == "echo a secret of ada "
        assert bob.answer()["text"] == "echo bob is here "
        bob.rest(0.5)
        assert "secret" not in str(bob.heard)
        assert "bob" not in str(ada.heard)
    with Page(studio, channel, token=f"{ada.token}x") as forged:
        assert forged.welcome["messages"] == []
    with Page(studio, other, token=ada.token) as elsewhere:
        assert elsewhere.welcome["messages"] == []
