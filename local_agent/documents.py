"""The owner's documents, searchable: SQLite's full-text index in memory, renewed when a file changes.

A passage is an answer only where it covers enough of what was asked: each word of the question weighs by how
rare it is here, and a word that no document knows weighs most of all. So a question about something else
finds nothing, rather than the least bad passage.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .passages import Passage, cut
from .wording import SLIGHT, alike, all_words, cues, words

SUFFIXES: Final = (".md", ".markdown", ".txt")
LARGEST: Final = 2**21  # bytes; a larger file is no document for customers

# Chosen by the counts that tests/local_agent/brain prints.
ENOUGH: Final = 0.43  # the share of the question's weight that a passage must cover
SYNONYM: Final = 0.7  # what another word for the same thing counts
SLIGHT_WEIGHT: Final = 0.5  # of a common word that no document has
HEADING: Final = 0.3  # what being in the heading adds: a section is about its heading
CUE, LIKENESS, RANK = 0.15, 0.1, 0.02  # these decide only between passages that cover enough

_SCHEMA: Final = """
CREATE VIRTUAL TABLE passage USING fts5 (heading, title, body, file UNINDEXED, tokenize = 'porter unicode61')
"""
_MATCH: Final = "SELECT rowid FROM passage WHERE passage MATCH ?"
_RANKED: Final = """
SELECT rowid, file, title, heading, body FROM passage WHERE passage MATCH ?
ORDER BY bm25(passage, 3.0, 2.0, 1.0) LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage, and how well it fits: the share of the question's weight it covers, more for its heading."""

    passage: Passage
    fits: float


@dataclass(frozen=True, slots=True)
class _Term:
    """One word of a question: what it weighs, and the passages that have it or another word for it."""

    weight: float
    rows: set[int]
    alike: set[int]
    headed: set[int]
    headed_alike: set[int]

    def fit(self, row: int) -> float:
        body = 1.0 if row in self.rows else SYNONYM if row in self.alike else 0.0
        heading = 1.0 if row in self.headed else SYNONYM if row in self.headed_alike else 0.0
        return self.weight * (body + HEADING * heading)


class Documents:
    """The .md and .txt files below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.execute(_SCHEMA)
        self._stamps: dict[str, tuple[int, int]] = {}
        self.refresh()

    def __len__(self) -> int:
        """The number of passages."""
        return int(self._db.execute("SELECT count(*) FROM passage").fetchone()[0])

    @property
    def files(self) -> int:
        return len(self._stamps)

    @property
    def titles(self) -> list[str]:
        rows = self._db.execute("SELECT title FROM passage GROUP BY file ORDER BY file").fetchall()
        return list(dict.fromkeys(row[0] for row in rows))

    def close(self) -> None:
        self._db.close()

    def refresh(self) -> None:
        """Reads what changed since last time; one look at the folder when nothing did."""
        stamps = dict(_stamps(self.folder))
        for file in self._stamps.keys() - stamps.keys():
            self._remove(file)
        for file, stamp in stamps.items():
            if self._stamps.get(file) != stamp:
                self._read(file)
        self._stamps = stamps

    def search(self, question: str, limit: int = 4) -> list[Found]:
        """The passages that cover enough of the question, best first."""
        self.refresh()
        terms = [self._term(word) for word in words(question)]
        total = sum(term.weight for term in terms)
        hinted = self._any(cues(question))
        found: list[tuple[float, Found]] = []
        for rank, (row, *passage) in enumerate(self._ranked(question) if total else []):
            one = Found(Passage(*passage), sum(term.fit(row) for term in terms) / total)
            bonus = CUE * (row in hinted) + LIKENESS * _likeness(question, one.passage.heading) - RANK * rank
            found.append((one.fits + bonus, one))
        found.sort(key=lambda pair: pair[0], reverse=True)
        return [one for _, one in found if one.fits >= ENOUGH][:limit]

    def _ranked(self, question: str) -> list[tuple[int, str, str, str, str]]:
        asked = words(question)
        terms = {*asked, *cues(question), *(other for word in asked for other in alike(word))}
        return self._db.execute(_RANKED, (_one_of(terms),)).fetchall()

    def _term(self, word: str) -> _Term:
        rows, others = self._any([word]), alike(word)
        known = len(rows) or word not in SLIGHT
        weight = math.log(1 + (len(self) + 1) / (len(rows) + 0.5)) if known else SLIGHT_WEIGHT
        headed = self._any([word], "heading")
        return _Term(weight, rows, self._any(others), headed, self._any(others, "heading"))

    def _any(self, terms: list[str], column: str = "") -> set[int]:
        """The passages with any of these words, in any of their forms."""
        if not terms:
            return set()
        query = f"{column} : ({_one_of(terms)})" if column else _one_of(terms)
        return {row[0] for row in self._db.execute(_MATCH, (query,))}

    def _read(self, file: str) -> None:
        self._remove(file)
        text = (self.folder / file).read_text("utf-8", errors="replace")
        self._db.executemany(
            "INSERT INTO passage (heading, title, body, file) VALUES (?, ?, ?, ?)",
            [(one.heading, one.title, one.text, one.file) for one in cut(file, text)],
        )

    def _remove(self, file: str) -> None:
        self._db.execute("DELETE FROM passage WHERE file = ?", (file,))


def _one_of(terms: set[str] | list[str]) -> str:
    # Words hold letters and digits only, so nothing in them is query syntax.
    return " OR ".join(f'"{term}"' for term in sorted(terms))


def _likeness(question: str, heading: str) -> float:
    """The share of the heading's words, small ones too, that the question has."""
    asked, named = set(all_words(question)), all_words(heading)
    return sum(word in asked for word in named) / len(named) if named else 0.0


def _stamps(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each document with what changes when it does: its time and size."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if not name.lower().endswith(SUFFIXES) or name.startswith(".") or not path.is_file():
                continue
            stat = path.stat()
            if stat.st_size <= LARGEST:
                yield path.relative_to(folder).as_posix(), (stat.st_mtime_ns, stat.st_size)
