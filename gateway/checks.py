"""System checks: what would surprise an operator later is said at start."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register(deploy=True)
def public_address(**_: Any) -> list[CheckMessage]:
    """Providers deliver webhooks to https addresses only."""
    if urlsplit(settings.STUDIO_URL).scheme == "https":
        return []
    return [
        Warning(
            "STUDIO_URL is not an https address",
            hint="Telegram and Meta call https only; set STUDIO_URL to the address your proxy serves",
            id="gateway.W001",
        )
    ]
