"""Pure: how long to wait before trying again."""

from __future__ import annotations

import random

# 2 s, 10 s, 1 min, 5 min, 15 min, 1 h, 3 h, 6 h, and so on every six hours.
STEPS = (2, 10, 60, 300, 900, 3_600, 10_800, 21_600)


def delay(attempt: int) -> float:
    """Seconds before the try after `attempt` failed ones (1 = first retry), ±10 %, so that a crowd spreads out."""
    step = STEPS[min(attempt, len(STEPS)) - 1]
    return step * random.uniform(0.9, 1.1)  # noqa: S311  (not a secret)
