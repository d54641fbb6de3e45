"""Everything dies under load; nothing is lost, doubled or out of order. `make chaos` does it longer, and at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from deploy.services import temporary_services
from tests.chaos import faults
from tests.chaos.faults import PLACES, THINK_S, AgentDies, ServerDies, StudioDies, StudioStops, each_place
from tests.chaos.loop import Report, kill_loop
from tests.chaos.world import world
from tests.processes import Database, Template

Note = Callable[[Report], Report]

pytestmark = pytest.mark.chaos

# `make chaos ARGS="-k short"` takes four minutes, `make chaos` half an hour.
short_and_long = pytest.mark.parametrize(
    ("messages", "times"),
    [
        pytest.param(1_000, 24, id="short"),
        pytest.param(5_000, 120, id="long", marks=pytest.mark.timeout(1_800)),
    ],
)


@pytest.fixture
def redis_url() -> str:
    return os.environ["REDIS_URL"]


@short_and_long
async def test_studio_killed_at_each_step(
    messages: int, times: int, database: Database, redis_url: str, tmp_path: Path, random: Random, note: Note
) -> None:
    log = tmp_path / "crashes"
    places = each_place(times // len(PLACES), random)
    with world(database, tmp_path, redis_url=redis_url, crash_log=log) as around:
        fault = StudioDies(around, places, log, random)
        report = note(await kill_loop("Studio killed", around, fault, messages=messages, rate=60))
    report.check()
    assert report.faults.total() == times
    assert set(report.faults) == set(PLACES), "a step was left out"


@short_and_long
async def test_the_agent_killed_while_it_thinks(
    messages: int, times: int, database: Database, redis_url: str, tmp_path: Path, random: Random, note: Note
) -> None:
    with world(database, tmp_path, redis_url=redis_url, think_s=THINK_S) as around:
        fault = AgentDies(around, times, random)
        report = note(await kill_loop("Agent killed", around, fault, messages=messages, rate=40))
    report.check()
    assert report.faults["while it thought"] >= 20


@short_and_long
async def test_postgres_killed_under_load(
    messages: int, times: int, tmp_path: Path, random: Random, note: Note
) -> None:
    with temporary_services(durable=messages > 1_000) as services:
        template = Template(services.database_url, tmp_path)
        with template.copy() as database, world(database, tmp_path, redis_url=services.redis_url) as around:
            fault = ServerDies(faults.of_postgres(services), times, random)
            report = note(await kill_loop("PostgreSQL killed", around, fault, messages=messages, rate=40))
    report.check()


@short_and_long
async def test_redis_flushed_and_killed_between_two_nodes(
    messages: int, times: int, database: Database, tmp_path: Path, random: Random, note: Note
) -> None:
    with (
        temporary_services(postgres=False) as services,
        world(database, tmp_path, redis_url=services.redis_url, nodes=2) as around,
    ):
        fault = ServerDies(faults.of_redis(services), times, random)
        report = note(await kill_loop("Redis killed", around, fault, messages=messages, rate=40))
    report.check()


async def test_studio_stopped_under_load_leaves_nothing_unknown(
    database: Database, redis_url: str, tmp_path: Path, random: Random, note: Note
) -> None:
    with world(database, tmp_path, redis_url=redis_url) as around:
        fault = StudioStops(around, 4, random)
        report = note(await kill_loop("Studio stopped", around, fault, messages=400, rate=60))
    assert report.verdict.holds, str(report.verdict)
    assert max(fault.seconds) < 10


@pytest.mark.timeout(1_800)
async def test_all_of_it_at_once_is_survived_by_every_message_killed_or_not(
    tmp_path: Path, random: Random, note: Note
) -> None:
    log = tmp_path / "crashes"
    with temporary_services() as services:
        template = Template(services.database_url, tmp_path)
        with (
            template.copy() as database,
            world(database, tmp_path, redis_url=services.redis_url, think_s=THINK_S, crash_log=log) as around,
        ):
            report = await kill_loop(
                "All at once",
                around,
                StudioDies(around, [random.choice(PLACES) for _ in range(100)], log, random),
                AgentDies(around, 30, random),
                ServerDies(faults.of_postgres(services), 30, random, pause=6),
                ServerDies(faults.of_redis(services), 30, random, pause=6),
                messages=5_000,
                rate=40,
            )
    note(report).check()
