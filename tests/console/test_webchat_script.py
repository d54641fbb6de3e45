"""The visitors' page in a real browser, with a scripted Studio at the other end of its WebSocket.

The page is served from the template and the static files as they are, under the policy of settings; what Studio says
is decided by each test, so that connections break and pieces get lost exactly where the test wants it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect, sync_playwright

from gateway.models import Channel
from workspaces.models import Workspace

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HERE = "http://localhost:9"  # nothing listens: every request is answered by the test
STATIC = Path(settings.BASE_DIR) / "studio" / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium"),
]


class Studio:
    """What Studio does at the other end: keeps what it hears, says what the test says."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.heard: list[dict[str, Any]] = []
        self.line: WebSocketRoute | None = None
        self.history: list[dict[str, Any]] = []
        self.stores = True
        self.channel = Channel(workspace=Workspace(name="Teapots"), kind="webchat", name="Website")
        page.route(f"{HERE}/**", self._serve)
        page.route_web_socket("**/socket", self._connected)

    def open(self) -> None:
        self.page.goto(f"{HERE}/webchat/{self.channel.pk.hex}")

    def say(self, t: str, **frame: Any) -> None:
        assert self.line is not None
        self.line.send(json.dumps({"t": t, **frame}))

    def message(self, seq: int, text: str, sender: str = "out", **more: Any) -> dict[str, Any]:
        message = {
            "seq": seq,
            "id": f"m{seq}",
            "from": sender,
            "text": text,
            "answers": None,
            "page_id": "",
        } | more
        message["at"] = f"2026-11-21 07:00:{seq:02}.123456"
        self.history.append(message)
        return message

    def answer(self, seq: int, text: str, **more: Any) -> None:
        self.say("message", **self.message(seq, text, **more))

    def hang_up(self) -> None:
        assert self.line is not None
        self.line.close(code=1012)

    def wait(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The frames of this kind, once there are `count`."""
        for _ in range(100):
            found = [frame for frame in self.heard if frame["t"] == kind]
            if len(found) >= count:
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"no {count} × {kind} in {self.heard}")

    def kept(self) -> list[str]:
        """Texts that the browser keeps because they are not known to be stored."""
        key = f"aimatrix.webchat.{self.channel.pk.hex}"
        return [
            message["text"] for message in json.loads(self.page.evaluate(f"localStorage['{key}']"))["pending"]
        ]

    def _serve(self, route: Route) -> None:
        path = route.request.url.removeprefix(HERE)
        if path.startswith("/static/"):
            file = STATIC / path.removeprefix("/static/")
            route.fulfill(body=file.read_bytes(), content_type=KINDS[file.suffix])
            return
        directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items()
        policy = "; ".join(f"{name} {' '.join(values)}" for name, values in directives)
        html = render_to_string("gateway/webchat.html", {"channel": self.channel})
        route.fulfill(body=html, content_type="text/html", headers={"Content-Security-Policy": policy})

    def _connected(self, line: WebSocketRoute) -> None:
        self.line = line
        line.on_message(self._hear)

    def _hear(self, text: str | bytes) -> None:
        frame = json.loads(text)
        self.heard.append(frame)
        if frame["t"] == "hello":
            newer = [message for message in self.history if message["seq"] > frame["after"]]
            self.say("welcome", token="visitor-1", greeting="Welcome!", suggestions=["Open?"], messages=newer)
        elif frame["t"] == "message" and self.stores:
            self.store(frame)

    def store(self, frame: dict[str, Any]) -> None:
        """As at the real door: `stored`, and the message itself unless it is a repeat."""
        if any(message["page_id"] == frame["id"] for message in self.history):
            self.say("stored", id=frame["id"])
            return
        message = self.message(len(self.history) + 1, frame["text"], "in", page_id=frame["id"])
        self.say("stored", id=frame["id"])
        self.say("message", **message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Pages of one visitor. An error in one, a breach of the policy among them, fails the test."""
    context = browser.new_context(viewport={"width": 390, "height": 700})
    troubles: list[str] = []

    def made() -> Page:
        page = context.new_page()
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        return page

    yield made
    context.close()
    assert not troubles


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    return new_page()


@pytest.fixture
def studio(page: Page) -> Studio:
    return Studio(page)


def write(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def bubbles(page: Page) -> list[str]:
    """What stands in the chat, without the words for screen readers."""
    texts = page.locator("#log .bubble").all_text_contents()
    return [text.removeprefix("You: ").removeprefix("Answer: ") for text in texts]


def test_a_first_visit(page: Page, studio: Studio) -> None:
    studio.open()
    expect(page.get_by_text("Welcome!")).to_be_visible()
    assert studio.heard == [{"t": "hello", "token": None, "after": 0}]
    page.get_by_role("button", name="Open?").click()
    expect(page.locator(".message.in .tick")).to_have_text("✓")
    assert bubbles(page) == ["Open?"]
    expect(page.get_by_role("button", name="Open?")).to_have_count(0)


def test_a_second_visit_is_known_and_sees_what_was_said(page: Page, studio: Studio) -> None:
    studio.open()
    write(page, "Hello")
    studio.wait("message")
    page.reload()
    expect(page.locator("#log .bubble")).to_have_count(1)
    assert studio.heard[-1] == {"t": "hello", "token": "visitor-1", "after": 0}
    assert bubbles(page) == ["Hello"]


def test_words_are_shown_at_once_and_kept_until_they_are_stored(page: Page, studio: Studio) -> None:
    studio.stores = False
    studio.open()
    write(page, "Hello")
    expect(page.locator(".message.pending .tick")).to_have_text("Sending…")
    (frame,) = studio.wait("message")
    assert studio.kept() == ["Hello"]
    studio.store(frame)
    expect(page.locator(".message.pending")).to_have_count(0)
    assert studio.kept() == []
    assert bubbles(page) == ["Hello"]


def test_a_broken_line_loses_nothing_and_repeats_nothing(page: Page, studio: Studio) -> None:
    """The message arrived, `stored` did not: the same id goes out again, and one bubble remains."""
    studio.open()
    studio.answer(1, "Good morning")
    expect(page.locator(".message.out")).to_have_count(1)
    studio.stores = False
    write(page, "Hello")
    (frame,) = studio.wait("message")
    studio.message(2, "Hello", "in", page_id=frame["id"])  # stored, but the page is not told
    studio.stores = True
    studio.hang_up()
    again = studio.wait("message", 2)[1]
    assert again["id"] == frame["id"]
    assert studio.wait("hello", 2)[1] == {"t": "hello", "token": "visitor-1", "after": 1}
    expect(page.locator(".message.pending")).to_have_count(0)
    assert bubbles(page) == ["Good morning", "Hello"]
    assert studio.kept() == []


def test_a_reload_before_it_is_stored_loses_nothing(page: Page, studio: Studio) -> None:
    studio.stores = False
    studio.open()
    write(page, "Hello")
    (frame,) = studio.wait("message")
    page.reload()
    again = studio.wait("message", 2)[1]
    assert again == frame
    studio.store(again)
    expect(page.locator(".message.pending")).to_have_count(0)
    assert bubbles(page) == ["Hello"]


def test_the_same_words_twice_are_two_messages(page: Page, studio: Studio) -> None:
    studio.open()
    write(page, "Hello?")
    studio.wait("message")
    studio.stores = False
    write(page, "Hello?")
    studio.wait("message", 2)
    page.reload()  # the history holds the first, the browser the second
    studio.store(studio.wait("message", 3)[2])
    expect(page.locator(".message.pending")).to_have_count(0)
    assert bubbles(page) == ["Hello?", "Hello?"]
    assert len(studio.history) == 2


def test_words_go_out_one_by_one_in_their_order(page: Page, studio: Studio) -> None:
    studio.stores = False
    studio.open()
    for word in ("one", "two", "three"):
        write(page, word)
    (first,) = studio.wait("message")
    page.wait_for_timeout(300)
    assert len(studio.wait("message")) == 1, "the second waits until the first is stored"
    studio.say("error", code="AMX-2429", title="please wait a moment", id=first["id"])
    expect(page.get_by_role("status")).to_have_text("please wait a moment")
    studio.stores = True
    assert [frame["text"] for frame in studio.wait("message", 4)] == ["one", "one", "two", "three"]
    expect(page.locator(".message.pending")).to_have_count(0)


def test_an_answer_grows_and_is_replaced_by_the_stored_one(page: Page, studio: Studio) -> None:
    studio.open()
    write(page, "Hello")
    studio.wait("message")
    draft = page.locator("#draft")
    studio.say("working", d="m1")
    expect(draft).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Writing…")
    studio.say("partial", d="m1", at=0, text="Tea 🫖 ")
    studio.say("partial", d="m1", at=6, text="is")
    studio.say("partial", d="m1", at=6, text="is re")  # a piece that overlaps
    studio.say("partial", d="m1", at=30, text="lost its neighbour")
    expect(draft).to_have_text("Tea 🫖 is re")
    studio.say("partial", d="m1", at=0, text="Coffee")  # the agent began anew
    expect(draft).to_have_text("Coffee")
    studio.answer(2, "Coffee is ready.", answers="m1")
    expect(draft).to_be_hidden()
    assert bubbles(page) == ["Hello", "Coffee is ready."]
    expect(page.get_by_role("status")).to_have_text("")


def test_someone_elses_answer_does_not_end_the_draft(page: Page, studio: Studio) -> None:
    studio.open()
    studio.wait("hello")
    studio.say("partial", d="m1", at=0, text="I am thinking")
    studio.answer(1, "A colleague here.", answers=None)
    expect(page.locator(".message.out")).to_have_count(1)
    expect(page.locator("#draft")).to_have_text("I am thinking")


def test_a_page_that_comes_late_shows_no_half_answer(page: Page, studio: Studio) -> None:
    studio.open()
    studio.wait("hello")
    studio.say("partial", d="m1", at=40, text="the second half")
    expect(page.locator("#draft")).to_be_visible()
    expect(page.locator("#draft")).to_have_text("")


def test_nothing_that_is_shown_already_is_shown_again(page: Page, studio: Studio) -> None:
    studio.open()
    studio.wait("hello")
    studio.answer(1, "once")
    studio.say("message", **studio.history[0])
    studio.answer(2, "twice")
    expect(page.locator(".message.out")).to_have_count(2)
    assert bubbles(page) == ["once", "twice"]


def test_text_is_text_and_addresses_are_links(page: Page, studio: Studio) -> None:
    studio.open()
    studio.wait("hello")
    text = "<img src=x onerror=alert(1)> see https://example.com/a?b=1. Not javascript:alert(1)"
    studio.answer(1, text)
    expect(page.locator(".message.out")).to_have_count(1)
    assert bubbles(page) == [text]
    link = page.locator(".bubble a")
    assert link.get_attribute("href") == "https://example.com/a?b=1"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"


def test_what_is_on_the_screen_is_told_as_seen(page: Page, studio: Studio) -> None:
    studio.open()
    studio.wait("hello")
    studio.answer(1, "Good morning")
    assert studio.wait("seen")[-1]["seq"] == 1


def test_without_storage_the_chat_still_works(page: Page, studio: Studio) -> None:
    page.add_init_script(
        "Storage.prototype.getItem = Storage.prototype.setItem = () => { throw new Error() }"
    )
    studio.open()
    write(page, "Hello")
    expect(page.locator(".message.in .tick")).to_have_text("✓")


def test_two_tabs_show_the_same(new_page: Callable[[], Page], page: Page, studio: Studio) -> None:
    studio.open()
    write(page, "Hello")
    studio.wait("message")
    other = new_page()
    second = Studio(other)
    second.channel, second.history = studio.channel, studio.history
    second.open()
    expect(other.locator("#log .bubble")).to_have_count(1)
    assert second.heard[0]["token"] == "visitor-1"


def test_it_fits_a_narrow_screen(page: Page, studio: Studio) -> None:
    page.set_viewport_size({"width": 320, "height": 500})
    studio.open()
    studio.wait("hello")
    studio.answer(1, "A" * 400)
    expect(page.locator(".message.out")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
