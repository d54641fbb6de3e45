"""The operator's desk: every row can be found and read; few can be changed, and none of the message path by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import BinaryField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from workspaces.access import HexId
from workspaces.models import ApiKey, Membership, SigninLink, Workspace

# What opens a door is shown to nobody, hashed and sealed as it is.
SECRETS = {"digest", "token_digest"}
BY_ID_ONLY: tuple[str, ...] = ("pk",)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin  # generic in the stubs only


class Desk(ModelAdmin):
    """`changeable`: the fields that an operator may write. `ids`: what 32 digits in the search box may name."""

    changeable: ClassVar[tuple[str, ...]] = ()
    may_add: ClassVar[bool] = False
    may_delete: ClassVar[bool] = False
    ids: ClassVar[tuple[str, ...]] = ("pk",)

    search_fields = BY_ID_ONLY
    search_help_text = "an id of 32 digits, or what the columns of names hold"
    ordering = ("-pk",)
    list_per_page = 50
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if obj is None:
            return self.changeable
        return [field.name for field in self.opts.concrete_fields if not is_secret(field)]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [name for name in self.get_fields(request, obj) if name not in self.changeable]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self.changeable) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_delete and super().has_delete_permission(request, obj)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """For actions: who may change such rows at all, though not field by field."""
        return super().has_change_permission(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        digits = search_term.strip().lower().replace("-", "")
        if re.fullmatch(HexId.regex, digits):
            named = Q()
            for name in self.ids:
                named |= Q(**{name: UUID(hex=digits)})
            return queryset.filter(named), False
        if search_term and self.search_fields == BY_ID_ONLY:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="id", ordering="pk")
    def hex_id(self, row: Model) -> str:
        return row.pk.hex if isinstance(row.pk, UUID) else str(row.pk)


def is_secret(field: Any) -> bool:
    return isinstance(field, BinaryField) or field.name in SECRETS


@admin.register(Workspace)
class WorkspaceAdmin(Desk):
    changeable = ("name", "slug")
    may_add = True
    list_display = ("hex_id", "name", "slug", "created_at")
    search_fields = ("name", "slug")


@admin.register(Membership)
class MembershipAdmin(Desk):
    changeable = ("workspace", "user", "role")
    may_add = may_delete = True
    ids = ("workspace",)
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "workspace")
    raw_id_fields = ("workspace", "user")
    search_fields = ("user__username", "user__email", "workspace__slug")


@admin.register(ApiKey)
class ApiKeyAdmin(Desk):
    """Keys are made where they can be shown once: in the console, not here."""

    changeable = ("name", "expires_at")
    ids = ("pk", "workspace")
    list_display = ("hex_id", "name", "prefix", "workspace", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("workspace",)
    search_fields = ("name", "prefix", "workspace__slug")
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=["decide"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        ended = keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{ended} revoked.")


@admin.register(SigninLink)
class SigninLinkAdmin(Desk):
    list_display = ("user", "expires_at", "used_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ids = ()
