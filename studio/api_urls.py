"""/api: the operations of every room, what describes them, and an answer to all other addresses."""

from __future__ import annotations

from django.urls import include, path, re_path

from studio import api_docs
from workspaces.api import NotHere

urlpatterns = [
    path("docs", api_docs.reader, name="api_docs"),
    path("v1/schema", api_docs.Schema.as_view(), name="api_schema"),
    path("v1/", include("agent_link.api_urls")),
    path("v1/", include("gateway.api_urls")),
    re_path(r"^v1(?:/[\s\S]*)?$", NotHere.as_view()),
]
