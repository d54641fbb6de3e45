"""Kill loops print what they found, also where all went well."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.chaos.loop import Report
from tests.processes import Database, Template
from tests.telegram_spec import missing

_reports: list[tuple[Report, int]] = []


@pytest.fixture
def seed() -> int:
    """CHAOS_SEED, or a new one each time. It decides which faults come when; the machine decides the rest."""
    return int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))


@pytest.fixture
def random(seed: int) -> Random:
    return Random(seed)


@pytest.fixture
def note(seed: int) -> Callable[[Report], Report]:
    """Keeps a report for the summary."""

    def keep(report: Report) -> Report:
        _reports.append((report, seed))
        return report

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _reports:
        terminalreporter.section("kill loops")
        for report, seed in _reports:
            terminalreporter.write_line(f"{report}; seed {seed}")


@pytest.fixture(autouse=True)
def _specification(request: pytest.FixtureRequest) -> None:
    if "note" in request.fixturenames and missing():
        pytest.skip(missing())


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """On the server of the environment, which is not the one that is killed."""
    template = Template(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("template"))
    with template.copy() as database:
        yield database
    template.drop()
