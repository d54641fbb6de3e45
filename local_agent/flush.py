"""The second way home: replies go by HTTP while the socket is away."""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from .protocol import frames
from .proxies import may_proxy

BATCH: Final = 50
_FIELDS: Final = ("r", "d", "lease", "conv", "part", "final", "payload")


class Verdict(msgspec.Struct):
    """Studio's word on reply `r`."""

    r: str
    status: frames.Outcome


class _Answer(msgspec.Struct):
    results: list[Verdict]


async def flush(studio: str, token: str, replies: list[frames.Reply]) -> list[Verdict]:
    """Sends at most 50 of the replies. Raises httpx.HTTPError where Studio could not be asked."""
    body = {"replies": [{name: getattr(reply, name) for name in _FIELDS} for reply in replies[:BATCH]]}
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=15.0, trust_env=may_proxy(studio)) as client:
        response = await client.post(f"{studio}/tunnel/replies", json=body, headers=headers)
    response.raise_for_status()
    try:
        return msgspec.json.decode(response.content, type=_Answer).results
    except msgspec.DecodeError as error:
        raise httpx.DecodingError(f"not the answer of a Studio: {error}") from error
