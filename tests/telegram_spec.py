"""What the Bot API's own specification allows: every method's parameters and every type, as checks.

Read from `$SHARED_DATA/telegram` (default `../shared/data` beside the project), which is somebody else's and
not copied here. The JSON schemas are those that its `to_openapi.py` makes.
"""

from __future__ import annotations

import json
import os
import re
import runpy
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

Params = dict[str, Any]


class Refused(Exception):
    """Telegram's answer to a call it does not carry out."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.beside = {"parameters": parameters} if parameters else {}


def folder() -> Path:
    shared = os.environ.get("SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data"
    return Path(shared) / "telegram"


def missing() -> str:
    """Why tests that need the specification are skipped; empty when it is there."""
    return "" if (folder() / "api.json").exists() else f"no Bot API specification in {folder()} (SHARED_DATA)"


class Specification:
    """`methods` by their name in lower case, as the Bot API finds them; `types` by name."""

    def __init__(self, source: Path) -> None:
        api = json.loads((source / "api.json").read_text())
        script = runpy.run_path(str(source / "to_openapi.py"))
        self.version: str = api["version"]
        self.types: dict[str, Any] = api["types"]
        self.methods = {
            name.lower(): Method(self, method, script["schema"]) for name, method in api["methods"].items()
        }
        self.components = script["document"](api, "")["components"]
        self._schema = script["schema"]

    def validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        return Draft202012Validator({"components": self.components, **schema})

    def check(self, types: list[str], value: object) -> None:
        """ValueError when `value` is not of one of these types of the Bot API."""
        if wrong := _first_error(self.validator(self._schema(types)), value):
            raise ValueError(f"not a valid {' or '.join(types)}: {wrong}")


class Method:
    """One method: its parameters out of a request, and the types of its result."""

    def __init__(self, api: Specification, described: dict[str, Any], schema: Any) -> None:
        self._api = api
        self.name: str = described["name"]
        self.returns: list[str] = described["returns"]
        self.fields = {field["name"]: field for field in described.get("fields", [])}
        self._schema = {
            "type": "object",
            "properties": {name: schema(field["types"]) for name, field in self.fields.items()},
        }
        self._needed = [name for name, field in self.fields.items() if field["required"]]

    def read(self, raw: Params) -> Params:
        """Typed parameters from a query, a form or a JSON body; Refused as Telegram would.

        Everything may come as text; names the method does not know are ignored, as Telegram does.
        """
        params = {
            name: _typed(name, self.fields[name]["types"], value)
            for name, value in raw.items()
            if name in self.fields
        }
        for name in self._needed:
            if name not in params:
                raise Refused(400, f"Bad Request: {'message text' if name == 'text' else name} is empty")
        if wrong := _first_error(self._api.validator(self._schema), params):
            raise Refused(400, f"Bad Request: {wrong}")
        for name, value in params.items():
            self._check_length(name, value)
        return params

    def _check_length(self, name: str, value: object) -> None:
        """The limits that the specification states in prose: "1-4096 characters after entities parsing"."""
        limits = re.search(r"\b(\d+)-(\d+) (characters|bytes)", self.fields[name]["description"])
        if not limits or not isinstance(value, str):
            return
        # UTF-16 units, in which the Bot API counts text, are two bytes each.
        length = len(value.encode()) if limits[3] == "bytes" else len(value.encode("utf-16-le")) // 2
        called = {"text": "message", "caption": "message caption"}.get(name, name.replace("_", " "))
        if length > int(limits[2]):
            raise Refused(400, f"Bad Request: {called} is too long")
        if length < int(limits[1]) and self.fields[name]["required"]:
            raise Refused(400, f"Bad Request: {'message text' if name == 'text' else called} is empty")


@cache
def specification(source: Path) -> Specification:
    return Specification(source)


def _first_error(validator: Draft202012Validator, value: object) -> str:
    error = best_match(validator.iter_errors(value))
    return f"{'.'.join(map(str, error.absolute_path)) or 'it'}: {error.message[:200]}" if error else ""


def _typed(name: str, types: list[str], value: Any) -> Any:
    """What a parameter means that came as text. What came as JSON is left for the schema to judge."""
    if not isinstance(value, str):
        return value
    if "Integer" in types and re.fullmatch(r"-?\d+", value):
        return int(value)
    if "Float" in types and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if "Boolean" in types and value.lower() in {"true", "false", "yes", "no", "1", "0"}:
        return value.lower() in {"true", "yes", "1"}
    if {"String", "InputFile", "Integer", "Float", "Boolean"} & set(types):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise Refused(400, f"Bad Request: can't parse {name} JSON object") from None
