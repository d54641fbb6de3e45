"""Brings what Studio's settings need when pytest is started: PostgreSQL and Redis where none are offered, and keys.

Loaded with `-p` in pyproject.toml, because conftest files are read after pytest-django has read the settings,
and those read the environment once. `make test` offers the servers before it starts pytest.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack

import pytest

from deploy.services import lacking, temporary_services

KEY = "bWFkZSB1cDogZm9yIHRlc3RzLCBub3QgYSBzZWNyZXQ="  # 32 bytes


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Workers of pytest-xdist inherit the variables, so only the controller comes here with something lacking.
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    for name in ("SECRET_KEY", "VAULT_KEY", "KEY_PEPPER"):
        os.environ.setdefault(name, KEY)
    if "STUDIO_VAR" not in os.environ:
        os.environ["STUDIO_VAR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="studio-var-"))
    wanted = lacking(os.environ)
    if any(wanted.values()):
        services = stack.enter_context(temporary_services(**wanted, durable=False))
        os.environ.update(services.environment)
