"""What every channel adapter must do, as tables of cases. A room's test has its Room, its cases, and a line per test.

    Receives("a text", "text", Inbound("42", "42", "hi", "Ada"), "7")
    Receives("an edit, which we ignore", "edited", event="8")
    Receives("a text of a new kind", "odd", event="9", trouble="text")
    Sends("a text", "hi", request={"chat_id": 42, "text": "hi"})
    Sends("too fast", "hi", given=lambda api: api.throttle(1, 3), raises=Throttled, retry_after=3)

Cases that hold for any adapter are added: whatever is cut off or bent in a body, and whatever is wrong with its
signature, ends in our own words; and no secret is in any of them, nor in a log line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.adapter import ChannelAdapter
from gateway.errors import BadPayload, BadSignature, SendError
from gateway.messages import Inbound, Outbound, Parsed, Webhook

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Room:
    """An adapter with a configuration. `sign`: the headers with which its provider sends these bytes."""

    adapter: ChannelAdapter[Any]
    config: Any
    sign: Callable[[bytes], Mapping[str, str]]
    secrets: Sequence[str]

    def body(self, name: str) -> bytes:
        return (FIXTURES / self.adapter.kind / f"{name}.json").read_bytes()

    def take(self, headers: Mapping[str, str], body: bytes) -> Parsed:
        """As at the door."""
        webhook = Webhook("POST", headers, body)
        self.adapter.admit(self.config, headers)
        self.adapter.verify(self.config, webhook)
        return self.adapter.parse(self.config, webhook)

    def holds_no_secret(self, *texts: object) -> None:
        for text in texts:
            assert not [secret for secret in self.secrets if secret in str(text)], "a secret is in it"


@dataclass(frozen=True)
class Receives:
    """`fixture` names a file of tests/fixtures/<kind>. `trouble`: a word of why it is not understood."""

    name: str
    fixture: str
    said: Inbound | None = None
    event: str = ""
    trouble: str = ""

    def __str__(self) -> str:
        return self.name

    def check(self, room: Room) -> None:
        body = room.body(self.fixture)
        parsed = room.take(room.sign(body), body)
        assert (parsed.external_id, parsed.inbound) == (self.event, self.said)
        assert bool(parsed.trouble) == bool(self.trouble)
        assert self.trouble in parsed.trouble
        assert room.take(room.sign(body), body) == parsed, "reading it again gives the same"


@dataclass(frozen=True)
class Sends:
    """`given`: what is said to the provider's stand-in beforehand. `request`: what must have arrived there."""

    name: str
    text: str
    request: Mapping[str, Any] | None = None
    given: Callable[[Any], object] = field(default=lambda provider: None)
    raises: type[SendError] | None = None
    retry_after: float | None = None
    address: str = "42"

    def __str__(self) -> str:
        return self.name

    async def check(self, room: Room, provider: Any, requests: Callable[[], list[Any]], log: Any) -> None:
        self.given(provider)
        part = Outbound(self.address, self.text, "0" * 32)
        if self.raises is None:
            assert await room.adapter.send(room.config, part)
        else:
            with pytest.raises(SendError) as caught:
                await room.adapter.send(room.config, part)
            assert type(caught.value) is self.raises
            assert caught.value.retry_after == self.retry_after
            room.holds_no_secret(*chain(caught.value))
        room.holds_no_secret(log.text)
        if self.request is not None:
            assert requests()[-1] == self.request


def chain(error: BaseException | None) -> Iterator[object]:
    """All that a log would show of an error: those it came from too, unless they are suppressed."""
    while error is not None:
        yield from (error, repr(error), getattr(error, "detail", ""))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def refuses_bad_signatures(room: Room, fixture: str) -> None:
    """Stripped, empty, cut, prolonged, exchanged: each header alone, and all of them."""
    body = room.body(fixture)
    good = dict(room.sign(body))
    assert good, "a provider that proves nothing cannot be let in"
    bent: list[dict[str, str]] = [{}]
    for name, value in good.items():
        rest = {other: given for other, given in good.items() if other != name}
        bent += [
            rest,
            *({**rest, name: bad} for bad in ("", " ", value[:-1], value + "x", value.swapcase(), "é")),
        ]
    for headers in bent:
        with pytest.raises(BadSignature) as caught:
            room.take(headers, body)
        room.holds_no_secret(*chain(caught.value))


def survives_bent_bodies(room: Room, fixture: str) -> None:
    """Cut off anywhere, or with any value of another kind: refused, or not understood, but never an accident."""
    body = room.body(fixture)
    step = max(1, len(body) // 50)
    for bent in [
        *(body[:end] for end in range(0, len(body), step)),
        *map(encoded, mutants(json.loads(body))),
    ]:
        try:
            parsed = room.take(room.sign(bent), bent)
        except BadPayload as error:
            room.holds_no_secret(*chain(error))
        else:
            room.holds_no_secret(parsed.trouble)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def mutants(value: Any) -> Iterator[Any]:
    """`value` with each of its parts once replaced by something of another kind."""
    yield from (None, 0, "", [], {}, True, 1e300, -(10**30), "\x00")
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        for mutant in mutants(inner):
            copy = value.copy()
            copy[key] = mutant
            yield copy
