"""Log lines: one JSON object each, without what must not be read there.

Credentials are cut out wherever they stand: our own tokens, bot tokens in addresses, Authorization headers. It is done
to the finished line, so that exceptions, stacks and extra fields are no way around. Texts of messages are not logged at
all; a line names the message's id.
"""

from __future__ import annotations

import logging
import re

from pythonjsonlogger.json import JsonFormatter

HIDDEN = "[redacted]"
# None reaches past a quotation mark: in a JSON line the value ends there.
SECRETS = [
    re.compile(r"amx_[a-z]+_[0-9A-Za-z]{8,}"),
    re.compile(r"(?<=bot)\d+:[0-9A-Za-z_-]{20,}"),
    re.compile(r"\b\d{6,}:[0-9A-Za-z_-]{30,}"),
    re.compile(r"(?i)(?<=bearer )[^\s\"'\\]+"),
    re.compile(r"(?i)(?<=token=)[^\s&\"'\\]+"),
    re.compile(r"(?i)(?<=secret=)[^\s&\"'\\]+"),
    re.compile(r"(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)"),
]


def redacted(text: str) -> str:
    """`text` without anything that opens a door."""
    for secret in SECRETS:
        text = secret.sub(HIDDEN, text)
    return text


class TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class JsonLines(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
