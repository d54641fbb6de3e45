"""Pure: a long text → parts within a provider's limit."""

from __future__ import annotations

# Where to cut, best first.
SEAMS = ("\n\n", "\n", ". ", " ")


def units(text: str) -> int:
    """Length as Telegram and JavaScript count it: UTF-16 code units."""
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)


def split(text: str, limit: int) -> list[str]:
    """Parts of at most `limit` UTF-16 units that together say `text`; cut between paragraphs, lines, sentences, words.

    Joined again they differ from `text` only in white space at the seams. `limit` is 2 or more: a letter may need two.
    """
    parts = []
    rest = text.strip()
    while rest:
        part = _head(rest, limit)
        parts.append(part.rstrip())
        rest = rest[len(part) :].lstrip()
    return parts


def _head(text: str, limit: int) -> str:
    head = _prefix(text, limit)
    if len(head) == len(text):
        return head
    for seam in SEAMS:
        cut = head.rfind(seam)
        if cut > len(head) // 2:
            return head[: cut + len(seam)]
    return head


def _prefix(text: str, limit: int) -> str:
    if max(text[:limit]) <= "\uffff":
        return text[:limit]
    taken = 0
    for index, letter in enumerate(text):
        taken += 2 if ord(letter) > 0xFFFF else 1
        if taken > limit:
            return text[:index]
    return text
