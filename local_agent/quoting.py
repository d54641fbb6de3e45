"""Picks the sentences of a passage that answer a question. Quotes; never rewrites."""

from __future__ import annotations

import re
from typing import Final

from .wording import alike, all_words, cues, words

LONGEST: Final = 420  # characters; a passage up to this is quoted whole
_BREAK = re.compile(r"(?<=[.!?])[ ]+(?=[^a-z])|\n+")


def quote(question: str, text: str) -> str:
    """The passage, or of a longer one the sentence that fits best with its neighbours, in their order."""
    if len(text) <= LONGEST:
        return text
    sentences = [one.strip() for one in _BREAK.split(text) if one and one.strip()]
    scores = [_score(question, sentence) for sentence in sentences]
    first = last = scores.index(max(scores))
    length = len(sentences[first])
    while True:
        # Grow towards what comes after first: people explain after they state.
        if last + 1 < len(sentences) and length + len(sentences[last + 1]) <= LONGEST:
            last += 1
            length += len(sentences[last])
        elif first > 0 and length + len(sentences[first - 1]) <= LONGEST:
            first -= 1
            length += len(sentences[first])
        else:
            break
    return " ".join(sentences[first : last + 1])


def _score(question: str, sentence: str) -> float:
    told = {_stem(word) for word in all_words(sentence)}
    score = 0.0
    for word in words(question):
        if _stem(word) in told:
            score += 1.0
        elif any(_stem(other) in told for other in alike(word)):
            score += 0.7
    return score + 0.3 * any(_stem(word) in told for word in cues(question))


def _stem(word: str) -> str:
    """Enough to meet another form of the same word."""
    return word[:5]
