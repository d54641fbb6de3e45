"""Links that sign one person in once, on this computer, within two minutes; `manage.py run` prints one."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from workspaces.keys import digest, mint, well_formed
from workspaces.models import SigninLink

LIFETIME = timedelta(minutes=2)


def new_link(user: User) -> str:
    """The path of a fresh link for `user`; put the address of Studio in front."""
    token = mint("signin")
    SigninLink.objects.create(user=user, digest=digest(token), expires_at=timezone.now() + LIFETIME)
    return reverse("signin_link", args=[token])


def spend(token: str) -> User | None:
    """Whom `token` signs in; None where it is unknown, used or too old. The second caller gets None."""
    if not well_formed(token, "signin"):
        return None
    now = timezone.now()
    link = SigninLink.objects.filter(digest=digest(token), used_at=None, expires_at__gt=now)
    if link.update(used_at=now) != 1:
        return None
    user = SigninLink.objects.select_related("user").get(digest=digest(token)).user
    return user if isinstance(user, User) and user.is_active else None


def from_this_computer(request: HttpRequest) -> bool:
    """Whether the caller is on this very computer; a proxy in between says that it is not known."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return address.is_loopback and "X-Forwarded-For" not in request.headers
