"""How long to wait before dialing again, so that a thousand agents do not come back in the same second."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

STABLE_S: Final = 60.0  # a connection that lasted so long starts the count anew


class Backoff:
    """Waits of min(`most`, 2^n) seconds, times a chance between a half and one."""

    def __init__(self, most: float, chance: Callable[[], float] = random.random) -> None:
        self._most = most
        self._chance = chance
        self._n = 0

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now. `at_least` is what the Studio asked for, if it did."""
        wait = min(self._most, 2.0**self._n) * (0.5 + self._chance() / 2)
        self._n = min(self._n + 1, 16)
        return max(wait, at_least)

    def lasted(self, seconds: float) -> None:
        """The connection that ended now had lasted so long."""
        if seconds >= STABLE_S:
            self._n = 0
