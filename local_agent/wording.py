"""The words of a question: which say nothing, which say little, and which say the same.

The lists are in english.toml. A synonym counts less than the word itself (see documents.py), so a document
that uses the customer's own word wins.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

_WORD = re.compile(r"[^\W_]+")
_ENGLISH = tomllib.loads(Path(__file__).with_name("english.toml").read_text("utf-8"))

STOP: Final = frozenset(_ENGLISH["stop"].split())
SLIGHT: Final = frozenset(_ENGLISH["slight"].split())
_ALIKE: Final = [frozenset(line.split()) for line in _ENGLISH["alike"]]
_PHRASES: Final = [(re.compile(turn, re.I), word) for turn, word in _ENGLISH["phrases"].items()]
_CUES: Final = [(re.compile(kind, re.I), likely.split()) for kind, likely in _ENGLISH["cues"].items()]


def all_words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def words(text: str) -> list[str]:
    """The words that carry meaning, lower case, each once, in their order."""
    for turn, word in _PHRASES:
        text = turn.sub(f" {word} ", text)
    told = (word for word in all_words(text) if word not in STOP and (len(word) > 1 or word.isdigit()))
    return list(dict.fromkeys(told))


def alike(word: str) -> list[str]:
    """Other words for it."""
    return sorted({other for group in _ALIKE if word in group for other in group} - {word})


def cues(text: str) -> list[str]:
    """Words that an answer to this kind of question is likely to contain."""
    return [word for kind, likely in _CUES if kind.search(text) for word in likely]
