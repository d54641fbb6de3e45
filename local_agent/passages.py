"""Cuts a Markdown or text file into passages: what stands under one heading, in quotable pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

LONGEST: Final = 700  # characters; longer sections are cut between paragraphs

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^[ ]*```.*\n?", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_WRAPPED = re.compile(r"(?<=[^\n])\n(?=[^\n])(?!\s*([-*+•|]|\d+[.)])\s)")
_MARKS = re.compile(r"(\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w))")


@dataclass(frozen=True, slots=True)
class Passage:
    """A quotable piece of a document. `file` is relative to the folder."""

    file: str
    title: str
    heading: str
    text: str

    @property
    def source(self) -> str:
        """Where to look it up: `shipping.md › Delivery times`."""
        return f"{self.file} › {self.heading}" if self.heading else self.file


def cut(file: str, text: str) -> Iterator[Passage]:
    """The passages of one file, in its order."""
    text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    title = ""
    for level, heading, body in _sections(text):
        if level == 1 and not title:
            title = heading
        name = title or PurePath(file).stem.replace("-", " ").replace("_", " ")
        for piece in _pieces(body):
            yield Passage(file, name, "" if heading == title else heading, plain(piece))


def plain(text: str) -> str:
    """Without Markdown's marks and its line breaks inside a paragraph; links keep their words."""
    return _MARKS.sub("", _LINK.sub(r"\1", _WRAPPED.sub(" ", _FENCE.sub("", text)))).strip()


def _sections(text: str) -> Iterator[tuple[int, str, str]]:
    """(level, heading, body); level 0 for what stands before the first heading."""
    level, heading, lines, fenced = 0, "", list[str](), False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        found = None if fenced else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        yield level, heading, "\n".join(lines)
        level, heading, lines = len(found[1]), plain(found[2]), []
    yield level, heading, "\n".join(lines)


def _pieces(body: str) -> Iterator[str]:
    piece = ""
    for paragraph in re.split(r"\n\s*\n", body):
        if piece and len(piece) + len(paragraph) > LONGEST:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph.strip()}" if piece else paragraph.strip()
    if piece:
        yield piece
