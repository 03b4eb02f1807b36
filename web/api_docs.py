"""The API's own OpenAPI description as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

# Path parameters: an example, and what they mean.
_PATH = {
    "trace_id": ("4bf92f3577b34da6a3ce929d0e0e4736", "32 hex digits"),
    "request_id": ("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "trace id, hyphen, span id"),
    "key_id": ("7", "the key's id in the list of keys"),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `where` is path, query or body."""

    name: str
    where: str
    type: str
    required: bool
    words: str


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path; filters stand apart because several routes share them."""

    id: str
    method: str
    path: str
    summary: str
    parameters: Sequence[Parameter]
    filters: Sequence[Parameter]
    answers: Sequence[tuple[str, str]]
    example: str


def routes(openapi: Mapping[str, Any], base_url: str) -> list[Route]:
    """Every route of the description, in its order."""
    return [
        _route(openapi, base_url, path, method, operation)
        for path, methods in openapi.get("paths", {}).items()
        for method, operation in methods.items()
    ]


def _route(
    openapi: Mapping[str, Any], base_url: str, path: str, method: str, operation: Mapping[str, Any]
) -> Route:
    given = operation.get("parameters", [])
    every = [_parameter(one) for one in given]
    schema = _body_schema(openapi, operation)
    return Route(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        parameters=[one for one in every if not one.words.startswith("Filter:")] + _body_parameters(schema),
        filters=[one for one in every if one.words.startswith("Filter:")],
        answers=[
            (code, answer.get("description", ""))
            for code, answer in sorted(operation.get("responses", {}).items())
            if code != "422"  # asgi.py answers 400 in its place
        ],
        example=_example(base_url, path, method, given, schema),
    )


def _parameter(one: Mapping[str, Any]) -> Parameter:
    schema = one.get("schema", {})
    words = one.get("description") or (_PATH.get(one["name"], ("", ""))[1] if one["in"] == "path" else "")
    return Parameter(
        one["name"], one["in"], _type(schema), one.get("required", False), words.replace("`", "")
    )


def _type(schema: Mapping[str, Any]) -> str:
    kinds = [part.get("type", "") for part in schema.get("anyOf", [schema])]
    return " or ".join(kind for kind in kinds if kind and kind != "null") or "any"


def _body_schema(openapi: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    schema: Mapping[str, Any] = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = openapi.get("components", {}).get("schemas", {}).get(name, schema)
    return found


def _body_parameters(schema: Mapping[str, Any]) -> list[Parameter]:
    required = schema.get("required", ())
    return [
        Parameter(name, "body", _type(one), name in required, one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def _example(
    base_url: str, path: str, method: str, given: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]
) -> str:
    """A command that can be pasted once `KEY` holds a key."""
    query = [
        f"{one['name']}={quote(str(examples[0]), safe=',:')}"
        for one in given
        if one["in"] == "query" and (examples := one.get("schema", {}).get("examples") or one.get("examples"))
    ]
    for name, (value, _) in _PATH.items():
        path = path.replace("{" + name + "}", value)
    url = f"{base_url}{path}" + (f"?{'&'.join(query)}" if query else "")
    parts = ["curl" + (f" -X {method.upper()}" if method != "get" else "")]
    parts += ['-H "Authorization: Bearer $KEY"']
    body = {
        name: one["examples"][0] for name, one in schema.get("properties", {}).items() if one.get("examples")
    }
    if body:
        parts += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(body)}'"]
    return " \\\n  ".join([*parts, f"'{url}'"])
