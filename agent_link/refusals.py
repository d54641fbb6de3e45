"""How often one address may be refused before it must wait. Counted before anything is read or verified.

Only failures count: a provider that proves itself is never slowed down here, however much it sends.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_ADDRESSES = 50_000


class Refusals:
    """A bucket per address, refilled evenly over a minute. For one process; nothing is shared or kept."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → (tokens, as of)

    def wait(self, address: str) -> float:
        """Seconds `address` must wait; 0 where it may go on."""
        tokens = self._tokens(address, self._clock())
        return 0.0 if tokens >= 1 else (1 - tokens) * 60 / self._size

    def count(self, address: str) -> None:
        """`address` was refused once more."""
        now = self._clock()
        # Never below nothing: a crowd that came in together must not shut its address out for hours.
        self._buckets[address] = (max(0.0, self._tokens(address, now) - 1), now)
        self._buckets.move_to_end(address)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)

    def _tokens(self, address: str, now: float) -> float:
        tokens, then = self._buckets.get(address, (float(self._size), now))
        return min(self._size, tokens + (now - then) * self._size / 60)
