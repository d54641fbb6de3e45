"""REST API keys: a bearer key stands for its workspace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from workspaces.keys import SHOWN, digest, mint, well_formed
from workspaces.models import ApiKey, Workspace

# last_used_at is for people; writing it at each call would make every read a write.
NOTE_USE_EVERY = timedelta(minutes=1)


class ApiCaller:
    """Whoever presents a key: `request.user`. Acts for `workspace`, and for nobody else."""

    is_authenticated = True

    def __init__(self, key: ApiKey) -> None:
        self.key, self.workspace = key, key.workspace
        self.pk = key.pk


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[ApiCaller, ApiKey] | None:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        key = self._key(token.strip())
        if key is None:
            raise AuthenticationFailed("this API key is not accepted")
        return ApiCaller(key), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="AIMatrix Studio"'

    @staticmethod
    def _key(token: str) -> ApiKey | None:
        if not well_formed(token, "api"):
            return None
        now = timezone.now()
        key = ApiKey.objects.select_related("workspace").filter(digest=digest(token), revoked_at=None).first()
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            return None
        if key.last_used_at is None or key.last_used_at < now - NOTE_USE_EVERY:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        return key


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "amx_api_…"}


def new_api_key(workspace: Workspace, name: str) -> tuple[str, ApiKey]:
    """A key and its row. The key is shown once."""
    token = mint("api")
    return token, ApiKey.objects.create(
        workspace=workspace, name=name, prefix=token[:SHOWN], digest=digest(token)
    )
