"""Log lines: one JSON object each, without what must not be read there.

Credentials are cut out wherever they stand: our own tokens, bot tokens in addresses, Authorization headers. Texts of
messages are not logged at all; a line names the message's id.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from pythonjsonlogger.json import JsonFormatter

HIDDEN = "[redacted]"
SECRETS = [
    re.compile(r"amx_[a-z]+_[0-9A-Za-z]{8,}"),
    re.compile(r"(?<=bot)\d+:[0-9A-Za-z_-]{20,}"),
    re.compile(r"\b\d{6,}:[0-9A-Za-z_-]{30,}"),
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?i)(?<=token=)[^\s&\"']+"),
    re.compile(r"(?i)(?<=secret=)[^\s&\"']+"),
    re.compile(r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"),
]


def redacted(text: str) -> str:
    """`text` without anything that opens a door."""
    for secret in SECRETS:
        text = secret.sub(HIDDEN, text)
    return text


class Redact(logging.Filter):
    """On the handler, so that every record passes, whoever wrote it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redacted(record.exc_text)
        return True


class JsonLines(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )

    def formatException(self, ei: Any) -> str:
        return redacted(str(super().formatException(ei)))
