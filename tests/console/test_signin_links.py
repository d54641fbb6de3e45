"""Links that sign in once, within two minutes, on the computer where Studio runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from workspaces.models import SigninLink
from workspaces.signin_links import new_link


@pytest.mark.sqlite
def test_a_link_signs_in(client: Client, alice: User) -> None:
    answer = client.get(new_link(alice))
    assert answer.status_code == 302
    assert client.get("/").context["request"].user == alice


def test_it_works_once(client: Client, alice: User) -> None:
    link = new_link(alice)
    client.get(link)
    answer = Client().get(link)
    assert answer.status_code == 410
    assert "make run" in answer.content.decode()


def test_it_ends_after_two_minutes(client: Client, alice: User) -> None:
    link = new_link(alice)
    assert SigninLink.objects.get().expires_at <= timezone.now() + timedelta(minutes=2)
    SigninLink.objects.update(expires_at=timezone.now())
    assert client.get(link).status_code == 410


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "", "unix:"])
def test_it_works_on_this_computer_only(client: Client, alice: User, address: str) -> None:
    link = new_link(alice)
    assert client.get(link, REMOTE_ADDR=address).status_code == 410
    assert SigninLink.objects.get().used_at is None, "and a stranger does not use it up"
    assert client.get(link, REMOTE_ADDR="::1").status_code == 302


def test_behind_a_proxy_everybody_looks_local_so_nobody_is_let_in(client: Client, alice: User) -> None:
    assert client.get(new_link(alice), headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 410


@pytest.mark.parametrize("token", ["amx_signin_made-up", "x"])
def test_a_made_up_link_is_spent(client: Client, db: None, token: str) -> None:
    assert client.get(f"/signin/link/{token}").status_code == 410


def test_someone_inactive_stays_out(client: Client, alice: User) -> None:
    link = new_link(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get(link).status_code == 410


def test_the_database_does_not_know_the_token(alice: User) -> None:
    token = new_link(alice).rsplit("/", 1)[1]
    assert token not in str(SigninLink.objects.values_list().get())
