"""Conversations over REST."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gateway.models import Conversation
from workspaces.api import ApiView, IdField
from workspaces.paging import PageQuery, newest_first, paged


class ConversationChannelSerializer(serializers.Serializer[Any]):
    id = IdField()
    kind = serializers.CharField()
    name = serializers.CharField()


class ContactSerializer(serializers.Serializer[Any]):
    id = IdField()
    name = serializers.CharField(help_text="as the provider told it; may be empty")


class ConversationSerializer(serializers.Serializer[Conversation]):
    id = IdField(source="pk")
    channel = ConversationChannelSerializer()
    contact = ContactSerializer()
    address = serializers.CharField(help_text="where answers go: a chat id, a visitor's id")
    created_at = serializers.DateTimeField()
    active_at = serializers.DateTimeField(source="lane.active_at", help_text="when a message was last added")
    last_seq = serializers.SerializerMethodField(help_text="`seq` of the last message")
    waiting = serializers.IntegerField(source="lane.pending", help_text="messages that no agent has finished")
    sending = serializers.IntegerField(source="send_pending", help_text="parts not yet with the provider")

    def get_last_seq(self, conversation: Conversation) -> int:
        return conversation.lane.next_seq - 1


class ConversationsQuery(PageQuery):
    channel = IdField(required=False)
    contact = IdField(required=False)


class Conversations(ApiView):
    @extend_schema(
        operation_id="conversations_list",
        summary="List conversations, the last active first",
        parameters=[ConversationsQuery],
        responses=paged(ConversationSerializer),
    )
    def get(self, request: Request) -> Response:
        query, rows = self.read(ConversationsQuery, request.query_params), _rows(self)
        if "channel" in query:
            rows = rows.filter(channel=get_object_or_404(self.workspace.channels, pk=query["channel"]))
        if "contact" in query:
            rows = rows.filter(contact=get_object_or_404(self.workspace.contacts, pk=query["contact"]))
        return newest_first(request, rows, query, ConversationSerializer, moment="lane__active_at")


class ConversationDetail(ApiView):
    @extend_schema(
        operation_id="conversations_get", summary="Get a conversation", responses=ConversationSerializer
    )
    def get(self, request: Request, conversation: uuid.UUID) -> Response:
        return Response(ConversationSerializer(get_object_or_404(_rows(self), pk=conversation)).data)


def _rows(view: ApiView) -> QuerySet[Conversation]:
    # By the lane's workspace too, which is the same one: its index has the order that is asked for.
    rows = Conversation.objects.filter(workspace=view.workspace, lane__workspace=view.workspace)
    return rows.select_related("lane", "channel", "contact").defer("channel__sealed_config")
