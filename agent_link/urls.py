from __future__ import annotations

from django.urls import path

import workspaces.api  # noqa: F401  (registers <id:…>)
from agent_link import views

urlpatterns = [
    path("agents", views.agents, name="agents"),
    path("agents/pair", views.pair, name="pair"),
    path("agents/pair/<int:code>", views.pairing, name="pairing"),
    path("agents/<id:agent>/revoke", views.revoke_agent, name="revoke_agent"),
]
