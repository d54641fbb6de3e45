"""Lists in pages: {"results": […], "next": url or null}. A page begins after a row, not at a number of rows.

So what arrives meanwhile neither repeats nor hides anything: a cursor holds the columns that the list is
ordered by, as they were in the last row shown, and the next page is what lies beyond.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

from django.db.models import DateTimeField, F, Func, Model, Q, QuerySet, Value
from django.db.models.lookups import Exact, LessThan
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

MOST = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its id, and its moment where the list is ordered by one."""

    id: uuid.UUID
    moment: datetime | None = None

    def __str__(self) -> str:
        if self.moment is None:
            return self.id.hex
        return f"{(self.moment - EPOCH) // timedelta(microseconds=1)}.{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises ValidationError: cursors come from `next`, and are not made up."""
        found = re.fullmatch(r"(?:([0-9]{1,17})\.)?([0-9a-f]{32})", text)
        if found is None:
            raise serializers.ValidationError("not a cursor; take it from `next`")
        moment = EPOCH + timedelta(microseconds=int(found[1])) if found[1] else None
        return cls(uuid.UUID(hex=found[2]), moment)


class CursorField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        return Cursor.read(super().to_internal_value(data))


class PageQuery(serializers.Serializer[Any]):
    """How every list is asked for."""

    cursor = CursorField(required=False, help_text="where to go on, from `next`")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=MOST, help_text="rows per page")


class Moment(Func):
    """A time to compare by. SQLite keeps times as text, some without their fraction: here always with."""

    function, arity, output_field = "", 1, DateTimeField()
    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="strftime('%%Y-%%m-%%d %%H:%%M:%%f', %(expressions)s)", **context
        )


def newest_first(
    request: Request,
    rows: QuerySet[Row],
    query: Mapping[str, Any],
    answer: type[serializers.BaseSerializer[Any]],
    *,
    moment: str | None = None,
) -> Response:
    """A page of `rows`, ordered by their ids (made later, sort later), or by `moment` and then by id."""
    after: Cursor | None = query.get("cursor")
    rows = rows.order_by("-pk") if moment is None else rows.order_by(f"-{moment}", "-pk")
    if after is not None:
        rows = _beyond(rows, after, moment)
    found = list(rows[: query["limit"] + 1])
    shown = found[: query["limit"]]
    last = shown[-1] if len(found) > len(shown) else None
    return page(request, answer(shown, many=True).data, cursor=last and str(_cursor(last, moment)))


def _cursor(row: Model, moment: str | None) -> Cursor:
    return Cursor(row.pk, None if moment is None else attrgetter(moment.replace("__", "."))(row))


def _beyond(rows: QuerySet[Row], after: Cursor, moment: str | None) -> QuerySet[Row]:
    if (after.moment is None) != (moment is None):
        raise serializers.ValidationError({"cursor": ["a cursor of another list"]})
    if moment is None:
        return rows.filter(pk__lt=after.id)
    then = Moment(Value(after.moment, DateTimeField()))
    its = Moment(F(moment))
    return rows.filter(Q(LessThan(its, then)) | Q(Exact(its, then), pk__lt=after.id))


def page(request: Request, results: Any, **following: Any) -> Response:
    """`following`: the query parameter that leads to the next page, or None after the last."""
    ((name, value),) = following.items()
    here = request.build_absolute_uri()
    return Response(
        {"results": results, "next": None if value is None else replace_query_param(here, name, value)}
    )


def paged(answer: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """How the OpenAPI document describes a page of `answer`."""
    return inline_serializer(
        answer.__name__.removesuffix("Serializer") + "Page",
        {"results": answer(many=True), "next": serializers.URLField(allow_null=True)},
    )
