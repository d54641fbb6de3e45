"""Whether Studio lives, whether it can work, and what it counts: for supervisors and Prometheus."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

REDIS_WITHIN = 2.0
# Set by every proxy: who comes with one of these is not on this computer, whatever the socket says.
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")


class NotReady(Exception):
    """A part without which Studio cannot do its work."""

    code = "AMX-1510"

    def __init__(self, part: str, title: str, next_step: str) -> None:
        super().__init__(title)
        self.part, self.next_step = part, next_step


def database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        raise NotReady(
            "database", "the database does not answer", "check DATABASE_URL and the server"
        ) from None


@cache  # what has been applied stays so; a failure is not remembered
def migrations() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("migrations", "the database is older than the code", "run: python manage.py migrate")


def redis_server() -> None:
    if not settings.REDIS_URL:
        return
    url, patience = settings.REDIS_URL, REDIS_WITHIN
    try:
        with redis.Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=patience) as client:
            client.ping()
    except (redis.RedisError, OSError):
        raise NotReady("redis", "Redis does not answer", "check REDIS_URL and the server") from None


PARTS: tuple[Callable[[], None], ...] = (database, migrations, redis_server)


@never_cache
@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing more."""
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """What Studio needs is there; else 503, naming the part that is missing."""
    try:
        for part in PARTS:
            part()
    except NotReady as error:
        return _problem(503, error.code, str(error), error.next_step, part=error.part)
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """This process's counters, for this computer or for who knows METRICS_TOKEN."""
    if not (_knows_the_token(request) or _from_here(request)):
        return _problem(
            403,
            "AMX-1511",
            "metrics are not for everyone",
            "ask from the same computer, or set METRICS_TOKEN and send it as a bearer token",
        )
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _knows_the_token(request: HttpRequest) -> bool:
    token: str = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _from_here(request: HttpRequest) -> bool:
    if any(name in request.META for name in FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _problem(status: int, code: str, title: str, next_step: str, **more: str) -> HttpResponse:
    body = {"status": status, "code": code, "title": title, "next_step": next_step, **more}
    return JsonResponse(body, status=status, content_type="application/problem+json")
