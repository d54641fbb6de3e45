"""API errors as problem+json (RFC 9457): a stable code, a sentence, a next step."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

CODES = {
    400: ("AMX-1400", "check the fields named in `errors`"),
    401: ("AMX-1401", "send a valid API key: Authorization: Bearer amx_api_…"),
    403: ("AMX-1403", "ask an owner of the workspace"),
    404: ("AMX-1404", "check the id; it must belong to this workspace"),
    405: ("AMX-1405", "see /api/docs for what this address takes"),
    406: ("AMX-1406", "accept JSON: Accept: application/json"),
    413: ("AMX-1413", "send less"),
    415: ("AMX-1415", "send JSON: Content-Type: application/json"),
    429: ("AMX-1429", "wait for Retry-After seconds"),
}


def problem(status: int, title: str, *, code: str | None = None, **more: Any) -> Response:
    """An answer that says what is wrong and what to do next."""
    known, next_step = CODES.get(status, (f"AMX-1{status}", ""))
    body = {"status": status, "code": code or known, "title": title, "next_step": next_step, **more}
    return Response(body, status=status, content_type="application/problem+json")


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler."""
    response = exception_handler(error, context)
    if response is None:
        return None
    headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    if isinstance(error, exceptions.ValidationError):
        made = problem(400, "the request is not valid", errors=response.data)
    else:
        detail = getattr(error, "detail", None)
        made = problem(response.status_code, str(detail or error) or "not possible")
    for name, value in headers.items():
        made[name] = value
    return made
