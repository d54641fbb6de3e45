"""`make up`: the real form on this machine: PostgreSQL, Redis, a Celery worker with beat, Studio and a local agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from deploy.services import down, up
from studio.env import SECRETS, kept_secret


class Command(BaseCommand):
    help = "As `run`, on PostgreSQL, Redis and Celery, which it starts and stops. Data stays in var/services."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.VAR) / "services"
        self.stdout.write("  PostgreSQL and Redis …")
        services = up(folder)
        environment = os.environ | services.environment | self._secrets()
        celery = self._celery(folder, environment)
        studio = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=settings.BASE_DIR,
            env=environment,
            start_new_session=True,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: studio.send_signal(signal.SIGTERM))
        try:
            sys.exit(studio.wait())
        finally:
            celery.terminate()
            celery.wait()
            down(folder)

    @staticmethod
    def _celery(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [
            "-m",
            "celery",
            "-A",
            "studio",
            "worker",
            "--beat",
            "--concurrency",
            "2",
            "--loglevel",
            "INFO",
        ]
        with (folder / "celery.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, *command, "--schedule", str(folder / "beat")],
                cwd=settings.BASE_DIR,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @staticmethod
    def _secrets() -> dict[str, str]:
        """Made here once, because beside SQLite Studio insists on being given them."""
        folder = Path(settings.VAR) / "secrets"
        return {name: kept_secret(folder / name.lower()) for name in SECRETS if name not in os.environ}
