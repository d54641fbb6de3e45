from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_link.models import Lane
from gateway.models import Conversation
from tests.api.conftest import Api, problem
from tests.make import receive
from workspaces.paging import Cursor

pytestmark = pytest.mark.sqlite

SEVEN = datetime(2026, 11, 21, 7, tzinfo=UTC)  # SQLite may keep it without a fraction
WRONG = [
    "limit=0",
    "limit=201",
    "limit=many",
    "cursor=x",
    "cursor=%00",
    f"cursor={'9' * 32}.{'0' * 32}",
]


def pages(api: Api, path: str) -> Iterator[list[dict[str, Any]]]:
    while path:
        told = api.get(path)
        yield told["results"]
        parts = urlsplit(told["next"] or "")
        path = f"{parts.path.removeprefix('/api/v1')}?{parts.query}" if told["next"] else ""


@given(
    st.builds(
        Cursor,
        st.uuids(),
        st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    )
)
def test_a_cursor_reads_what_it_wrote(cursor: Cursor) -> None:
    assert Cursor.read(str(cursor)) == cursor


@pytest.mark.parametrize("path", ["/channels", "/agents", "/conversations", "/events"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_page_that_cannot_be_is_refused(ours: Api, path: str, wrong: str) -> None:
    problem(ours.call("GET", f"{path}?{wrong}"), 400)


def test_a_cursor_of_another_list_is_refused(ours: Api) -> None:
    problem(ours.call("GET", f"/conversations?cursor={'0' * 32}"), 400)
    problem(ours.call("GET", f"/events?cursor=5.{'0' * 32}"), 400)


def test_pages_of_one_list_hold_each_row_once(ours: Api) -> None:
    written = [receive(ours.channel, f"message {number}").pk.hex for number in range(6)]
    found = [row["id"] for page in pages(ours, "/events?limit=3") for row in page]
    assert found[:6] == written[::-1]
    assert len(found) == len(set(found)) == 7


def test_what_arrives_meanwhile_neither_repeats_nor_hides_anything(ours: Api) -> None:
    old = {receive(ours.channel, "hi", sender=str(number)).pk.hex for number in range(5)}
    walk = pages(ours, "/events?limit=2")
    seen = [row["id"] for row in next(walk)]
    for number in range(3):
        receive(ours.channel, f"new {number}", sender=str(number))
    seen += [row["id"] for page in walk for row in page]
    assert len(seen) == len(set(seen))
    assert old <= set(seen)


@pytest.mark.parametrize("moment", [SEVEN, SEVEN + timedelta(milliseconds=120)])
def test_conversations_of_the_same_moment_are_told_apart_by_their_ids(ours: Api, moment: datetime) -> None:
    for number in range(6):
        receive(ours.channel, "hi", sender=str(number))
    Lane.objects.update(active_at=moment)
    Lane.objects.filter(pk=ours.conversation.pk).update(active_at=moment - timedelta(seconds=1))
    found = [row["id"] for page in pages(ours, "/conversations?limit=2") for row in page]
    assert len(found) == len(set(found)) == Conversation.objects.count() == 7
    assert found[-1] == ours.conversation.pk.hex


def test_next_keeps_the_filters(ours: Api) -> None:
    receive(ours.channel, "more")
    told = ours.get(f"/events?limit=1&state=recorded&channel={ours.channel.pk.hex}")
    assert "state=recorded" in told["next"]
    assert f"channel={ours.channel.pk.hex}" in told["next"]
    assert told["next"].startswith("http://testserver/api/v1/events?")
