"""What every operation of the REST API shares: whose workspace it is, ids in addresses, bodies, errors."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from workspaces.access import HexId
from workspaces.api_keys import ApiCaller
from workspaces.models import Workspace

LARGEST_BODY = 256 * 1024


@extend_schema_field({"type": "string", "pattern": f"^{HexId.regex}$"})
class IdField(serializers.RegexField):
    """An id in a query or in an answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(rf"\A{HexId.regex}\Z", **kwargs)

    def to_representation(self, value: Any) -> str:
        return str(value.hex)


class TooLarge(APIException):
    status_code = 413
    default_detail = f"the body may have {LARGEST_BODY} bytes"


class SmallJson(JSONParser):
    """JSON that cannot hurt: neither endless nor nested beyond what can be read."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
            raise TooLarge
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None


PROBLEM = inline_serializer(
    "Problem",
    {
        "status": serializers.IntegerField(),
        "code": serializers.RegexField(
            r"^AMX-\d{4}$", help_text="stays the same; docs/errors.md explains each"
        ),
        "title": serializers.CharField(help_text="what is wrong, for a person"),
        "next_step": serializers.CharField(help_text="what to do about it"),
        "errors": serializers.DictField(required=False, help_text="field → what is wrong with it"),
    },
)


class ApiSchema(AutoSchema):
    """Adds to each operation what it answers when it cannot do what was asked."""

    def get_description(self, *_: Any) -> str:
        return ""  # unless @extend_schema gives one; the classes' docstrings are for us

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        problem = self.resolve_serializer(PROBLEM, "response").ref
        refused = {
            "description": "not possible",
            "content": {"application/problem+json": {"schema": problem}},
        }
        return {**super()._get_response_bodies(direction), "default": refused}


class ApiView(APIView):
    """On behalf of one workspace. Rows of any other do not exist here: every query begins at `workspace`."""

    parser_classes = (SmallJson,)
    schema = ApiSchema()

    @property
    def workspace(self) -> Workspace:
        caller: object = self.request.user
        assert isinstance(caller, ApiCaller), "the API is for bearers of a key only"
        return caller.workspace

    def read(self, form: type[serializers.Serializer[Any]], given: Any) -> Any:
        """What `form` makes of a body or a query. Raises ValidationError, naming the fields."""
        # Of a query as a plain dictionary: in a QueryDict an empty value counts as none given.
        read = form(data=given.dict() if isinstance(given, QueryDict) else given)
        read.is_valid(raise_exception=True)
        return read.validated_data


@extend_schema(exclude=True)
class NotHere(ApiView):
    """Any other address below /api/v1."""

    metadata_class = None

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        raise NotFound("there is nothing at this address")
