from __future__ import annotations

from django.apps import AppConfig


class AgentLinkConfig(AppConfig):
    name = "agent_link"
