"""What a server runs: `uvicorn studio.asgi:application`. Doors that must be fast stand before Django.

/webhooks/…            gateway.webhooks        /tunnel…    agent_link.door
/webchat/… (socket)    gateway.sockets         /healthz    here
everything else        Django
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")

from django.core.asgi import get_asgi_application

django = get_asgi_application()

# Only now is the app registry ready for what follows.
from channels.routing import URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path  # noqa: E402

from agent_link.bus import bus  # noqa: E402
from agent_link.http import answer, capped  # noqa: E402
from gateway.sockets import VisitorSocket  # noqa: E402
from studio.runtime import Runtime  # noqa: E402

MOST = 5 * 2**20  # bytes of a body that Django may be given


class Studio:
    """The outermost ASGI application. It holds the process's Runtime from startup to shutdown."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        self._visitors: Any = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self.runtime is not None, "the server must run the ASGI lifespan"
        path = scope["path"]
        if path.startswith("/webhooks/") and scope["type"] == "http":
            await self.runtime.webhooks(scope, receive, send)
        elif path == "/tunnel" or path.startswith("/tunnel/"):
            await self.runtime.tunnel(scope, receive, send)
        elif path == "/healthz" and scope["type"] == "http":
            await answer(send, 200, {"ok": True})
        elif scope["type"] == "websocket":
            await self._visitors(scope, receive, send)
        else:
            await capped(django, scope, receive, send, MOST)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            self.runtime = Runtime()
            visitors = VisitorSocket.as_asgi(
                commit=self.runtime.ingest,
                directory=self.runtime.directory,
                bus=bus,
                sweep_s=settings.SWEEP_SECONDS,
            )
            self._visitors = URLRouter([path("webchat/<str:channel>/socket", visitors)])
            await self.runtime.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.runtime.stop()
        await send({"type": "lifespan.shutdown.complete"})


application = Studio()
