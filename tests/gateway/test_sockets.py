"""The visitors' socket: what is said is stored before it is confirmed, and what was missed is shown on return."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core import signing

from gateway import outbox
from gateway.models import Conversation, Direction, InboundEvent, Message, MessageStatus, PartState
from gateway.outbox import Outcome
from gateway.outgoing import Draft, compose
from gateway.sockets import SALT, VisitorSocket
from tests.agent_link.tunnels import PATIENCE, in_thread, writer_busy
from tests.gateway.doors import Door, opened
from tests.make import make_channel, make_workspace, run

pytestmark = pytest.mark.sqlite


class Page:
    """A visitor's browser."""

    def __init__(self, door: Door, channel: str, **headers: str) -> None:
        self.closed: int | None = None
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items()],
            "url_route": {"kwargs": {"channel": channel}},
        }
        app = VisitorSocket.as_asgi(
            commit=door.commit, directory=door.directory, bus=door.bus, sweep_s=3_600.0
        )
        self._app = asyncio.create_task(app(scope, self._in.get, self._out.put))

    async def opens(self) -> bool:
        return bool((await asyncio.wait_for(self._out.get(), PATIENCE))["type"] == "websocket.accept")

    def say(self, frame: Any) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._in.put_nowait({"type": "websocket.receive", "text": text})

    async def hears(self, t: str) -> dict[str, Any]:
        message = await asyncio.wait_for(self._out.get(), PATIENCE)
        frame: dict[str, Any] = json.loads(message["text"])
        assert frame["t"] == t, frame
        return frame

    async def hello(self, token: str | None = None, after: int = 0) -> dict[str, Any]:
        assert await self.opens()
        self.say({"t": "hello", "token": token, "after": after})
        return await self.hears("welcome")

    async def tells(self, text: str, id: str = "first-message") -> None:
        self.say({"t": "message", "id": id, "text": text})
        assert (await self.hears("stored"))["id"] == id

    async def leaves(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self._app, PATIENCE)


@pytest.fixture
def channel(transactional_db: None, settings: Any) -> str:
    settings.REDIS_URL = ""
    return make_channel(make_workspace(), "webchat", greeting="Welcome!").pk.hex


@pytest.fixture
async def door(channel: str) -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


@in_thread
def answer(text: str) -> None:
    """It is written, and sent."""
    run(compose, Draft(Conversation.objects.get().pk.hex, text, 0.0))
    (parts,) = run(outbox.claim, {"claim_s": 60.0, "born_s": -9.0})
    run(outbox.settle, *[Outcome(part, PartState.SENT, external_id=part.id, after_s=0.0) for part in parts])


@in_thread
def texts() -> list[str]:
    return list(Message.objects.order_by("seq").values_list("text", flat=True))


async def test_a_visit_from_hello_to_the_answer(door: Door, channel: str) -> None:
    page = Page(door, channel)
    welcome = await page.hello()
    assert (welcome["greeting"], welcome["messages"]) == ("Welcome!", [])
    await page.tells("are you there?")
    own = await page.hears("message")
    assert (own["from"], own["text"], own["seq"]) == ("in", "are you there?", 1)
    await answer("yes")
    door.bus.publish(f"conversation:{(await in_thread(Conversation.objects.get)()).pk.hex}", {"t": "message"})
    ours = await page.hears("message")
    assert (ours["from"], ours["text"], ours["answers"]) == ("out", "yes", None)
    page.say({"t": "seen", "seq": ours["seq"]})
    page.say("{}")
    await page.hears("error")
    sent = await in_thread(Message.objects.get)(direction=Direction.OUT)
    assert sent.status == MessageStatus.DELIVERED
    await page.leaves()


async def test_what_was_missed_is_shown_on_return(door: Door, channel: str) -> None:
    page = Page(door, channel)
    token = (await page.hello())["token"]
    await page.tells("are you there?")
    await page.leaves()
    await answer("yes")
    again = Page(door, channel)
    assert [m["text"] for m in (await again.hello(token))["messages"]] == ["are you there?", "yes"]
    await again.leaves()
    later = Page(door, channel)
    assert [m["text"] for m in (await later.hello(token, after=1))["messages"]] == ["yes"]
    await later.leaves()


async def test_a_repeat_is_stored_once(door: Door, channel: str) -> None:
    """The page never heard that it was stored."""
    page = Page(door, channel)
    token = (await page.hello())["token"]
    await page.tells("hello")
    await page.leaves()
    again = Page(door, channel)
    await again.hello(token)
    await again.tells("hello")
    await again.leaves()
    assert await texts() == ["hello"]


