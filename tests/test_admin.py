"""The operator's desk, over every model there is: a new one without a page fails here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agent_link.bus import bus
from agent_link.models import Agent, PairingCode
from agent_link.pairing import new_code
from gateway.models import Channel, ChannelState, OutboxPart, PartState
from gateway.registry import config_of
from tests import make
from workspaces.api_keys import new_api_key
from workspaces.models import ApiKey, SigninLink, Workspace

pytestmark = pytest.mark.sqlite

OURS = [
    model
    for label in ("workspaces", "agent_link", "gateway")
    for model in apps.get_app_config(label).get_models()
]
PLANTED = "canary-2f7c"


def populate(name: str) -> list[str]:
    """At least one row of every model. Returns what must be read nowhere."""
    workspace = make.make_workspace(name)
    user = make.make_member(workspace, name.lower())
    token, key = new_api_key(workspace, "key")
    SigninLink.objects.create(user=user, digest=f"{PLANTED} {name}", expires_at=timezone.now())
    code, pairing = new_code(workspace)
    channel = make.make_channel(workspace, "telegram")
    agent = make.make_agent(workspace)
    make.answer(make.make_conversation(channel, "hello"), agent)
    make.receive_unreadable(channel, {"odd": 1})
    config = config_of(channel)
    return [
        PLANTED,
        token,
        key.digest,
        code,
        pairing.digest,
        agent.token_digest,
        config.bot_token,
        config.webhook_secret,
        bytes(channel.sealed_config).hex(),
        str(bytes(channel.sealed_config))[2:40],
    ]


@pytest.fixture
def secrets(db: None) -> list[str]:
    return populate("Shop")


def pages(model: type[Model]) -> Iterator[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"{name}_changelist")
    for row in model._default_manager.all():
        yield reverse(f"{name}_change", args=[row.pk])
        yield reverse(f"{name}_history", args=[row.pk])


def test_every_model_has_a_page() -> None:
    assert OURS
    assert not [model for model in OURS if not admin.site.is_registered(model)]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_page_opens_and_shows_no_secret(
    admin_client: Client, secrets: list[str], model: type[Model]
) -> None:
    opened = list(pages(model))
    assert len(opened) > 1, "populate() makes none"
    for page in opened:
        answer = admin_client.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_rows_are_found_by_id_and_by_word(
    admin_client: Client, secrets: list[str], model: type[Model]
) -> None:
    page = next(pages(model))
    row = model._default_manager.all()[0]
    digits = getattr(row.pk, "hex", None)
    if digits is not None:
        assert digits in admin_client.get(page, {"q": digits}).content.decode()
    for term in ("0" * 32, "nothing of the kind", "Ada", "%", "é", "1"):
        assert admin_client.get(page, {"q": term}).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_a_list_costs_the_same_queries_however_long(
    admin_client: Client, secrets: list[str], model: type[Model]
) -> None:
    page = next(pages(model))
    counts = []
    for name in ("Second", "Third"):
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(page)
        counts.append(len(queries))
        populate(name)
        populate(name + "-twin")
    assert counts[0] == counts[1]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_what_is_for_reading_cannot_be_written(
    admin_client: Client, secrets: list[str], model: type[Model]
) -> None:
    desk: Any = admin.site.get_model_admin(model)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    row = model._default_manager.all()[0]
    if not desk.may_add:
        assert admin_client.get(reverse(f"{name}_add")).status_code == 403
    if not desk.may_delete:
        assert admin_client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    if not desk.changeable:
        assert admin_client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403


def test_a_channel_that_is_disabled_here_is_disabled_at_the_door(
    admin_client: Client, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[Any] = []
    monkeypatch.setattr(bus, "publish", lambda *hint: hints.append(hint))
    channel = Channel.objects.get()
    config = config_of(channel)
    form = {"name": channel.name, "state": ChannelState.DISABLED, "kind": "webchat", "sealed_config": "x"}
    page = reverse("admin:gateway_channel_change", args=[channel.pk])
    assert admin_client.post(page, form).status_code == 302
    channel.refresh_from_db()
    assert (channel.state, channel.kind, config_of(channel)) == ("disabled", "telegram", config)
    assert hints == [("channels", {"channel": channel.pk.hex})]


@pytest.mark.parametrize(("action", "state"), [("mark_sent", PartState.SENT), ("resend", PartState.READY)])
def test_an_unknown_part_is_decided(
    admin_client: Client, secrets: list[str], action: str, state: str
) -> None:
    make.send(PartState.UNKNOWN, "AMX-2504")
    part = OutboxPart.objects.get()
    assert part.state == PartState.UNKNOWN
    page = reverse("admin:gateway_outboxpart_changelist")
    answer = admin_client.post(page, {"action": action, "_selected_action": [str(part.pk)]}, follow=True)
    assert "1 of 1 decided" in answer.content.decode()
    part.refresh_from_db()
    assert part.state == state


def test_agents_and_keys_are_revoked(
    admin_client: Client, secrets: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    for model in (Agent, ApiKey):
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        chosen = {"action": "revoke", "_selected_action": [str(model.objects.get().pk)]}
        with django_capture_on_commit_callbacks(execute=True):
            assert admin_client.post(page, chosen).status_code == 302
        assert model.objects.get().revoked_at is not None


def test_who_may_only_look_cannot_act(client: Client, secrets: list[str]) -> None:
    viewer = make.make_user("viewer")
    viewer.is_staff = True
    viewer.save()
    viewer.user_permissions.set(
        viewer.user_permissions.model.objects.filter(codename__in=["view_outboxpart", "view_agent"])
    )
    client.force_login(viewer)
    page = reverse("admin:agent_link_agent_changelist")
    assert client.get(page).status_code == 200
    agent = Agent.objects.get()
    client.post(page, {"action": "revoke", "_selected_action": [str(agent.pk)]})
    agent.refresh_from_db()
    assert agent.revoked_at is None


def test_a_member_of_a_workspace_is_no_operator(client: Client, secrets: list[str]) -> None:
    client.force_login(User.objects.get(username="shop"))
    assert client.get("/admin/").status_code == 302
    assert Workspace.objects.count() == PairingCode.objects.count() == 1
