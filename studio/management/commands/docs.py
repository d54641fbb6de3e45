"""Keeps pages and code in step.

    python manage.py docs            writes the settings table of README.md, and .env.example
    python manage.py docs --check    changes nothing; exits 1 and says what is stale

docs/errors.md is written by hand. Here it is only made sure that it explains each code there is, and no other.
"""

from __future__ import annotations

import base64
import os
import re
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser

from studio.env import DECLARED, SECRETS, Declared

ROOMS = ("agent_link", "gateway", "jobs", "local_agent", "studio", "workspaces")
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"
CODE = re.compile(r"AMX-\d{4}")
ENV_EXAMPLE = """\
# Every setting of Studio, with its meaning and its default. Copy this file to .env, for compose or for systemd's
# EnvironmentFile, and take the # away where you want another value. NAME_FILE may hold the path of a file with the
# value of NAME. Made by `manage.py docs`.
"""


class Command(BaseCommand):
    help = "Writes the generated parts of the documentation, or checks them."
    requires_system_checks: list[str] = []  # a page can be made where the rest is not in order yet

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit 1 where something is stale"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        root = Path(settings.BASE_DIR)
        wrong = list(self._stale(root, check)) + list(unexplained(root))
        if wrong:
            raise CommandError("\n".join(wrong))

    def _stale(self, root: Path, check: bool) -> Iterable[str]:
        declared = as_shipped(root)
        readme = root / "README.md"
        for path, text in (
            (readme, with_table(readme.read_text(), declared)),
            (root / ".env.example", env_example(declared)),
        ):
            if path.exists() and path.read_text() == text:
                continue
            if check:
                yield f"{path.name} is stale; run: python manage.py docs"
            else:
                path.write_text(text)
                self.stdout.write(f"{path.name} written")


def as_shipped(root: Path) -> list[Declared]:
    """The settings as a fresh clone declares them: read once more, in an empty environment."""
    given, known = dict(os.environ), len(DECLARED)
    key = base64.urlsafe_b64encode(bytes(32)).decode()
    try:
        os.environ.clear()
        os.environ.update(dict.fromkeys(SECRETS, key))  # or some would be made and kept
        runpy.run_path(str(root / "studio" / "settings.py"))
        return [
            Declared(one.name, one.default.replace(f"{root}/", ""), one.meaning) for one in DECLARED[known:]
        ]
    finally:
        del DECLARED[known:]
        os.environ.clear()
        os.environ.update(given)


def with_table(page: str, declared: list[Declared]) -> str:
    """`page` with the table between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CommandError(f"README.md lacks {BEGIN} or {END}")
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for one in declared:
        default = f"`{one.default}`" if one.default else "empty"
        rows.append(f"| `{one.name}` | {default} | {one.meaning.replace('|', chr(92) + '|')} |")
    return "\n".join([before + begin, *rows, end + after])


def env_example(declared: list[Declared]) -> str:
    return ENV_EXAMPLE + "".join(map(_commented, declared))


def _commented(one: Declared) -> str:
    if one.name in SECRETS:
        return f"\n# {one.meaning}; {one.default}\n#{one.name}=\n"
    return f"\n# {one.meaning}\n#{one.name}={one.default}\n"


def unexplained(root: Path) -> Iterable[str]:
    """Codes that docs/errors.md does not explain, and those it explains in vain."""
    page = root / "docs" / "errors.md"
    explained = set(re.findall(r"^\| `(AMX-\d{4})` \|", page.read_text(), re.MULTILINE))
    found = {code for path in sources(root) for code in CODE.findall(path.read_text())}
    yield from (f"docs/errors.md does not explain {code}" for code in sorted(found - explained))
    yield from (f"docs/errors.md explains {code}, which is nowhere" for code in sorted(explained - found))


def sources(root: Path) -> Iterable[Path]:
    for room in ROOMS:
        for ending in ("py", "js"):
            yield from (path for path in (root / room).rglob(f"*.{ending}") if "build" not in path.parts)
