"""Agents: presence, pairing, and the end of one's access."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agent_link.models import Agent, PairingCode
from agent_link.pairing import Wanted, pair
from agent_link.views import presence
from tests import make
from workspaces.models import Workspace


def test_presence_has_four_words(workspace: Workspace) -> None:
    here = make.make_agent(workspace, "here")
    assert presence(here) == "online"
    here.draining = True
    assert presence(here) == "draining"
    here.last_seen_at = timezone.now() - timedelta(minutes=5)
    assert presence(here) == "offline", "a connection that fell silent is none"
    assert presence(make.make_agent(workspace, "new", online=False)) == "new"


@pytest.mark.sqlite
def test_the_page_says_it_in_words(as_bob: Client, workspace: Workspace) -> None:
    make.make_agent(workspace, "here")
    away = make.make_agent(workspace, "away", online=False)
    Agent.objects.filter(pk=away.pk).update(last_seen_at=timezone.now() - timedelta(hours=5))
    page = as_bob.get(reverse("agents")).content.decode()
    assert "Online" in page
    assert "Offline, last seen" in page
    assert "5 h" in page


@pytest.mark.sqlite
def test_alice_pairs_a_computer(as_alice: Client, workspace: Workspace) -> None:
    answer = as_alice.post(reverse("pair"))
    code = answer.context["code"]
    page = answer.content.decode()
    assert f"aimatrix pair {code} --studio http" in page
    assert "Good for 10 more minutes" in page
    assert "no-store" in answer["Cache-Control"]
    row = PairingCode.objects.get()
    state = reverse("pairing", args=[row.pk])
    assert code not in as_alice.get(state).content.decode(), "it is not shown again"
    (paired,) = make.run(pair, Wanted(code=code, name="laptop"))
    assert paired is not None
    assert "was paired" in as_alice.get(state).content.decode()
    assert "laptop" in as_alice.get(reverse("agents")).content.decode()


def test_an_old_code_says_so(as_alice: Client) -> None:
    as_alice.post(reverse("pair"))
    PairingCode.objects.update(expires_at=timezone.now())
    page = as_alice.get(reverse("pairing", args=[PairingCode.objects.get().pk])).content.decode()
    assert "The code has ended" in page


def test_charlie_does_not_watch_our_code(as_alice: Client, as_charlie: Client) -> None:
    as_alice.post(reverse("pair"))
    assert as_charlie.get(reverse("pairing", args=[PairingCode.objects.get().pk])).status_code == 404


@pytest.mark.sqlite
def test_alice_revokes_an_agent(
    as_alice: Client, agent: Agent, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr("agent_link.bus.Bus.publish", lambda self, topic, hint: heard.append((topic, hint)))
    with django_capture_on_commit_callbacks(execute=True):
        as_alice.post(reverse("revoke_agent", args=[agent.pk]))
    agent.refresh_from_db()
    assert agent.revoked_at is not None
    assert ("agents", {"agent": agent.pk.hex, "revoked": True}) in heard
    page = as_alice.get(reverse("agents"))  # the message is shown once
    assert "attic-7" not in as_alice.get(reverse("agents")).content.decode()
    assert "no longer let in" in page.content.decode()


def test_what_is_revoked_is_gone(as_alice: Client, agent: Agent) -> None:
    Agent.objects.update(revoked_at=timezone.now())
    assert as_alice.post(reverse("revoke_agent", args=[agent.pk])).status_code == 404


@pytest.mark.parametrize("agents", [1, 9])
def test_the_number_of_queries_does_not_grow(
    as_bob: Client, workspace: Workspace, agents: int, django_assert_num_queries: Any
) -> None:
    for number in range(agents):
        make.make_agent(workspace, f"agent {number}")
    with django_assert_num_queries(4):  # session, user, memberships, agents
        as_bob.get(reverse("agents"))


def test_an_empty_list_says_what_to_do(as_alice: Client) -> None:
    page = as_alice.get(reverse("agents")).content.decode()
    assert "Pair a computer" in page
    assert "pip install aimatrix-agent" in page
