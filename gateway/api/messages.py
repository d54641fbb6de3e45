"""The messages of a conversation over REST, each with what has become of it; saying something in one."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agent_link.models import Envelope, Reply
from gateway.answering import answer
from gateway.models import Conversation, Direction, Message, MessageStatus, OutboxPart, PartState
from gateway.outgoing import PARTS_PER_MESSAGE
from gateway.timeline import NO_RECEIPTS, Answered, Progress, Stage, of_inbound, of_outgoing
from workspaces.api import ApiView, IdField
from workspaces.paging import MOST, page, paged

LONGEST_TEXT = 32_000


class PartSerializer(serializers.Serializer[OutboxPart]):
    """One call to the provider."""

    id = IdField()
    index = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=PartState.values)
    attempts = serializers.IntegerField()
    error = serializers.CharField()
    external_id = serializers.CharField(allow_null=True, help_text="the provider's id of it")
    sent_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)

    def get_index(self, part: OutboxPart) -> int:
        return part.place % PARTS_PER_MESSAGE


class StageSerializer(serializers.Serializer[Stage]):
    """A step of the way. `gap_ms`: since the last one that is done."""

    name = serializers.CharField()
    progress = serializers.ChoiceField(choices=[word.value for word in Progress])
    at = serializers.DateTimeField(allow_null=True)
    gap_ms = serializers.FloatField(allow_null=True)
    note = serializers.CharField()
    code = serializers.CharField()
    next_step = serializers.CharField()


class MessageSerializer(serializers.Serializer[Message]):
    """Made with the timelines in its context, by `described`."""

    id = IdField()
    conversation = IdField(source="conversation_id")
    seq = serializers.IntegerField(help_text="place in the conversation")
    direction = serializers.ChoiceField(choices=Direction.values)
    text = serializers.CharField()
    status = serializers.SerializerMethodField()
    answers = IdField(source="answers_id", allow_null=True, help_text="the message that this one answers")
    agent = IdField(source="agent_id", allow_null=True)
    event = IdField(source="event_id", allow_null=True, help_text="what the provider sent, in /events")
    received_at = serializers.DateTimeField()
    stored_at = serializers.DateTimeField()
    parts = PartSerializer(many=True, help_text="empty for a message from the contact")
    timeline = serializers.SerializerMethodField(
        help_text="empty for an agent's answer, whose steps stand with the message it answers"
    )

    @extend_schema_field({"type": "string", "enum": [word.lower() for word in MessageStatus.names]})
    def get_status(self, message: Message) -> str:
        return MessageStatus(message.status).name.lower()

    @extend_schema_field(StageSerializer(many=True))
    def get_timeline(self, message: Message) -> Any:
        return StageSerializer(self.context["timelines"][message.pk], many=True).data


class NewMessageSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(
        max_length=LONGEST_TEXT, help_text="what is longer than the provider takes is sent in parts"
    )


class MessagesQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(
        default=0, min_value=0, max_value=2**31 - 1, help_text="only messages with a greater `seq`"
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=MOST, help_text="messages per page")


class Messages(ApiView):
    @extend_schema(
        operation_id="messages_list",
        summary="List a conversation's messages, the oldest first",
        parameters=[MessagesQuery],
        responses=paged(MessageSerializer),
    )
    def get(self, request: Request, conversation: uuid.UUID) -> Response:
        query = self.read(MessagesQuery, request.query_params)
        limit = query["limit"]
        thread = self._thread(conversation)
        found = list(_with_parts(thread).filter(seq__gt=query["after"]).order_by("seq")[: limit + 1])
        shown = found[:limit]
        return page(request, described(thread, shown), after=shown[-1].seq if len(found) > limit else None)

    @extend_schema(
        operation_id="messages_create",
        summary="Say something in a conversation",
        description="201 means stored. Sending begins at once; `status` and `timeline` tell how far it came.",
        request=NewMessageSerializer,
        responses={201: MessageSerializer},
    )
    def post(self, request: Request, conversation: uuid.UUID) -> Response:
        thread = self._thread(conversation)
        given = self.read(NewMessageSerializer, request.data)
        message = answer(thread, given["text"], author=None)
        (told,) = described(thread, list(_with_parts(thread).filter(pk=message)))
        return Response(told, status=201)

    def _thread(self, conversation: uuid.UUID) -> Conversation:
        rows = self.workspace.conversations.select_related("channel").defer("channel__sealed_config")
        return get_object_or_404(rows, pk=conversation)


def described(thread: Conversation, messages: Sequence[Message]) -> Any:
    """What is told about `messages` of one conversation, in three more queries."""
    return MessageSerializer(
        instance=messages,  # type: ignore[arg-type]  # many=True takes a list, which the stubs do not know
        many=True,
        context={"timelines": _timelines(thread, messages)},
    ).data


def _with_parts(thread: Conversation) -> QuerySet[Message]:
    parts = Prefetch("parts", OutboxPart.objects.order_by("place"))
    return Message.objects.filter(conversation=thread).prefetch_related(parts)


def _timelines(thread: Conversation, messages: Sequence[Message]) -> dict[uuid.UUID, Sequence[Stage]]:
    inbound = [message.pk for message in messages if message.direction == Direction.IN]
    envelopes = Envelope.objects.defer("payload").in_bulk(inbound)
    answers = _answers(thread, inbound)
    receipts = thread.channel.kind not in NO_RECEIPTS
    told: dict[uuid.UUID, Sequence[Stage]] = {}
    for message in messages:
        if message.direction == Direction.IN:
            way = of_inbound(message, envelopes.get(message.pk), answers[message.pk], receipts=receipts)
            told[message.pk] = way.stages
        elif message.reply_id is None:
            told[message.pk] = of_outgoing(_answered(message), receipts=receipts).stages
        else:
            told[message.pk] = ()
    return told


def _answers(thread: Conversation, inbound: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Answered]]:
    """The agents' answers to these messages, wherever they stand: found by the replies that brought them."""
    replies = Reply.objects.filter(envelope__in=inbound).values("pk")
    found: dict[uuid.UUID, list[Answered]] = defaultdict(list)
    for message in _with_parts(thread).filter(reply_id__in=replies).order_by("seq"):
        if message.answers_id is not None:
            found[message.answers_id].append(_answered(message))
    return found


def _answered(message: Message) -> Answered:
    return Answered(message, list(message.parts.all()))
