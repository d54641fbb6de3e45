"""The whole of Studio as it runs in life: its own process, a real agent, real databases; each test its own copy.

Where DATABASE_URL is SQLite this is the embedded form: no Redis, and all in one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.processes import Agent, Database, Studio, Template
from tests.telegram_api import TelegramApi, telegram_api
from tests.telegram_spec import missing

ECHO = """
from __future__ import annotations

async def handle(message, context):
    return "echo " + message.text
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    template = Template(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("template"))
    yield template
    template.drop()


@pytest.fixture
def database(template: Template) -> Iterator[Database]:
    with template.copy() as database:
        yield database


@pytest.fixture
def redis_url(database: Database) -> str:
    return "" if database.is_sqlite else os.environ["REDIS_URL"]


@pytest.fixture
def telegram() -> Iterator[TelegramApi]:
    if missing():
        pytest.skip(missing())
    with telegram_api(chats=set()) as telegram:
        yield telegram


MakeStudio = Callable[..., Studio]
MakeAgent = Callable[..., Agent]


@pytest.fixture
def make_studio(database: Database, redis_url: str, tmp_path: Path) -> Iterator[MakeStudio]:
    """A Studio that serves; settings are given as in the environment."""
    with ExitStack() as stack:

        def make(**settings: str) -> Studio:
            studio = Studio(database, tmp_path / "studio", **{"REDIS_URL": redis_url, **settings})
            stack.enter_context(closing(studio))
            studio.start()
            return studio

        yield make


@pytest.fixture
def studio(make_studio: MakeStudio, request: pytest.FixtureRequest) -> Studio:
    """With the Bot API server of the test, if it has one."""
    if "telegram" in request.fixturenames:
        return make_studio(TELEGRAM_API_URL=request.getfixturevalue("telegram").url)
    return make_studio()


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[MakeAgent]:
    """An agent that is online at a Studio, with a handler that answers `echo …` unless told otherwise."""
    with ExitStack() as stack:

        def make(studio: Studio, handler: str = ECHO, **options: int) -> Agent:
            agent = Agent(tmp_path / "agent", handler, **options)
            stack.enter_context(closing(agent))
            agent.pair(studio)
            agent.start()
            return agent

        yield make


@pytest.fixture
def api(studio: Studio) -> Iterator[httpx.Client]:
    with studio.api() as api:
        yield api
