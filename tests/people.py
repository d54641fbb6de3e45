"""Alice owns the shop, Bob works there, Vera may look, Charlie is a stranger with a shop of his own."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agent_link.models import Agent
from gateway.models import Channel
from tests import make
from workspaces.models import Role, Workspace


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make.make_workspace("Shop")


@pytest.fixture
def alice(workspace: Workspace) -> User:
    return make.make_member(workspace, "alice", Role.OWNER)


@pytest.fixture
def bob(workspace: Workspace) -> User:
    return make.make_member(workspace, "bob", Role.MEMBER)


@pytest.fixture
def vera(workspace: Workspace) -> User:
    return make.make_member(workspace, "vera", Role.VIEWER)


@pytest.fixture
def charlie(db: None) -> User:
    return make.make_member(make.make_workspace("Other"), "charlie", Role.OWNER)


@pytest.fixture
def channel(workspace: Workspace) -> Channel:
    return make.make_channel(workspace, "webchat")


@pytest.fixture
def bot(workspace: Workspace) -> Channel:
    return make.make_channel(workspace, "telegram")


@pytest.fixture
def agent(workspace: Workspace) -> Agent:
    return make.make_agent(workspace)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def as_vera(vera: User) -> Client:
    return signed_in(vera)


@pytest.fixture
def as_charlie(charlie: User) -> Client:
    return signed_in(charlie)
