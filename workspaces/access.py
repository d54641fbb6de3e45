"""Who may open a console page: someone signed in, a member of the workspace, of a sufficient role.

Views behind these guards look every id up inside `request.workspace`; what belongs to another workspace
answers 404, like what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import register_converter
from django.utils.cache import add_never_cache_headers
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from workspaces.models import Membership, Role, Workspace

P = ParamSpec("P")
RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}
CURRENT = "workspace"  # the session's key


class HexId:
    """Path converter `<id:…>`: a row's id as 32 hexadecimal digits."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        return UUID(hex=value)

    def to_url(self, value: UUID) -> str:
        return value.hex


register_converter(HexId, "id")


class WorkspaceRequest(HttpRequest):
    """A member's request. `memberships`: all of the person's, for the switcher."""

    user: User
    htmx: HtmxDetails
    workspace: Workspace
    memberships: list[Membership]
    may_write: bool
    may_manage: bool


View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
Guarded = Callable[Concatenate[WorkspaceRequest, P], HttpResponseBase]


def role_required(role: Role) -> Callable[[Guarded[P]], View[P]]:
    """Lets members of at least `role` into their current workspace; below it 403, signed out to sign-in."""

    def decorate(view: Guarded[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_signin(cast(WorkspaceRequest, request))
            membership = _current(request)
            if not reaches(membership, role):
                raise PermissionDenied(
                    f"This takes the role “{role}”. Ask an owner of {membership.workspace}."
                )
            response = view(cast(WorkspaceRequest, request), *args, **kwargs)
            add_never_cache_headers(response)
            return response

        return guarded

    return decorate


workspace_required = role_required(Role.VIEWER)


def reaches(membership: Membership, role: Role) -> bool:
    """Whether the member's role is `role` or above it."""
    return RANK[Role(membership.role)] >= RANK[role]


def _current(request: HttpRequest) -> Membership:
    """The membership last chosen, else the first by name; noted on the request for view and templates."""
    assert isinstance(request.user, User)
    found = Membership.objects.filter(user=request.user).select_related("workspace")
    memberships = list(found.order_by("workspace__name", "pk"))
    if not memberships:
        raise PermissionDenied("You are not a member of any workspace yet. Ask an owner to invite you.")
    chosen = request.session.get(CURRENT)
    current = next((m for m in memberships if m.workspace_id.hex == chosen), memberships[0])
    entered = cast(WorkspaceRequest, request)
    entered.memberships, entered.workspace = memberships, current.workspace
    entered.may_write, entered.may_manage = reaches(current, Role.MEMBER), reaches(current, Role.ADMIN)
    return current


def _to_signin(request: WorkspaceRequest) -> HttpResponseBase:
    if not request.htmx:
        return redirect_to_login(request.get_full_path(), resolve_url("signin"))
    # A fragment was asked for: the whole page has to go, not the fragment.
    page = urlsplit(request.htmx.current_url or "/").path
    return HttpResponseClientRedirect(redirect_to_login(page, resolve_url("signin"))["Location"])
