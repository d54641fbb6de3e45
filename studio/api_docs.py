"""The OpenAPI document, and a page to read it by, rendered here: it needs no script and no other host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView

Node = Mapping[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")


class Schema(SpectacularAPIView):
    """JSON unless YAML is asked for, by Accept or by ?format=yaml."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = [
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer2,
        OpenApiYamlRenderer,
    ]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body; those of nested objects are named `outer.inner`."""

    name: str
    kind: str
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Operation:
    """`curl`: a command to try it with."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[Field]
    status: str
    answer: list[Field]
    curl: str


def reader(request: HttpRequest) -> HttpResponse:
    return render(
        request, "studio/api_docs.html", {"operations": operations(), "studio_url": settings.STUDIO_URL}
    )


@cache
def operations() -> list[Operation]:
    """What the document says, in the order of a page. It changes with the code only."""
    document = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    reading = Reading(document)
    return [
        reading.operation(path, method, item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]


class Reading:
    """Finds in a document what a person wants to know of an operation."""

    def __init__(self, document: Node) -> None:
        self._schemas: Node = document["components"]["schemas"]

    def operation(self, path: str, method: str, node: Node) -> Operation:
        content = node.get("requestBody", {}).get("content", {}).get("application/json", {})
        status, answer = next(iter(node["responses"].items()))
        answered = answer.get("content", {}).get("application/json", {}).get("schema", {})
        return Operation(
            anchor=node["operationId"],
            method=method.upper(),
            path=path,
            summary=node.get("summary", ""),
            description=node.get("description", ""),
            parameters=[
                Field(p["name"], self._kind(p["schema"]), p.get("required", False), _plain(p))
                for p in node.get("parameters", [])
            ],
            body=list(self._fields(content.get("schema", {}))),
            status=status,
            answer=list(self._fields(answered)),
            curl=self._curl(path, method, content),
        )

    def _resolve(self, schema: Node) -> Node:
        """A schema with what it refers to put in, for drf-spectacular's `$ref` and `allOf` of one."""
        for reference in [schema, *schema.get("allOf", []), *schema.get("oneOf", [])[:1]]:
            if "$ref" in reference:
                name = reference["$ref"].rpartition("/")[2]
                return {**self._schemas[name], **{k: v for k, v in schema.items() if k == "description"}}
        return schema

    def _fields(self, schema: Node, prefix: str = "") -> Iterator[Field]:
        schema = self._resolve(schema)
        required = schema.get("required", [])
        for name, of in schema.get("properties", {}).items():
            of = self._resolve(of)
            yield Field(prefix + name, self._kind(of), name in required, _plain(of))
            inner = self._resolve(of.get("items", of))
            yield from self._fields(inner, f"{prefix}{name}{'[]' if 'items' in of else ''}.")

    def _kind(self, schema: Node) -> str:
        schema = self._resolve(schema)
        if "enum" in schema:
            return " | ".join(str(word) for word in schema["enum"])
        if "items" in schema:
            return f"list of {self._kind(schema['items'])}"
        kind = schema.get("format", schema.get("type", "value"))
        kind = "id" if "[0-9a-f]{32}" in schema.get("pattern", "") else kind
        return f"{kind} or null" if schema.get("nullable") else str(kind)

    def _curl(self, path: str, method: str, content: Node) -> str:
        lines = [f"curl {settings.STUDIO_URL}{path}", '-H "Authorization: Bearer $AIMATRIX_KEY"']
        if method != "get":
            lines.insert(1, f"-X {method.upper()}")
        if content:
            body = json.dumps(self._example(content), ensure_ascii=False)
            lines += ["-H 'Content-Type: application/json'", f"-d '{body}'"]
        return " \\\n  ".join(lines)

    def _example(self, content: Node) -> Any:
        for example in content.get("examples", {}).values():
            return example["value"]
        return {field.name: "…" for field in self._fields(content["schema"]) if field.required}


def _plain(node: Node) -> str:
    return str(node.get("description", "")).replace("`", "")
