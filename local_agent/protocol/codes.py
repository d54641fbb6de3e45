"""Why a tunnel was closed, and whether to dial again.

4000–4499 say "come back", 4500–4999 "do not": the range decides, so an agent obeys codes it does not know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class CloseCode(IntEnum):
    """WebSocket close codes that the tunnel gives a meaning to."""

    NORMAL = 1000
    GOING_AWAY = 1001
    ABNORMAL = 1006  # never said: the connection broke without a word
    TOO_LARGE = 1009
    DRAIN = 4001  # Studio's node stops; the agent should have a second connection by now
    REPLACED = 4002  # a newer connection of the same agent took over
    SLOW = 4008  # the peer does not read what we send
    RATE_LIMITED = 4029
    PROTOCOL = 4400
    MUST_UNDERSTAND = 4406  # a frame marked "!" that we do not know
    HEARTBEAT = 4408
    REVOKED = 4501
    DISABLED = 4503
    VERSION = 4506


def reconnects(code: int) -> bool:
    """Whether an agent closed with `code` should dial again."""
    return not 4500 <= code <= 4999


class Close(NamedTuple):
    """How a connection ends: goes into the WebSocket close frame as it is."""

    code: int
    reason: str


class ProtocolError(Exception):
    """The peer sent what the protocol does not allow. `code` closes the connection."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class IllegalFrame(Exception):
    """We tried to send what the protocol does not allow now: an error in our own program."""
