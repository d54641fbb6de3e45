"""How Studio is served: uvicorn, set as measured (docs/architecture.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from django.conf import settings

# The writers' threads return from the database many times a message; at Python's own 5 ms each return would wait that
# long for a busy event loop. Measured at 200 messages a second: half the latency for a tenth more CPU.
SWITCH_INTERVAL = 0.001


class Guest(uvicorn.Server):
    """A server that leaves signals to whoever runs it beside other things."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(port: int, host: str = "127.0.0.1", kind: type[uvicorn.Server] = uvicorn.Server) -> uvicorn.Server:
    """A server of `studio.asgi:application`. Pings are the tunnel protocol's; compression costs 30 KiB a socket."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    return kind(
        uvicorn.Config(
            "studio.asgi:application",
            host=host,
            port=port,
            lifespan="on",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            ws_max_size=2 * 2**20,
            backlog=4096,
            timeout_graceful_shutdown=3,
            proxy_headers=bool(settings.TRUSTED_PROXIES),
            forwarded_allow_ips=settings.TRUSTED_PROXIES or "127.0.0.1",
            server_header=False,
            log_config=None,
            access_log=False,
        )
    )
