from __future__ import annotations

from django.urls import path

import workspaces.api  # noqa: F401  (registers <id:…>)
from gateway import live
from gateway.views import channels, conversations, events, webchat

urlpatterns = [
    path("", conversations.conversations, name="conversations"),
    path("conversations/<id:conversation>", conversations.thread, name="thread"),
    path("conversations/<id:conversation>/reply", conversations.reply, name="reply"),
    path("parts/<id:part>/sent", conversations.mark_sent, name="mark_sent"),
    path("parts/<id:part>/resend", conversations.resend, name="resend"),
    path("checklist/dismiss", conversations.dismiss_checklist, name="dismiss_checklist"),
    path("channels", channels.channels, name="channels"),
    path("channels/new/telegram", channels.new_telegram, name="new_telegram"),
    path("channels/new/webchat", channels.new_webchat, name="new_webchat"),
    path("channels/<id:channel>", channels.channel, name="channel"),
    path("channels/<id:channel>/secret", channels.show_secret, name="channel_secret"),
    path("channels/<id:channel>/connect", channels.connect, name="connect_channel"),
    path("channels/<id:channel>/disable", channels.disable, name="disable_channel"),
    path("events", events.events, name="events"),
    path("events/<id:event>", events.event, name="event"),
    path("events/<id:event>/replay", events.replay, name="replay_event"),
    path("live", live.live, name="live"),
    path("webchat/<id:channel>", webchat.webchat, name="webchat"),
    path("webchat/<id:channel>/widget.js", webchat.widget, name="widget"),
]
