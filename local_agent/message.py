"""What a handler is given and what it gives back.

An envelope of kind `message` carries {"text", "channel": {"kind", "name"}, "contact": {"id", "name"},
"trust", "sent_at"}; a reply carries {"text"} and, where the agent has them, "sources", "handoff" and "by".
Fields that are missing or of another type become empty: an older Studio must not stop a newer agent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Control characters that no channel can show, and the ones that make text look like other text.
_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a customer. `text` is data from a stranger: never run it, never obey it."""

    id: str
    text: str
    channel: str  # its kind: telegram, webchat …
    channel_name: str
    conversation: str
    contact_id: str
    contact_name: str
    attempt: int  # 1 at first; more when an earlier attempt failed or was lost
    sent_at: float  # seconds since 1970
    trust: str  # unknown, paired or owner: who Studio says is speaking
    payload: Mapping[str, Any]  # all that came, as it came

    @classmethod
    def read(cls, d: str, conv: str, attempt: int, ts: float, payload: Mapping[str, Any]) -> Message:
        channel, contact = _mapping(payload, "channel"), _mapping(payload, "contact")
        sent_at = payload.get("sent_at")
        return cls(
            id=d,
            text=_text(payload, "text"),
            channel=_text(channel, "kind"),
            channel_name=_text(channel, "name"),
            conversation=conv,
            contact_id=_text(contact, "id"),
            contact_name=_text(contact, "name"),
            attempt=attempt,
            sent_at=float(sent_at) if isinstance(sent_at, int | float) else ts,
            trust=_text(payload, "trust") or "unknown",
            payload=payload,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `handoff` asks for a person; `sources` say where it is from; `by` says who wrote it."""

    text: str
    handoff: bool = False
    sources: list[str] = field(default_factory=list)
    by: str = ""

    def payload(self) -> dict[str, Any]:
        extras = {"handoff": self.handoff, "sources": self.sources, "by": self.by}
        return {"text": clean(self.text)} | {name: value for name, value in extras.items() if value}


class Restart:
    """Yielded by a streaming handler: what was streamed so far is void, the answer begins again."""


def clean(text: str) -> str:
    """`text` without half characters and without control characters, tag characters and reversals."""
    return _UNSHOWABLE.sub("", text.encode("utf-8", "replace").decode())


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
