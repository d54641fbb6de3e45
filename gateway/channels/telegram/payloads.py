"""The fields of an Update that we read. https://core.telegram.org/bots/api#update (Bot API 10.1)

Unknown fields are skipped; a known field of another type is a payload we do not understand.
"""

from __future__ import annotations

import msgspec


class User(msgspec.Struct):
    id: int
    first_name: str
    last_name: str = ""


class Chat(msgspec.Struct):
    id: int
    type: str


class Message(msgspec.Struct):
    message_id: int
    chat: Chat
    # Empty for messages that a channel or an anonymous administrator sent.
    sender: User | None = msgspec.field(name="from", default=None)
    text: str | None = None


class Update(msgspec.Struct):
    update_id: int
    message: Message | None = None


class AnyUpdate(msgspec.Struct):
    """The one field that every update has, to know repeats even of what we cannot read."""

    update_id: int
