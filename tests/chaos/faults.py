"""The faults themselves. Each counts what it really did; nothing counts as injected that did not happen."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from deploy.services import Services
from tests.chaos.world import World, at_the_provider
from tests.processes import Nursery

# How likely a process dies at a place each time it passes. Most are passed once a message, the first three at each
# transaction of the two writers; so a life lasts for some twenty messages.
CHANCES = {f"C{n}": 1 / 20 for n in range(4, 13)} | {"C1": 1 / 80, "C2": 1 / 80, "C3": 1 / 80}
PLACES = tuple(CHANCES)
THINK_S = 0.3


def each_place(rounds: int, random: Random) -> list[str]:
    """Every place so many times, in some order."""
    places = [*PLACES] * rounds
    random.shuffle(places)
    return places


class StudioDies:
    """Studio is killed at one place after the other, and begins anew at once, armed for the next place."""

    def __init__(self, world: World, places: Sequence[str], crash_log: Path, random: Random) -> None:
        self.interrupted: frozenset[str] = frozenset()
        self._world, self._places, self._crash_log, self._random = world, places, crash_log, random
        self._deaths = 0

    @property
    def unfinished(self) -> bool:
        return self._deaths < len(self._places)

    @property
    def injected(self) -> Counter[str]:
        """As the dying processes wrote it down themselves."""
        return Counter(self._crash_log.read_text().split() if self._crash_log.exists() else [])

    async def run(self) -> None:
        """Takes the place of the Studio that runs; leaves one that is not armed."""
        nursery = await taken_over(self._world)
        for place in self._places:
            dice = self._random.randrange(10**6)
            await asyncio.to_thread(nursery.bear, f"{place}:{CHANCES[place]}:{dice}")
            ended = await asyncio.to_thread(nursery.death)
            assert ended == -signal.SIGKILL, f"Studio ended by itself ({ended})\n{nursery.said()[-3000:]}"
            self.interrupted |= await asyncio.to_thread(at_the_provider, self._world.database)
            self._deaths += 1
        await asyncio.to_thread(nursery.bear)


class StudioStops:
    """SIGTERM, again and again. `seconds`: how long it took each time."""

    def __init__(self, world: World, times: int, random: Random) -> None:
        self.seconds: list[float] = []
        self._world, self._times, self._random = world, times, random

    @property
    def unfinished(self) -> bool:
        return len(self.seconds) < self._times

    @property
    def injected(self) -> Counter[str]:
        return Counter({"SIGTERM": len(self.seconds)})

    async def run(self) -> None:
        nursery = await taken_over(self._world)
        for _ in range(self._times):
            await asyncio.to_thread(nursery.bear)
            await asyncio.sleep(self._random.uniform(1.0, 2.5))
            began = time.monotonic()
            nursery.signal(signal.SIGTERM)
            ended = await asyncio.to_thread(nursery.death)
            assert ended in {0, -signal.SIGTERM}, f"Studio ended with {ended}\n{nursery.said()[-3000:]}"
            self.seconds.append(time.monotonic() - began)
        await asyncio.to_thread(nursery.bear)


async def taken_over(world: World) -> Nursery:
    """What will serve in the place of the world's first Studio, which has ended."""
    nursery = Nursery(world.studios[0])
    world.stack.enter_context(closing(nursery))
    nursery.start()
    await asyncio.to_thread(world.studios[0].stop)
    return nursery


class AgentDies:
    """The agent is killed -9 while handlers think, and started again.

    Each life is long enough for what it begins with: a message that it dies of five times is given up, by design.
    """

    def __init__(self, world: World, times: int, random: Random) -> None:
        self.injected: Counter[str] = Counter()
        self._world, self._times, self._random = world, times, random

    @property
    def unfinished(self) -> bool:
        return self.injected.total() < self._times

    async def run(self) -> None:
        agent = self._world.agent
        for _ in range(self._times):
            while not self._world.thinking():  # noqa: ASYNC110 - another process thinks
                await asyncio.sleep(0.02)
            await asyncio.sleep(self._random.uniform(1.4, 3.0) * THINK_S)
            thoughts = self._world.thinking()
            await asyncio.to_thread(agent.kill)
            self.injected["while it thought" if thoughts else "while idle"] += 1
            self._world.mark_start()
            await asyncio.to_thread(agent.start)


class ServerDies:
    """One of the `faults` after the other, about `pause` seconds apart, `times` in all."""

    def __init__(
        self, faults: dict[str, Callable[[], None]], times: int, random: Random, pause: float = 0.7
    ) -> None:
        self.injected: Counter[str] = Counter()
        self._faults, self._times, self._random, self._pause = faults, times, random, pause

    @property
    def unfinished(self) -> bool:
        return self.injected.total() < self._times

    async def run(self) -> None:
        names = list(self._faults)
        for n in range(self._times):
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._pause)
            name = names[n % len(names)]
            await asyncio.to_thread(self._faults[name])
            self.injected[name] += 1


def of_postgres(services: Services) -> dict[str, Callable[[], None]]:
    """Each ends with a PostgreSQL that has recovered; services wait for it, and raise where it does not."""

    def kill() -> None:
        services.kill_postgres()
        services.start_postgres()

    def away() -> None:
        services.stop_postgres()
        time.sleep(1)
        services.start_postgres()

    return {"kill -9": kill, "immediate stop": services.restart_postgres, "away for a second": away}


def of_redis(services: Services) -> dict[str, Callable[[], None]]:
    def kill() -> None:
        services.kill_redis()
        services.start_redis()

    def away() -> None:
        services.stop_redis()
        time.sleep(0.5)
        services.start_redis()

    return {"FLUSHALL": services.flush_redis, "kill -9": kill, "away for half a second": away}
