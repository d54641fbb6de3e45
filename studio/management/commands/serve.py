"""Serves Studio and nothing else: what a container or a service manager runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from studio.serving import server


class Command(BaseCommand):
    help = "Serves Studio on PORT until it gets SIGTERM. Migrate first: manage.py migrate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        server(settings.PORT, options["host"]).run()
