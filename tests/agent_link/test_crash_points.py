"""Places where a test may kill the process, which must never go off by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_link.crash import crash_point

ROOT = Path(__file__).parents[2]


def test_a_crash_point_does_nothing_unless_armed() -> None:
    for number in range(1, 13):
        crash_point(f"C{number}")


@pytest.mark.parametrize(
    ("armed", "killed"),
    [("", False), ("C3:1:7", True), ("C2:1:7,C3:1:7", True), ("C3:0:7", False), ("C4:1:7", False)],
)
def test_an_armed_one_kills_the_process_and_says_so(armed: str, killed: bool, tmp_path: Path) -> None:
    log = tmp_path / "crashes"
    code = "from agent_link.crash import crash_point; crash_point('C3')"
    environment = {**os.environ, "AIMATRIX_CRASH": armed, "AIMATRIX_CRASH_LOG": str(log)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=30)
    assert ended.returncode == (-9 if killed else 0)
    assert (log.read_text() if log.exists() else "") == ("C3\n" if killed else "")


def test_the_dice_fall_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """A run can be repeated."""
    code = "from agent_link.crash import crash_point\nfor n in range(99): print(n, flush=True); crash_point('C3')"
    environment = {**os.environ, "AIMATRIX_CRASH": "C3:0.1:7"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=30
        )
        for _ in range(2)
    ]
    assert runs[0].returncode == -9
    assert runs[0].stdout == runs[1].stdout != b""
