"""Places where a test may kill this process, to prove that what follows survives it.

`AIMATRIX_CRASH="C3:0.01:7,C9:0.02:7"` ends the process with SIGKILL at a place with that probability (seeded). Each
kill is noted in `AIMATRIX_CRASH_LOG` first, so that a run in which nothing died can be told from one that survived.

    C1 before the writes · C2 before COMMIT · C3 after COMMIT · C4 after the 2xx · C5 before the claim · C6 after it
    C7 at `recv` · C8 at `reply` · C9 reply committed, not answered · C10 part claimed, provider not called
    C11 provider accepted, not recorded · C12 recorded
"""

from __future__ import annotations

import os
import random
import signal

_armed: dict[str, tuple[float, random.Random]] = {}


def _arm(specification: str) -> None:
    for entry in filter(None, specification.split(",")):
        place, probability, seed = entry.split(":")
        _armed[place] = (float(probability), random.Random(seed))  # noqa: S311  (a test's dice)


def crash_point(place: str) -> None:
    """Does nothing, unless the environment armed `place`."""
    if not _armed or place not in _armed:
        return
    probability, dice = _armed[place]
    if dice.random() < probability:
        if path := os.environ.get("AIMATRIX_CRASH_LOG"):
            with open(path, "a") as log:
                log.write(f"{place}\n")
        os.kill(os.getpid(), signal.SIGKILL)


_arm(os.environ.get("AIMATRIX_CRASH", ""))
