"""CPU time of processes, as Linux accounts it. Wall time on a shared machine says little; CPU ratios hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def seconds(pid: int) -> float:
    """CPU seconds of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICK


def tree(pid: int) -> float:
    """CPU seconds of a process and all that descend from it."""
    return seconds(pid) + sum(tree(child) for child in children(pid))


def children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from (int(child) for child in (task / "children").read_text().split())


def memory(pid: int) -> int:
    """Proportional set size in bytes: what the process adds to the machine's use."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"no Pss of {pid}")
