"""Tokens that open doors: how they are made, told apart and kept.

`amx_<type>_<30 characters><6 characters of checksum>`: the prefix and the CRC32 let secret scanners find a leaked key
without asking us; the entropy (178 bits) lets a keyed hash stand for it in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib

from django.conf import settings

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Without I, L, O, U, 0 and 1: a code is read aloud and typed by hand.
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
SHOWN = 12


def mint(kind: str) -> str:
    """A new token of `kind` (`api`, `agent`), to be shown once."""
    body = f"amx_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(30))
    return body + _checksum(body)


def well_formed(token: str, kind: str) -> bool:
    """Whether `token` could be one of ours; refuses typing errors without asking the database."""
    body, check = token[:-6], token[-6:]
    return token.startswith(f"amx_{kind}_") and hmac.compare_digest(_checksum(body).encode(), check.encode())


def mint_code() -> str:
    """A one-time code for people: eight characters in two groups, 39 bits, for use within minutes."""
    letters = [secrets.choice(CODE_ALPHABET) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def digest(token: str) -> str:
    """What the database keeps instead of `token`: HMAC-SHA256 under the pepper, in hexadecimal."""
    return hmac.new(settings.KEY_PEPPER, token.encode(), hashlib.sha256).hexdigest()


def _checksum(body: str) -> str:
    number, letters = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, len(ALPHABET))
        letters = ALPHABET[rest] + letters
    return letters
