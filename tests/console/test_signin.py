"""Signing in with a password, and out again."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import make
from workspaces import views
from workspaces.models import Membership, Role, Workspace
from workspaces.tries import Tries

PASSWORD = "a teapot on the shelf"


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> Tries:
    tries = Tries(3)
    monkeypatch.setattr(views, "tries", tries)
    return tries


@pytest.fixture
def ada(workspace: Workspace) -> User:
    user = make.make_user("ada", PASSWORD)
    Membership.objects.create(workspace=workspace, user=user, role=Role.MEMBER)
    return user


def signin(client: Client, name: str, password: str = PASSWORD, **more: str) -> int:
    return client.post("/signin", {"name": name, "password": password, **more}).status_code


@pytest.mark.sqlite
@pytest.mark.parametrize("name", ["ada", "ada@example.com", "ADA@example.com"])
def test_it_takes_a_name_or_an_e_mail_address(client: Client, ada: User, name: str) -> None:
    assert signin(client, name) == 302
    assert client.get("/").status_code == 200


def test_an_address_of_two_people_is_nobodys(client: Client, ada: User) -> None:
    User.objects.create_user("eda", "ada@example.com", PASSWORD)
    assert signin(client, "ada@example.com") == 200
    assert signin(client, "ada") == 302


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("ada", "")])
def test_it_says_the_same_whatever_is_wrong(client: Client, ada: User, name: str, password: str) -> None:
    answer = client.post("/signin", {"name": name, "password": password})
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    if password:
        assert "do not belong together" in answer.content.decode()


def test_someone_inactive_stays_out(client: Client, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert signin(client, "ada") == 200


def test_too_many_tries_from_one_address_must_wait(client: Client, ada: User) -> None:
    for _ in range(3):
        assert signin(client, "ada", "wrong") == 200
    assert signin(client, "ada") == 429, "even the right password has to wait"


def test_right_tries_are_not_counted(client: Client, ada: User) -> None:
    for _ in range(5):
        assert signin(client, "ada") == 302


def test_the_next_minute_begins_anew(few_tries: Tries, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [few_tries.begin("::1") for _ in range(4)] == [True, True, True, False]
    assert few_tries.begin("10.0.0.1"), "others do not wait"
    few_tries._minute -= 1
    assert few_tries.begin("::1")


def test_it_goes_on_to_the_page_that_was_asked_for(client: Client, ada: User) -> None:
    answer = client.post("/signin", {"name": "ada", "password": PASSWORD, "next": "/channels"})
    assert answer["Location"] == "/channels"


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_it_goes_nowhere_else(client: Client, ada: User, next_page: str) -> None:
    answer = client.post("/signin", {"name": "ada", "password": PASSWORD, "next": next_page})
    assert answer["Location"] == "/"


def test_signing_out_takes_a_click(as_alice: Client) -> None:
    assert as_alice.get("/signout").status_code == 405
    assert as_alice.post("/signout").status_code == 302
    assert as_alice.get("/").status_code == 302


def test_the_form_is_protected_against_other_sites(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/signin", {"name": "ada", "password": PASSWORD})
    assert answer.status_code == 403
    assert "open for too long" in answer.content.decode()
