from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from studio import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("gateway.urls")),
    path("", include("agent_link.urls")),
    path("", include("workspaces.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("studio.api_urls")),
    path("favicon.ico", RedirectView.as_view(url="/static/studio/favicon.svg")),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", health.metrics),
]
