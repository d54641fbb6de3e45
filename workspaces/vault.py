"""Credentials at rest: AES-256-GCM, each ciphertext bound to the place it belongs to.

A sealed value copied into another row, column or workspace does not open: its address is authenticated with it.
Layout: one byte of version, twelve of nonce, then ciphertext and tag.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = b"\x01"


class SealBroken(Exception):
    """A sealed value was changed, moved, or sealed under another key."""

    code = "AMX-1201"


def seal(plain: bytes, *, place: str) -> bytes:
    """Encrypts `plain` for `place`, which reads `workspace|table|column|row`."""
    nonce = secrets.token_bytes(12)
    return VERSION + nonce + AESGCM(settings.VAULT_KEY).encrypt(nonce, plain, place.encode())


def unseal(sealed: bytes, *, place: str) -> bytes:
    """What was sealed for `place`. Raises SealBroken; the message never holds any of the content."""
    if sealed[:1] != VERSION:
        raise SealBroken(f"unknown seal version in {place}")
    try:
        return AESGCM(settings.VAULT_KEY).decrypt(sealed[1:13], sealed[13:], place.encode())
    except (InvalidTag, ValueError):  # ValueError: cut off before it began
        raise SealBroken(f"the seal of {place} does not open; was VAULT_KEY changed?") from None
