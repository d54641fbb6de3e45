"""The people and rows that tests share."""

from __future__ import annotations

pytest_plugins = ["tests.people"]
