"""One kill loop: load and faults together, then quiet, then the checker; and the line that is printed of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.history import Verdict, judge
from tests.chaos.load import Load
from tests.chaos.world import World

LEAST_FAULTS = 20


class Fault(Protocol):
    """Something that goes wrong again and again. `injected`: what happened, counted by kind."""

    @property
    def injected(self) -> Counter[str]: ...

    @property
    def unfinished(self) -> bool: ...

    async def run(self) -> None: ...


@dataclass(frozen=True)
class Report:
    name: str
    faults: Counter[str]
    verdict: Verdict
    load: Load
    seconds: float
    quiet_s: float

    def __str__(self) -> str:
        v = self.verdict
        faults = ", ".join(f"{kind} {n}" for kind, n in sorted(self.faults.items(), key=_natural))
        counts = f"{len(v.lost)} lost, {len(v.duplicated)} duplicated, {len(v.reordered)} out of order"
        unknown = f"{len(v.unknown)} unknown ({sum(v.unknown.values())} of them sent)"
        times = f"{self.seconds:.0f} s, quiet {self.quiet_s:.0f} s after the last message"
        said = f"{v.messages} messages, {self.faults.total()} faults ({faults})"
        return f"{self.name}: {said}: {counts}, {unknown}; {times}"

    def check(self) -> None:
        """Nothing lost, doubled or reordered; and it must have been hard enough to mean something."""
        assert self.faults.total() >= LEAST_FAULTS, f"only {self.faults.total()} faults were injected"
        assert self.verdict.holds, str(self.verdict)


def _natural(item: tuple[str, int]) -> tuple[int, str]:
    return (len(item[0]), item[0])


async def kill_loop(
    name: str, world: World, *faults: Fault, messages: int, chats: int = 100, rate: float
) -> Report:
    """`rate` in messages a second. The load goes on until every fault has happened as often as planned."""
    began = time.monotonic()
    load = world.load(chats=chats, rate=rate)
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(fault.run())
        group.create_task(load.run(messages, lambda: any(fault.unfinished for fault in faults)))
    calm = time.monotonic()
    await world.quiet()
    interrupted = frozenset().union(*(getattr(fault, "interrupted", frozenset()) for fault in faults))
    verdict = judge(world.history(load, interrupted))
    now = time.monotonic()
    injected = sum((fault.injected for fault in faults), Counter[str]())
    return Report(name, injected, verdict, load, now - began, now - calm)
