"""Whether the proxy that the environment names is meant for an address: never for this computer itself."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def may_proxy(url: str) -> bool:
    """For httpx's `trust_env`, and websockets' `proxy`."""
    return not is_loopback(url)
