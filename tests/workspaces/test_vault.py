"""Credentials at rest open in one place only, and only unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.vault import SealBroken, seal, unseal

PLACE = "workspace1|gateway_channel|sealed_config|row1"
ELSEWHERE = {
    "another row": "workspace1|gateway_channel|sealed_config|row2",
    "another column": "workspace1|gateway_channel|state_detail|row1",
    "another table": "workspace1|gateway_contact|sealed_config|row1",
    "another workspace": "workspace2|gateway_channel|sealed_config|row1",
    "nowhere": "",
}


@given(plain=st.binary(max_size=200), place=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_what_is_sealed_opens_in_its_place(plain: bytes, place: str) -> None:
    assert unseal(seal(plain, place=place), place=place) == plain


def test_the_same_twice_looks_different() -> None:
    assert seal(b"token", place=PLACE) != seal(b"token", place=PLACE)


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_copy_does_not_open_elsewhere(place: str) -> None:
    with pytest.raises(SealBroken):
        unseal(seal(b"token", place=PLACE), place=place)


@given(at=st.integers(0, 33), bit=st.integers(0, 7))
def test_a_single_changed_bit_is_noticed(at: int, bit: int) -> None:
    """In the version, the nonce, the ciphertext or the tag."""
    sealed = bytearray(seal(b"token", place=PLACE))
    assert len(sealed) == 34
    sealed[at] ^= 1 << bit
    with pytest.raises(SealBroken):
        unseal(bytes(sealed), place=PLACE)


@pytest.mark.parametrize("length", range(34))
def test_a_piece_of_it_does_not_open(length: int) -> None:
    with pytest.raises(SealBroken):
        unseal(seal(b"token", place=PLACE)[:length], place=PLACE)


def test_another_key_does_not_open_it_and_the_error_tells_nothing(settings: object) -> None:
    sealed = seal(b"canary-of-a-token", place=PLACE)
    settings.VAULT_KEY = bytes(32)  # type: ignore[attr-defined]
    with pytest.raises(SealBroken, match="was VAULT_KEY changed") as broken:
        unseal(sealed, place=PLACE)
    assert "canary" not in str(broken.value)
    assert broken.value.__cause__ is None
