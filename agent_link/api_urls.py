"""Below /api/v1."""

from __future__ import annotations

from django.urls import path

from agent_link import api

urlpatterns = [
    path("agents", api.Agents.as_view()),
    path("agents/pair", api.Pair.as_view()),
    path("agents/<id:agent>", api.AgentDetail.as_view()),
]
