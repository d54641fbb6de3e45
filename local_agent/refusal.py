"""Tells "come back later" from "do not come back", in what Studio says when it does not let us in."""

from __future__ import annotations

import json
from typing import Final

from websockets.exceptions import InvalidStatus

from .errors import Refused
from .protocol import Close, CloseCode, reconnects

LONGEST_S: Final = 300.0
_PAIR: Final = "Ask your Studio for a new pairing code, then: aimatrix pair CODE --studio URL"
_CLOSES: Final[dict[int, tuple[str, str, str]]] = {
    CloseCode.REVOKED: ("AMX-A50", "Studio has withdrawn this agent's token.", _PAIR),
    CloseCode.DISABLED: ("AMX-A51", "This agent is switched off in Studio.", "Switch it on under Agents."),
    CloseCode.VERSION: (
        "AMX-A52",
        "This Studio speaks another version of the tunnel.",
        "Update both: pip install --upgrade aimatrix",
    ),
}


def refused(error: InvalidStatus) -> float:
    """Seconds Studio asks us to wait. Raises Refused where waiting does not help."""
    status = error.response.status_code
    if status in (401, 403):
        what, next_step = _problem(error.response.body)
        raise Refused("AMX-A50", f"Studio does not accept this agent's token: {what or status}.", next_step)
    if status == 426:
        raise Refused(*_CLOSES[CloseCode.VERSION])
    try:
        return min(max(0.0, float(error.response.headers.get("Retry-After", "0"))), LONGEST_S)
    except ValueError:  # a date, which our own Studio does not send
        return 0.0


def closed_for_good(close: Close) -> None:
    """Raises Refused where the close code says not to dial again."""
    if not reconnects(close.code):
        unknown = ("AMX-A53", f"Studio ended the connection for good ({close.code}).", close.reason or _PAIR)
        raise Refused(*_CLOSES.get(close.code, unknown))


def _problem(body: bytes | bytearray | None) -> tuple[str, str]:
    """Title and next step of a problem document (RFC 9457), where there is one."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("title", "")), str(problem.get("next_step") or _PAIR)
    except (ValueError, AttributeError):
        return "", _PAIR
