"""Who gets in, how far, and that nothing of one workspace is seen from another."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from agent_link.models import Agent
from gateway.models import Channel, OutboxPart, PartState
from tests import make
from tests.people import signed_in
from workspaces.models import Membership, Role, Workspace

PAGES = ["conversations", "channels", "agents", "events"]


@pytest.fixture
def things(channel: Channel, bot: Channel, agent: Agent) -> dict[str, str]:
    """The address of each page about one thing of the workspace, by the page's name."""
    conversation = make.make_conversation(bot)
    make.answer(conversation, agent)
    make.send(PartState.UNKNOWN)
    event = make.receive_unreadable(bot, {"odd": True})
    part = OutboxPart.objects.get()
    ids = {
        "thread": conversation.pk,
        "reply": conversation.pk,
        "mark_sent": part.pk,
        "resend": part.pk,
        "channel": channel.pk,
        "channel_secret": bot.pk,
        "connect_channel": channel.pk,
        "disable_channel": channel.pk,
        "event": event.pk,
        "replay_event": event.pk,
        "revoke_agent": agent.pk,
    }
    return {name: reverse(name, args=[pk]) for name, pk in ids.items()}


GETS = ["thread", "channel", "event"]
POSTS = [
    "reply",
    "mark_sent",
    "resend",
    "channel_secret",
    "connect_channel",
    "disable_channel",
    "replay_event",
    "revoke_agent",
]


@pytest.mark.sqlite
@pytest.mark.parametrize("name", GETS + POSTS)
def test_charlie_finds_nothing_of_ours(things: dict[str, str], as_charlie: Client, name: str) -> None:
    ask = as_charlie.get if name in GETS else as_charlie.post
    assert ask(things[name], {"text": "hi"}).status_code == 404


def test_charlie_hears_nothing_of_ours(things: dict[str, str], as_charlie: Client) -> None:
    conversation = things["thread"].rsplit("/", 1)[1]
    assert as_charlie.get(reverse("live"), {"conversation": conversation}).status_code == 404
    assert as_charlie.get(reverse("live"), {"conversation": "nonsense"}).status_code == 404


def test_charlies_own_lists_are_empty(things: dict[str, str], as_charlie: Client) -> None:
    for page in PAGES:
        answer = as_charlie.get(reverse(page))
        assert answer.status_code == 200
        assert b"Ada" not in answer.content
        assert b"attic-7" not in answer.content
        assert b"Our " not in answer.content


@pytest.mark.parametrize("name", PAGES + GETS)
def test_it_asks_strangers_to_sign_in(things: dict[str, str], client: Client, name: str) -> None:
    address = things.get(name) or reverse(name)
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer["Location"] == f"/signin?next={address}"


def test_a_fragment_sends_the_whole_page_to_sign_in(client: Client, db: None) -> None:
    answer = client.get(
        "/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/conversations/7"}
    )
    assert answer["HX-Redirect"] == "/signin?next=/conversations/7"


@pytest.mark.parametrize("name", POSTS)
def test_vera_may_look_and_not_touch(things: dict[str, str], as_vera: Client, name: str) -> None:
    assert as_vera.get(things["thread"]).status_code == 200
    assert as_vera.post(things[name], {"text": "hi"}).status_code == 403


@pytest.mark.parametrize("name", ["channel_secret", "connect_channel", "disable_channel", "revoke_agent"])
def test_bob_may_not_manage(things: dict[str, str], as_bob: Client, name: str) -> None:
    answer = as_bob.post(things[name])
    assert answer.status_code == 403
    assert "Ask an owner" in answer.content.decode()


@pytest.mark.parametrize("name", ["new_telegram", "new_webchat"])
def test_bob_may_not_add_channels(as_bob: Client, name: str) -> None:
    assert as_bob.get(reverse(name)).status_code == 403


def test_bob_may_not_pair(as_bob: Client) -> None:
    assert as_bob.post(reverse("pair")).status_code == 403


@pytest.mark.parametrize("name", POSTS)
def test_what_changes_something_is_not_done_by_get(
    things: dict[str, str], as_alice: Client, name: str
) -> None:
    assert as_alice.get(things[name]).status_code == 405


def test_without_a_workspace_there_is_nothing_to_see(db: None) -> None:
    answer = signed_in(make.make_user("nora")).get("/")
    assert answer.status_code == 403
    assert "not a member of any workspace" in answer.content.decode()


def test_a_person_of_two_workspaces_chooses(alice: User, workspace: Workspace, channel: Channel) -> None:
    second = make.make_workspace("Another")
    Membership.objects.create(workspace=second, user=alice, role=Role.VIEWER)
    client = signed_in(alice)
    assert client.get("/").context["request"].workspace == second  # the first by name
    client.post(reverse("switch_workspace"), {"workspace": workspace.pk.hex})
    assert client.get("/").context["request"].workspace == workspace


def test_nobody_switches_into_a_foreign_workspace(as_charlie: Client, workspace: Workspace) -> None:
    assert as_charlie.post(reverse("switch_workspace"), {"workspace": workspace.pk.hex}).status_code == 404
    assert as_charlie.post(reverse("switch_workspace"), {"workspace": "x"}).status_code == 404


def test_a_membership_that_ended_ends_the_view(as_bob: Client, bob: User) -> None:
    assert as_bob.get("/").status_code == 200
    Membership.objects.filter(user=bob).delete()
    assert as_bob.get("/").status_code == 403


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_are_the_readers_choice(as_alice: Client, theme: str) -> None:
    as_alice.post(reverse("choose_theme"), {"theme": theme})
    assert f'data-theme="{theme}"' in as_alice.get("/").content.decode()


def test_a_made_up_theme_is_none(as_alice: Client) -> None:
    as_alice.post(reverse("choose_theme"), {"theme": '"><script>'})
    assert 'data-theme="auto"' in as_alice.get("/").content.decode()
