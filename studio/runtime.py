"""What runs beside the requests in every Studio process: the writer, the bus, the dispatcher, the sender."""

from __future__ import annotations

import os
import socket
from typing import Any

from django.conf import settings

from agent_link.bus import bus
from agent_link.dispatch import Dispatcher
from agent_link.door import TunnelDoor
from agent_link.group_commit import GroupCommit
from agent_link.refusals import Refusals
from gateway.directory import Directory
from gateway.outbox import Outbox
from gateway.registry import ADAPTERS, adapter
from gateway.webhooks import Webhooks
from studio.periodic import Periodic


class Runtime:
    """Made and started inside the event loop that serves; `stop` lets what is under way end."""

    def __init__(self) -> None:
        self.node = f"{socket.gethostname()[:40]}-{os.getpid()}"
        # Two writers: what arrives does not wait for what is handed out, nor the other way round.
        self.ingest = GroupCommit("ingest", settings.COMMIT_QUEUE)
        self.commit = GroupCommit("tunnel", settings.COMMIT_QUEUE)
        self.refusals = Refusals(settings.REFUSALS_PER_MINUTE)
        self.directory = Directory(self.ingest, bus)
        self.dispatcher = Dispatcher(self.commit, bus, settings, self.node)
        self.outbox = Outbox(self.commit, self.directory, bus, settings)
        self.periodic = Periodic(settings)
        self.webhooks: Any = Webhooks(
            self.ingest,
            self.directory,
            bus,
            self.refusals,
            max_body=settings.WEBHOOK_MAX_BODY,
            read_timeout=settings.WEBHOOK_READ_TIMEOUT,
        )
        self.tunnel: Any = TunnelDoor(self.dispatcher, self.refusals)

    async def start(self) -> None:
        for kind in ADAPTERS:
            adapter(kind)  # loaded now, not while the first webhook waits
        await bus.start(self.node)
        self.ingest.start()
        self.commit.start()
        self.dispatcher.start()
        self.outbox.start()
        self.periodic.start()

    async def stop(self) -> None:
        await self.periodic.stop()
        await self.outbox.stop()
        await self.dispatcher.stop()
        await self.ingest.stop()
        await self.commit.stop()
        await bus.stop()
