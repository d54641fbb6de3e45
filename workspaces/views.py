"""Signing in and out, and what a person chooses for themselves: the workspace to look at, light or dark."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from workspaces.access import CURRENT, WorkspaceRequest, workspace_required
from workspaces.forms import SigninForm
from workspaces.signin_links import from_this_computer, spend
from workspaces.tries import Tries

THEMES = {"auto", "light", "dark"}
A_YEAR = 365 * 86_400

tries = Tries(settings.REFUSALS_PER_MINUTE)


@sensitive_post_parameters("password")
@never_cache
def signin(request: HttpRequest) -> HttpResponse:
    form = SigninForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        user, trouble, status = _authenticated(request, form)
        if user is not None:
            login(request, user)
            return redirect(_next(request))
        form.add_error(None, trouble)
    return render(request, "workspaces/signin.html", {"form": form, "next": _next(request)}, status=status)


def _authenticated(request: HttpRequest, form: SigninForm) -> tuple[User | None, str, int]:
    """The person, or what to tell whoever tried, with the answer's status."""
    address = request.META.get("REMOTE_ADDR", "")
    if not tries.begin(address):
        return None, "Too many tries from this address. Wait a minute, then try again.", 429
    user = authenticate(request, username=form.username(), password=form.cleaned_data["password"])
    if user is None:
        return None, "That name and password do not belong together. Check both and try again.", 200
    tries.forgive(address)
    return user, "", 200


def _next(request: HttpRequest) -> str:
    """Where to go afterwards: a page of ours that was asked for, else the first."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else "/"


@never_cache
@require_safe
def signin_link(request: HttpRequest, token: str) -> HttpResponse:
    user = spend(token) if from_this_computer(request) else None
    if user is None:
        return render(request, "workspaces/signin_link_spent.html", status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("/")


@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("signin")


@require_POST
@workspace_required
def switch_workspace(request: WorkspaceRequest) -> HttpResponseBase:
    chosen = request.POST.get("workspace", "")
    if chosen not in {membership.workspace_id.hex for membership in request.memberships}:
        raise Http404
    request.session[CURRENT] = UUID(hex=chosen).hex
    return redirect("/")


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Kept in a cookie, so that the page arrives in its colours."""
    response = redirect(_next(request))
    theme = request.POST.get("theme", "")
    response.set_cookie("theme", theme if theme in THEMES else "auto", max_age=A_YEAR, samesite="Lax")
    return response
