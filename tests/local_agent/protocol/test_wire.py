"""Frames survive the wire; what is not a frame is refused with the right code, and never in another way."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_agent import protocol as p

from .samples import EXAMPLES, frames, msg


def test_every_type_has_an_example() -> None:
    assert set(EXAMPLES) == set(p.FRAME_TYPES.values()) == set(get_args(p.Frame)) - {p.Ignored}


@given(frames)
def test_decode_undoes_encode(frame: p.Frame) -> None:
    assert p.decode(p.encode(frame)) == frame
    assert p.decode(p.encode(frame).encode()) == frame


def test_a_payload_that_is_json_already_goes_out_as_it_stands() -> None:
    text = p.encode(msg(payload=p.encoded(b'{"text":"gr\xc3\xbc\xc3\x9fe"}')))
    assert json.loads(text)["payload"] == {"text": "grüße"}


def test_fields_we_do_not_know_are_ignored() -> None:
    assert p.decode('{"t":"ping","n":1,"colour":"blue"}') == p.Ping(n=1)


def test_a_type_we_do_not_know_is_ignored_but_counted() -> None:
    assert p.decode('{"t":"weather","n":7,"sun":true}') == p.Ignored(t="weather", n=7)


REFUSED = [
    ("must be understood", '{"t":"!weather","n":7}', 4406),
    ("a missing field", '{"t":"recv","n":1,"d":"a"}', 4400),
    ("a wrong type", '{"t":"recv","n":1,"d":"a","lease":"1"}', 4400),
    ("a negative lease", '{"t":"recv","n":1,"d":"a","lease":-1}', 4400),
    ("a lease no database holds", '{"t":"recv","n":1,"d":"a","lease":9223372036854775808}', 4400),
    ("an id with NUL", '{"t":"recv","n":1,"d":"a\\u0000","lease":1}', 4400),
    ("an id with a line end", '{"t":"recv","n":1,"d":"a\\n","lease":1}', 4400),
    ("an empty id", '{"t":"recv","n":1,"d":"","lease":1}', 4400),
    ("an unknown status", '{"t":"done","n":1,"d":"a","lease":1,"status":"maybe"}', 4400),
    ("a payload that is no object", '{"t":"reply","n":1,"payload":[]}', 4400),
    ("no type", '{"n":1}', 4400),
    ("an array", "[1]", 4400),
    ("half a frame", '{"t":"ping"', 4400),
    ("nothing", "", 4400),
    ("bytes that are no text", b'{"t":"ping","x":"\xff"}', 4400),
    ("half a character", '{"t":"ping","x":"\ud800"}', 4400),
    ("a number of 5,000 digits", '{"t":"recv","n":1,"d":"a","lease":' + "9" * 5000 + "}", 4400),
    ("a bomb of brackets", '{"t":"msg","payload":' + '{"a":' * 50_000, 4400),
    ("an oversize frame", '{"t":"ping","x":"' + "a" * p.MAX_FRAME + '"}', 1009),
    ("an oversize frame, counted in bytes", '{"t":"ping","x":"' + "€" * (p.MAX_FRAME // 3) + '"}', 1009),
]


@pytest.mark.parametrize(("text", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(text: str | bytes, code: int) -> None:
    with pytest.raises(p.ProtocolError) as caught:
        p.decode(text)
    assert caught.value.code == code


@given(st.text() | st.binary())
def test_noise_raises_only_protocol_errors(noise: str | bytes) -> None:
    with suppress(p.ProtocolError):
        p.decode(noise)
