"""Makes the three secrets of an installation as files, for `NAME_FILE` settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.env import SECRETS, kept_secret


class Command(BaseCommand):
    help = "Writes secret_key, vault_key and key_pepper into FOLDER (mode 600); what is there already stays."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        for name in SECRETS:
            kept_secret(options["folder"] / name.lower())
            self.stdout.write(f"{options['folder'] / name.lower()}")
