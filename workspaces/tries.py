"""How often one address may fail to sign in before it must wait for the next minute.

A try is counted before the password is looked at and forgiven when it was right, so that a hundred tries at
once count as a hundred. In memory, for one process; several processes allow that many each.
"""

from __future__ import annotations

import time
from collections import Counter


class Tries:
    def __init__(self, per_minute: int) -> None:
        self._most = per_minute
        self._minute = 0
        self._counted: Counter[str] = Counter()

    def begin(self, address: str) -> bool:
        """Counts a try. False where the address has had its share of this minute."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._counted = minute, Counter()
        self._counted[address] += 1
        return self._counted[address] <= self._most

    def forgive(self, address: str) -> None:
        self._counted[address] -= 1
