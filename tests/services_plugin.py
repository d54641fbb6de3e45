"""Brings PostgreSQL and Redis when pytest is started by itself (`pytest tests/gateway`) and none are offered.

Loaded with `-p` in pyproject.toml, because conftest files are read after pytest-django has read the settings,
and those read DATABASE_URL and REDIS_URL once. `make test` sets both before it starts pytest.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from deploy.services import lacking, temporary_services


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Workers of pytest-xdist inherit the variables, so only the controller comes here with something lacking.
    wanted = lacking(os.environ)
    if not any(wanted.values()):
        return
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    services = stack.enter_context(temporary_services(**wanted, durable=False))
    os.environ.update(services.environment)
