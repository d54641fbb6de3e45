"""The list of conversations: newest first, what was said last, what needs somebody, in few queries."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agent_link.models import Agent, Lane
from gateway import inbox
from gateway.answering import answer
from gateway.checklist import steps
from gateway.models import Channel, Conversation, PartState
from tests import make
from tests.people import signed_in
from workspaces.models import Membership, Role, Workspace

# session, user, memberships, channels, conversations, last messages, set aside, unknown, first steps
QUERIES = 9


def rows(client: Client, **query: str) -> list[inbox.Row]:
    found: list[inbox.Row] = client.get("/", query).context["page"].rows
    return found


def badges(client: Client) -> list[str]:
    (row,) = rows(client)
    return [badge.text for badge in row.badges]


def test_an_empty_list_says_what_to_do(as_bob: Client) -> None:
    page = as_bob.get("/").content.decode()
    assert "Nobody has written yet" in page
    assert reverse("channels") in page
    assert "aimatrix doctor" in page


@pytest.mark.sqlite
def test_it_shows_who_where_and_what_was_said_last(as_bob: Client, channel: Channel, agent: Agent) -> None:
    conversation = make.make_conversation(channel, "an old one", "a new one", name="Ada")
    page = as_bob.get("/").content.decode()
    assert "Ada" in page
    assert "Our webchat" in page
    assert "a new one" in page
    assert "an old one" not in page
    make.answer(conversation, agent, "an answer")
    (row,) = rows(as_bob)
    assert (row.said_by, row.last and row.last.text) == ("Agent", "an answer")


def test_a_colleague_is_named(as_bob: Client, alice: Any, channel: Channel) -> None:
    answer(make.make_conversation(channel), "I shall look.", author=alice.pk)
    assert rows(as_bob)[0].said_by == "alice"


@pytest.mark.sqlite
def test_newest_first_in_pages(as_bob: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PAGE", 3)
    expected = [make.make_conversation(channel, sender=str(n)).pk for n in range(8)][::-1]
    seen: list[Any] = []
    before = ""
    for _ in range(3):
        page = as_bob.get("/", {"before": before}).context["page"]
        seen += [row.conversation.pk for row in page.rows]
        before = page.older
    assert seen == expected
    assert before == ""


def test_a_page_ends_where_all_are_equally_old(
    as_bob: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PAGE", 2)
    made = {make.make_conversation(channel, sender=str(n)).pk for n in range(4)}
    Lane.objects.update(active_at=Lane.objects.values_list("active_at")[:1])
    first = as_bob.get("/").context["page"]
    second = as_bob.get("/", {"before": first.older}).context["page"]
    assert {row.conversation.pk for row in first.rows + second.rows} == made


@pytest.mark.parametrize("before", ["nonsense", "1.2", "-", "9" * 40, "0"])
def test_a_made_up_cursor_is_the_first_page(as_bob: Client, channel: Channel, before: str) -> None:
    make.make_conversation(channel)
    assert len(rows(as_bob, before=before)) == 1


def test_it_can_be_narrowed_to_a_channel(as_bob: Client, channel: Channel, bot: Channel) -> None:
    make.make_conversation(channel)
    wanted = make.make_conversation(bot)
    assert [row.conversation for row in rows(as_bob, channel=bot.pk.hex)] == [wanted]


def test_a_foreign_channel_narrows_nothing(as_charlie: Client, channel: Channel) -> None:
    make.make_conversation(channel)
    assert rows(as_charlie, channel=channel.pk.hex) == []


def test_badges_follow_a_message(as_bob: Client, bot: Channel, agent: Agent) -> None:
    conversation = make.make_conversation(bot)
    assert badges(as_bob) == ["Waiting for agent"]
    make.push(conversation, agent)
    assert badges(as_bob) == ["Agent is working"]


def test_a_message_set_aside_is_marked_until_someone_answers(
    as_bob: Client, bob: Any, bot: Channel, agent: Agent
) -> None:
    conversation = make.make_conversation(bot)
    make.set_aside(conversation, agent)
    assert badges(as_bob) == ["Set aside"]
    answer(conversation, "I am here.", author=bob.pk)
    assert badges(as_bob) == []


@pytest.mark.parametrize(
    ("state", "badge"),
    [(PartState.UNKNOWN, "May have been sent"), (PartState.FAILED, "Not sent"), (PartState.SENT, None)],
)
def test_sending_that_went_wrong_is_marked(
    as_bob: Client, bot: Channel, agent: Agent, state: PartState, badge: str | None
) -> None:
    make.answer(make.make_conversation(bot), agent)
    make.send(state, "AMX-2504: no answer in time")
    assert badges(as_bob) == ([badge] if badge else [])


@pytest.mark.parametrize("conversations", [1, 25])
def test_the_number_of_queries_does_not_grow(
    as_bob: Client,
    channel: Channel,
    agent: Agent,
    conversations: int,
    django_assert_num_queries: Any,
) -> None:
    for number in range(conversations):
        make.answer(make.make_conversation(channel, sender=str(number)), agent)
    make.send()
    with django_assert_num_queries(QUERIES):
        assert len(rows(as_bob)) == conversations


def test_htmx_gets_the_list_without_the_page_around(as_bob: Client, channel: Channel) -> None:
    make.make_conversation(channel)
    page = as_bob.get("/", headers={"HX-Request": "true"}).content.decode()
    assert "Ada" in page
    assert "<html" not in page


def test_pages_are_not_kept_by_caches(as_bob: Client) -> None:
    assert "no-store" in as_bob.get("/")["Cache-Control"]


def test_what_people_write_stays_text(as_bob: Client, channel: Channel) -> None:
    make.make_conversation(channel, "<script>alert(1)</script>", name="<b>Ada</b>")
    page = as_bob.get("/").content.decode()
    assert "<script>alert" not in page
    assert "<b>Ada" not in page
    assert "&lt;script&gt;" in page


def test_first_steps_are_ticked_by_what_is_there(
    as_bob: Client, bob: Any, workspace: Workspace, channel: Channel
) -> None:
    def ticks() -> list[bool]:
        return [step.done for step in steps(workspace)]

    assert ticks() == [False] * 5
    agent = make.make_agent(workspace)
    conversation = make.make_conversation(channel)
    make.answer(conversation, agent)
    make.send()
    assert ticks() == [True, True, False, False, False]
    answer(conversation, "And welcome.", author=bob.pk)
    make.send()
    make.make_channel(workspace, "telegram")
    assert ticks() == [True, True, True, True, False]
    assert "First steps" in as_bob.get("/").content.decode()
    make.make_agent(workspace, "second")
    assert ticks() == [True] * 5
    assert "First steps" not in as_bob.get("/").content.decode()


def test_first_steps_can_be_hidden(as_bob: Client) -> None:
    assert "First steps" in as_bob.get("/").content.decode()
    as_bob.post(reverse("dismiss_checklist"))
    assert "First steps" not in as_bob.get("/").content.decode()


def test_others_do_not_tick_our_steps(as_charlie: Client, workspace: Workspace, agent: Agent) -> None:
    other = Membership.objects.get(user__username="charlie").workspace
    assert not any(step.done for step in steps(other))
    assert Conversation.objects.count() == 0


def test_an_owner_sees_the_same(workspace: Workspace, channel: Channel) -> None:
    make.make_conversation(channel)
    assert len(rows(signed_in(make.make_member(workspace, "olga", Role.OWNER)))) == 1
