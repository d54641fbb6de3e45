"""Where there is no Redis there is no Celery worker: then the beat table is kept in this process."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from celery import current_app
from django.db import connections

log = logging.getLogger(__name__)


class Periodic:
    """Runs each task of CELERY_BEAT_SCHEDULE every so many seconds, in a thread; does nothing where Redis is set."""

    def __init__(self, settings: Any) -> None:
        self._schedule = {} if settings.REDIS_URL else settings.CELERY_BEAT_SCHEDULE
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._repeat(entry["task"], entry["schedule"]))
            for entry in self._schedule.values()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, name: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(run_here, name)


def run_here(name: str) -> None:
    """Runs the Celery task `name` in this thread; what it raises is logged, as a worker would."""
    try:
        current_app.tasks[name].apply(throw=True)
    except Exception:  # one task's mistake must not end the table
        log.exception("task %s failed", name)
    finally:
        connections.close_all()
