"""The public pages of a web chat: who may show them, and that they run under the strict policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from gateway.errors import BadConfig
from gateway.models import Channel, ChannelState
from tests import make
from workspaces.models import Workspace


def policy(client: Client, channel: Channel) -> dict[str, str]:
    header = client.get(reverse("webchat", args=[channel.pk]))["Content-Security-Policy"]
    pairs = (directive.strip().partition(" ") for directive in header.split(";"))
    return {name: value for name, _, value in pairs}


@pytest.mark.sqlite
def test_anyone_may_open_it_and_see_whose_it_is(client: Client, channel: Channel) -> None:
    answer = client.get(reverse("webchat", args=[channel.pk]))
    assert answer.status_code == 200
    assert "Shop" in answer.content.decode()
    assert f'data-channel="{channel.pk.hex}"' in answer.content.decode()
    assert not answer.cookies, "a visitor's browser is given nothing to carry"


def test_any_site_may_show_it_unless_it_was_narrowed(client: Client, channel: Channel) -> None:
    assert policy(client, channel)["frame-ancestors"] == "*"
    assert "X-Frame-Options" not in client.get(reverse("webchat", args=[channel.pk]))


def test_only_named_sites_may_show_it(client: Client, workspace: Workspace) -> None:
    channel = make.make_channel(workspace, origins=["https://a.example", "https://*.b.example:8443"])
    assert policy(client, channel)["frame-ancestors"] == "https://a.example https://*.b.example:8443"


def test_a_site_that_is_no_origin_is_refused(workspace: Workspace) -> None:
    with pytest.raises(BadConfig):
        make.make_channel(workspace, origins=["*; script-src *"])


@pytest.mark.parametrize("name", ["webchat", "widget"])
def test_there_is_none_of_a_disabled_channel_or_another_kind(
    client: Client, channel: Channel, bot: Channel, name: str
) -> None:
    assert client.get(reverse(name, args=[channel.pk])).status_code == 200
    assert client.get(reverse(name, args=[bot.pk])).status_code == 404
    Channel.objects.update(state=ChannelState.DISABLED)
    assert client.get(reverse(name, args=[channel.pk])).status_code == 404


def test_the_widget_is_a_script_for_other_sites(client: Client, channel: Channel) -> None:
    answer = client.get(reverse("widget", args=[channel.pk]))
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age=300" in answer["Cache-Control"]


TEMPLATES = [path for path in Path(settings.BASE_DIR).glob("*/templates/**/*.html")]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_asks_for_what_the_policy_forbids(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "an inline script"
    assert not re.search(r"\s(style|on[a-z]+|hx-on[:\w-]*)=", text), "an inline style or handler"
    assert "javascript:" not in text
    assert not re.search(r'(src|href)="https?://', text), "another host"
