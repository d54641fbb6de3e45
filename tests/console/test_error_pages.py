"""What is shown when something is not there, not allowed or broken: calm, with a way on."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.views.defaults import bad_request, permission_denied, server_error


def test_a_page_that_is_not_there(as_bob: Client, client: Client) -> None:
    for caller in (as_bob, client):
        answer = caller.get("/nowhere")
        assert answer.status_code == 404
        assert "There is nothing at this address" in answer.content.decode()


def test_a_mistake_of_ours_needs_nothing_that_could_be_broken_too(rf: RequestFactory) -> None:
    answer = server_error(rf.get("/"))
    assert answer.status_code == 500
    assert "on our side" in answer.content.decode()


@pytest.mark.parametrize("view", [bad_request, permission_denied])
def test_the_reason_is_escaped(rf: RequestFactory, view: object) -> None:
    request: HttpRequest = rf.get("/")
    answer = view(request, Exception("<script>"))  # type: ignore[operator]
    assert "<script>" not in answer.content.decode()