@pytest.mark.parametrize("token", ["nonsense", "", "of another channel", "of another purpose"])
async def test_a_token_that_is_not_ours_makes_a_new_visitor(door: Door, channel: str, token: str) -> None:
    first = Page(door, channel)
    known = (await first.hello())["token"]
    await first.tells("a secret")
    await first.leaves()
    visitor = signing.loads(known, salt=SALT)[1]
    forged = {
        "of another channel": signing.dumps(["0" * 32, visitor], salt=SALT),
        "of another purpose": signing.dumps([channel, visitor], salt="something else"),
    }
    other = Page(door, channel)
    assert (await other.hello(forged.get(token, token)))["messages"] == []
    await other.leaves()


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({}, True),
        ({"origin": "https://studio.test", "host": "studio.test"}, True),
        ({"origin": "https://evil.test", "host": "studio.test"}, False),
        ({"origin": "null", "host": "studio.test"}, False),
        ({"origin": "https://[", "host": "studio.test"}, False),
    ],
)
async def test_only_our_own_page_may_speak(
    door: Door, channel: str, headers: dict[str, str], opens: bool
) -> None:
    page = Page(door, channel, **headers)
    assert await page.opens() == opens
    await page.leaves()


@pytest.mark.parametrize("other", ["nonsense", "0" * 32, "telegram"])
async def test_where_there_is_no_web_chat_nothing_opens(door: Door, channel: str, other: str) -> None:
    if other == "telegram":
        other = await in_thread(lambda: make_channel(make_workspace(), "telegram").pk.hex)()
    page = Page(door, other)
    assert not await page.opens()
    await page.leaves()


async def test_a_channel_that_cannot_be_opened_opens_to_nobody(
    door: Door, channel: str, settings: Any
) -> None:
    settings.VAULT_KEY = bytes(32)
    page = Page(door, channel)
    assert not await page.opens()
    await page.leaves()


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        '{"t": "else"}',
        '{"t": "message", "id": "short", "text": "hi"}',
        '{"t": "message", "id": "first-message", "text": ""}',
        json.dumps({"t": "message", "id": "first-message", "text": "x" * 4_001}),
        '{"t": "seen", "seq": -1}',
        '{"t": "message", "x": ' + "[" * 50_000,
    ],
)
async def test_what_is_not_understood_is_said_so_and_the_visit_goes_on(
    door: Door, channel: str, frame: str
) -> None:
    page = Page(door, channel)
    await page.hello()
    page.say(frame)
    assert (await page.hears("error"))["code"] in {"AMX-2420", "AMX-2421"}
    await page.tells("still here")
    await page.leaves()
    assert await texts() == ["still here"]


async def test_hello_again_asks_whether_the_line_lives(door: Door, channel: str) -> None:
    """As the same visitor. Another one needs a line of its own: hints of this one are the first one's."""
    other = Page(door, channel)
    token = (await other.hello())["token"]
    await other.leaves()
    page = Page(door, channel)
    mine = (await page.hello())["token"]
    await page.tells("hello")
    await page.hears("message")
    page.say({"t": "hello", "token": mine, "after": 1})
    assert (await page.hears("welcome"))["messages"] == []
    page.say({"t": "hello", "token": token, "after": 0})
    assert (await page.hears("error"))["code"] == "AMX-2421"
    page.say({"t": "hello"})
    assert [m["text"] for m in (await page.hears("welcome"))["messages"]] == ["hello"]
    await page.leaves()


async def test_nothing_before_hello(door: Door, channel: str) -> None:
    page = Page(door, channel)
    assert await page.opens()
    page.say({"t": "message", "id": "first-message", "text": "hi"})
    assert (await page.hears("error"))["code"] == "AMX-2421"
    await page.leaves()
    assert not await in_thread(InboundEvent.objects.exists)()


async def test_a_flood_is_slowed_down(door: Door, channel: str) -> None:
    page = Page(door, channel)
    await page.hello()
    for n in range(10):
        page.say({"t": "message", "id": f"message-{n}", "text": "hi"})
    page.say({"t": "message", "id": "message-10", "text": "hi"})
    heard = []
    while (frame := json.loads((await page._out.get())["text"]))["t"] != "error":
        heard.append(frame["t"])
    assert heard.count("stored") == 10
    assert (frame["code"], frame["id"]) == ("AMX-2429", "message-10")
    await page.leaves()


async def test_while_the_database_is_away_nothing_is_confirmed(channel: str) -> None:
    """The page hears so and tries again, with hello too."""
    async with opened(queue=1) as door:
        page = Page(door, channel)
        assert await page.opens()
        async with writer_busy(door.commit):
            waiting = door.commit.submit(lambda cursor, rows: rows, None)
            page.say({"t": "hello"})
            assert (await page.hears("error"))["code"] == "AMX-1503"
        await waiting
        page.say({"t": "hello"})
        await page.hears("welcome")
        await page.tells("hello")
        await page.leaves()
    assert await texts() == ["hello"]
