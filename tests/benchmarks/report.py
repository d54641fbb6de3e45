"""What a measurement says, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """`ours` and `yardstick` in `unit`; it holds when ours / yardstick is at most `aim`."""

    name: str
    ours: float
    yardstick: float
    aim: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.ours / self.yardstick

    @property
    def holds(self) -> bool:
        return self.ratio <= self.aim


def table(results: Sequence[Measured]) -> str:
    lines = [f"{'name':<22}{'ours':>12}{'yardstick':>12}{'ratio':>8}{'aim':>8}  holds  unit"]
    for r in results:
        holds = "yes" if r.holds else "NO"
        lines.append(
            f"{r.name:<22}{r.ours:>12.1f}{r.yardstick:>12.1f}{r.ratio:>8.2f}{r.aim:>8.2f}  {holds:<5}  {r.unit}"
        )
    return "\n".join(lines)


def write(results: Sequence[Measured], path: Path) -> None:
    """A list of {name, ours, yardstick, ratio, aim, holds}; results of earlier runs of other names stay."""
    path.parent.mkdir(exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else []
    names = {r.name for r in results}
    rows = [row for row in known if row["name"] not in names] + [
        {
            "name": r.name,
            "ours": round(r.ours, 2),
            "yardstick": round(r.yardstick, 2),
            "ratio": round(r.ratio, 3),
            "aim": r.aim,
            "holds": r.holds,
        }
        for r in results
    ]
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(rows, indent=2) + "\n")
    os.replace(temporary, path)
