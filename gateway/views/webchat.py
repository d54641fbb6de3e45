"""Web chat's public pages: the chat itself, and the script that shows it on other sites."""

from __future__ import annotations

from uuid import UUID

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from gateway.models import Channel, ChannelState
from gateway.registry import config_of


@require_safe
@xframe_options_exempt
def webchat(request: HttpRequest, channel: UUID) -> HttpResponseBase:
    row = _channel(channel)
    embeddable = csp_replace({"frame-ancestors": config_of(row).origins or ["*"]})
    return embeddable(lambda asked: render(asked, "gateway/webchat.html", {"channel": row}))(request)


@require_safe
@cache_control(public=True, max_age=300)
def widget(request: HttpRequest, channel: UUID) -> HttpResponse:
    _channel(channel)
    response = render(request, "gateway/widget.js", content_type="text/javascript; charset=utf-8")
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _channel(channel: UUID) -> Channel:
    in_use = Channel.objects.exclude(state=ChannelState.DISABLED)
    return get_object_or_404(in_use.select_related("workspace"), pk=channel, kind="webchat")
