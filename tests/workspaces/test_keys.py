"""Tokens: told from typing errors without asking anyone, and kept only as a keyed hash."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.keys import ALPHABET, CODE_ALPHABET, digest, mint, mint_code, well_formed


@pytest.mark.parametrize("kind", ["api", "agent"])
def test_a_token_says_what_it_opens(kind: str) -> None:
    token = mint(kind)
    assert re.fullmatch(rf"amx_{kind}_[0-9A-Za-z]{{36}}", token)
    assert well_formed(token, kind)
    assert not well_formed(token, {"api": "agent", "agent": "api"}[kind])


def test_every_single_mistyped_character_is_noticed() -> None:
    token = mint("agent")
    for at, right in enumerate(token):
        for wrong in ALPHABET + "_- ":
            if wrong != right:
                assert not well_formed(token[:at] + wrong + token[at + 1 :], "agent"), (at, wrong)


def test_every_pair_of_swapped_neighbours_is_noticed() -> None:
    token = mint("agent")
    for at in range(len(token) - 1):
        swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        assert swapped == token or not well_formed(swapped, "agent")


@given(st.text(max_size=60))
def test_nothing_else_is_a_token(text: str) -> None:
    assert not well_formed(text, "agent")
    assert not well_formed(f"amx_agent_{text}", "agent")


def test_a_missing_or_added_character_is_noticed() -> None:
    token = mint("api")
    assert not any(well_formed(token[:at] + token[at + 1 :], "api") for at in range(len(token)))
    assert not any(well_formed(token + more, "api") for more in string.printable)


def test_no_two_tokens_are_alike() -> None:
    assert len({mint("api") for _ in range(1_000)}) == 1_000


def test_a_code_can_be_read_aloud() -> None:
    for _ in range(200):
        first, second = mint_code().split("-")
        assert len(first) == len(second) == 4
        assert set(first + second) <= set(CODE_ALPHABET)
    assert not set("01ILOU") & set(CODE_ALPHABET)


def test_the_database_keeps_a_hash_that_needs_the_pepper(settings: Any) -> None:
    token = mint("api")
    kept = digest(token)
    assert re.fullmatch(r"[0-9a-f]{64}", kept)
    assert kept == digest(token)
    settings.KEY_PEPPER = bytes(32)
    assert digest(token) != kept
