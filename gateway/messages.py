"""The words that rooms and adapters share. Plain values: no Django, no database, no provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Webhook:
    """A provider's call at our door. Header names are lower case; `body` is the bytes that were signed."""

    method: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text that somebody wrote. `address` is where an answer goes; both ids are the provider's."""

    sender: str
    address: str
    text: str
    sender_name: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one webhook held. `external_id` is the provider's id of the event, by which repeats are known.

    No `inbound` and no `trouble`: an event we know and do not need. `trouble`: why we could not understand it.
    """

    external_id: str
    inbound: Inbound | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One part to send. `key` stays the same over every try, for providers that know repeats by a key."""

    address: str
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Limits:
    """`text`: most UTF-16 units of one part. `idempotent`: the provider knows a repeat by its key."""

    text: int
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a channel and what to do about it."""

    trouble: str
    next_step: str
