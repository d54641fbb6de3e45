"""What providers sent, word for word, over REST: to see what became of it, and why."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gateway.models import EventState, InboundEvent
from workspaces.api import ApiView, IdField
from workspaces.paging import PageQuery, newest_first, paged


class EventSerializer(serializers.Serializer[InboundEvent]):
    id = IdField()
    type = serializers.SerializerMethodField()
    channel = IdField(source="channel_id")
    external_id = serializers.CharField(help_text="the provider's id of it")
    state = serializers.ChoiceField(choices=EventState.values)
    detail = serializers.CharField(help_text="why it was not understood")
    received_at = serializers.DateTimeField()
    payload = serializers.CharField(help_text="raw; empty once its retention has ended")

    def get_type(self, event: InboundEvent) -> str:
        return "channel.event"


class EventsQuery(PageQuery):
    channel = IdField(required=False)
    state = serializers.ChoiceField(choices=EventState.values, required=False)


class Events(ApiView):
    @extend_schema(
        operation_id="events_list",
        summary="List what providers sent, newest first",
        parameters=[EventsQuery],
        responses=paged(EventSerializer),
    )
    def get(self, request: Request) -> Response:
        query = self.read(EventsQuery, request.query_params)
        rows = InboundEvent.objects.filter(channel__workspace=self.workspace)
        if "channel" in query:
            rows = rows.filter(channel=get_object_or_404(self.workspace.channels, pk=query["channel"]))
        if "state" in query:
            rows = rows.filter(state=query["state"])
        return newest_first(request, rows, query, EventSerializer)
