"""Frames to text and back. Nothing a peer sends raises anything but ProtocolError here."""

from __future__ import annotations

from typing import cast

import msgspec

from .codes import CloseCode, ProtocolError
from .frames import FRAME_TYPES, MAX_FRAME, Frame, Ignored, Known, Payload

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)
_head: msgspec.json.Decoder[Ignored] = msgspec.json.Decoder(Ignored)


def encoded(payload: str | bytes) -> Payload:
    """A payload that is JSON already; it goes on the wire as it stands."""
    return cast(Payload, msgspec.Raw(payload))


def encode(frame: Frame) -> str:
    """The text of one WebSocket message."""
    return _encoder.encode(frame).decode()


def decode(text: str | bytes, max_frame: int = MAX_FRAME) -> Frame:
    """Raises ProtocolError with the close code. `max_frame` is in bytes of UTF-8."""
    try:
        if len(text) * 4 > max_frame and _size(text) > max_frame:
            raise ProtocolError(CloseCode.TOO_LARGE, f"frame larger than {max_frame} bytes")
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        return _ignore(text, str(error))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(CloseCode.PROTOCOL, f"not a frame: {error}") from error


def _size(text: str | bytes) -> int:
    return len(text.encode() if isinstance(text, str) else text)


def _ignore(text: str | bytes, reason: str) -> Ignored:
    try:
        head = _head.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ProtocolError(CloseCode.PROTOCOL, reason) from None
    if head.t in FRAME_TYPES:
        raise ProtocolError(CloseCode.PROTOCOL, f"{head.t}: {reason}")
    if head.t.startswith("!"):
        raise ProtocolError(CloseCode.MUST_UNDERSTAND, f"{head.t[:40]} is not understood")
    return head
