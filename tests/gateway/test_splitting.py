"""Long texts in parts: nothing is lost but white space at the seams, and every part fits."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.splitting import split, units

# Letters of one and of two UTF-16 units, white space of all kinds, and what seams are made of.
TEXTS = st.text(st.sampled_from("abcé漢😀𝒳 \n\t.\u00a0\u2003\u200b,"), max_size=400) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=300
)


def bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


@given(text=TEXTS, limit=st.integers(2, 80))
def test_the_laws_of_splitting(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(0 < units(part) <= limit for part in parts), "each fits, none is empty"
    assert all(part == part.strip() for part in parts)
    assert bare("".join(parts)) == bare(text), "they rejoin, up to white space"
    assert (parts == []) == (text.strip() == "")
    if 0 < units(text.strip()) <= limit:
        assert parts == [text.strip()], "what fits is left alone"


@given(text=TEXTS)
def test_units_are_those_of_javascript(text: str) -> None:
    assert units(text) == len(text.encode("utf-16-le")) // 2


@given(words=st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=60))
def test_no_word_is_cut_that_would_fit(words: list[str]) -> None:
    parts = split(" ".join(words), 20)
    assert " ".join(parts).split() == words


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two\n\nthree four", ["one two", "three four"]),  # paragraphs before words
        ("a line of\nsix words here", ["a line of", "six words here"]),  # then lines
        ("Some one. Some two three", ["Some one.", "Some two three"]),  # then sentences
        ("one two three four", ["one two three", "four"]),  # then words
        ("onetwothreefourfivesix", ["onetwothreefour", "fivesix"]),  # else wherever it must be
        (
            "a\n\nsomewhat longer text",
            ["a\n\nsomewhat", "longer text"],
        ),  # not for a seam at the very beginning
        ("😀" * 9, ["😀" * 7, "😀" * 2]),  # never through a letter of two units
    ],
)
def test_it_cuts_at_the_best_seam(text: str, parts: list[str]) -> None:
    assert split(text, 15) == parts


@pytest.mark.parametrize("text", ["x" * 1_000_000, "x " * 500_000, "\n" * 1_000_000 + "x", "😀" * 250_000])
def test_a_megabyte_takes_no_time_to_speak_of(text: str) -> None:
    """It is split by the one writer, for whom all others wait. (Seconds of CPU, with room for a slow machine.)"""
    began = time.thread_time()
    split(text, 4096)
    assert time.thread_time() - began < 0.5
