"""The wiring: settings, addresses, processes. May import every room; no room imports it."""

from __future__ import annotations

from studio.celery import app as celery_app

__all__ = ["celery_app"]
