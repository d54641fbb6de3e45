"""Below /api/v1."""

from __future__ import annotations

from django.urls import path

from gateway.api import channels, conversations, events, messages

urlpatterns = [
    path("channels", channels.Channels.as_view()),
    path("channels/<id:channel>", channels.ChannelDetail.as_view()),
    path("channels/<id:channel>/connect", channels.ChannelConnect.as_view()),
    path("conversations", conversations.Conversations.as_view()),
    path("conversations/<id:conversation>", conversations.ConversationDetail.as_view()),
    path("conversations/<id:conversation>/messages", messages.Messages.as_view()),
    path("events", events.Events.as_view()),
]
