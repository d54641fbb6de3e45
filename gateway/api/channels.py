"""Channels over REST. A credential goes in and never comes out; a webhook's secret is shown once."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.conf import settings
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gateway.connecting import connect
from gateway.errors import BadConfig
from gateway.messages import Finding
from gateway.models import Channel, ChannelState
from gateway.registry import ADAPTERS, adapter, config_of, new_channel, webhook_url
from workspaces.api import ApiView, IdField
from workspaces.paging import PageQuery, newest_first, paged
from workspaces.problems import problem
from workspaces.vault import SealBroken

WEBCHAT = "webchat"


class FindingSerializer(serializers.Serializer[Any]):
    trouble = serializers.CharField()
    next_step = serializers.CharField()


@extend_schema_field({"type": "string", "nullable": True})
class ShownOnce(serializers.CharField):
    """Not read from the row: the operation that makes it adds it to its answer."""


class ChannelSerializer(serializers.Serializer[Channel]):
    id = IdField()
    kind = serializers.ChoiceField(choices=list(ADAPTERS))
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=ChannelState.values)
    state_detail = serializers.CharField(help_text="what is wrong and what to do, where `state` is `error`")
    created_at = serializers.DateTimeField()
    webhook_url = serializers.SerializerMethodField(
        help_text="where the provider delivers; null for web chat"
    )
    webchat_url = serializers.SerializerMethodField(help_text="the hosted chat page; null for other kinds")
    widget_url = serializers.SerializerMethodField(help_text="for <script src=…> on your own pages")

    findings = FindingSerializer(
        many=True, required=False, help_text="where the provider was asked; empty when it delivers to us now"
    )
    webhook_secret = ShownOnce(required=False, help_text="in the answer to the POST that made it, only there")

    def get_webhook_url(self, channel: Channel) -> str | None:
        return None if channel.kind == WEBCHAT else webhook_url(channel)

    def get_webchat_url(self, channel: Channel) -> str | None:
        return _page("webchat", channel)

    def get_widget_url(self, channel: Channel) -> str | None:
        return (
            f"{settings.STUDIO_URL}/webchat/{channel.pk.hex}/widget.js" if channel.kind == WEBCHAT else None
        )


class NewChannelSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=list(ADAPTERS))
    name = serializers.CharField(max_length=80)
    config = serializers.DictField(default=dict, help_text="what this kind needs: docs/api.md lists it")
    connect = serializers.BooleanField(
        default=False, help_text="also tell the provider where we listen, and wait for its answer"
    )

    def validate_config(self, config: dict[str, Any]) -> dict[str, Any]:
        try:
            msgspec.json.encode(config)
        except UnicodeEncodeError:
            raise serializers.ValidationError("half a surrogate pair is no text") from None
        return config


class Channels(ApiView):
    @extend_schema(
        operation_id="channels_list",
        summary="List channels, newest first",
        parameters=[PageQuery],
        responses=paged(ChannelSerializer),
    )
    def get(self, request: Request) -> Response:
        query = self.read(PageQuery, request.query_params)
        rows = self.workspace.channels.defer("sealed_config")
        return newest_first(request, rows, query, ChannelSerializer)

    @extend_schema(
        operation_id="channels_create",
        summary="Make a channel",
        description="The provider is not called unless `connect` is true; do so later with …/connect.",
        request=NewChannelSerializer,
        responses={201: ChannelSerializer},
        examples=[
            OpenApiExample(
                "Telegram",
                {"kind": "telegram", "name": "Shop bot", "config": {"bot_token": "123456:ABC…"}},
                request_only=True,
            ),
            OpenApiExample("Web chat", {"kind": "webchat", "name": "Website"}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        given = self.read(NewChannelSerializer, request.data)
        try:
            channel = new_channel(self.workspace, given["kind"], given["name"], given["config"])
        except BadConfig as error:
            return bad_config(error)
        channel.save()
        # Behind a web chat there is nobody to wait for.
        findings = async_to_sync(connect)(channel) if given["connect"] or channel.kind == WEBCHAT else []
        secret = adapter(channel.kind).webhook_secret(config_of(channel))
        answer = {**connected(channel, findings), "webhook_secret": secret}
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})


class ChannelDetail(ApiView):
    @extend_schema(operation_id="channels_get", summary="Get a channel", responses=ChannelSerializer)
    def get(self, request: Request, channel: uuid.UUID) -> Response:
        return Response(ChannelSerializer(get_object_or_404(self.workspace.channels, pk=channel)).data)


class ChannelConnect(ApiView):
    @extend_schema(
        operation_id="channels_connect",
        summary="Connect a channel",
        description="Tells the provider where to deliver, waits for its answer and says what is wrong.",
        request=None,
        responses=ChannelSerializer,
    )
    def post(self, request: Request, channel: uuid.UUID) -> Response:
        row = get_object_or_404(self.workspace.channels, pk=channel)
        try:
            findings = async_to_sync(connect)(row)
        except SealBroken as error:
            return problem(
                409, str(error), code=error.code, next_step="bring back the VAULT_KEY it was made with"
            )
        return Response(connected(row, findings))


def connected(channel: Channel, findings: list[Finding]) -> dict[str, Any]:
    told = FindingSerializer([asdict(finding) for finding in findings], many=True).data
    return {**ChannelSerializer(channel).data, "findings": told}


def _page(name: str, channel: Channel) -> str | None:
    return settings.STUDIO_URL + reverse(name, args=[channel.pk]) if channel.kind == WEBCHAT else None


def bad_config(error: BadConfig) -> Response:
    """Says which field of `config` it is, where the sentence names one."""
    named = re.search(r"`(?:\$\.)?(\w+)[^`]*`$", str(error)) or re.match(r"(\w+) must", str(error))
    field = f"config.{named[1]}" if named else "config"
    return problem(
        400,
        str(error),
        code=error.code,
        next_step=f"correct `{field}` and send the request again",
        errors={field: [str(error)]},
    )
