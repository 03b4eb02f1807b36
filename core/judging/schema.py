"""JSON schemas that people write, checked so that no answer takes long against them and nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import jsonschema_rs

from core.errors import BadQuestion

LONGEST = 50_000
UNFOLDED_MAX = 2000
"""Parts of a schema with each reference replaced by what it refers to: what bounds the work on an answer."""


def check_schema(schema: Any, where: str) -> None:
    """A `BadQuestion` where this is no schema that can be used."""
    if not isinstance(schema, dict):
        raise BadQuestion(f"{where} is a JSON schema: an object.")
    try:
        text = json.dumps(schema)
        if len(text) > LONGEST:
            raise BadQuestion(f"{where} is longer than {LONGEST:,} characters. Say less of it.")
        _check_size(schema, where)
        _validator(text)
    except (ValueError, RecursionError) as error:
        raise BadQuestion(f"{where} is no valid JSON schema: {_first_line(error)}") from None


def mismatch(schema: Mapping[str, Any], value: Any) -> str | None:
    """Where and why the value does not fit the schema, which was checked; None where it fits."""
    error = next(_validator(json.dumps(schema)).iter_errors(value), None)
    if error is None:
        return None
    at = "/".join(map(str, error.instance_path))
    return f"at {at}: {error.message}" if at else error.message


@lru_cache(maxsize=50)
def _validator(text: str) -> Any:
    return jsonschema_rs.validator_for(
        json.loads(text),
        pattern_options=jsonschema_rs.RegexOptions(size_limit=4 << 20, dfa_size_limit=4 << 20),
        validate_formats=True,
        retriever=_fetch_nothing,
    )


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is outside the schema")


def _check_size(schema: Mapping[str, Any], where: str) -> None:
    """Counts a reference as what it refers to, each time, and stops at the bound."""
    todo: list[tuple[Any, tuple[str, ...]]] = [(schema, ())]
    for _ in range(UNFOLDED_MAX):
        if not todo:
            return
        part, within = todo.pop()
        if isinstance(part, list):
            todo += [(one, within) for one in part]
        elif isinstance(part, dict):
            todo += _parts(part, schema, within, where)
    raise BadQuestion(f"{where} has more than {UNFOLDED_MAX:,} parts with its references unfolded.")


def _parts(
    part: Mapping[str, Any], whole: Mapping[str, Any], within: tuple[str, ...], where: str
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    for name, value in part.items():
        if name in ("$dynamicRef", "$recursiveRef", "$id", "$anchor") and isinstance(value, str):
            raise BadQuestion(f"{where} uses {name}. Refer by $ref and a path, such as #/$defs/address.")
        if name == "$ref" and isinstance(value, str):
            if value in within or value == "#":
                raise BadQuestion(f"{where} refers to itself by {value[:60]}. Write the levels out.")
            yield _referred(whole, value, where), (*within, value)
        elif name not in ("$defs", "definitions"):
            yield value, within


def _referred(whole: Mapping[str, Any], reference: str, where: str) -> Any:
    at: Any = whole if reference.startswith("#/") else None
    for name in reference[2:].split("/"):
        at = at.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
    if isinstance(at, dict | bool):
        return at
    raise BadQuestion(
        f"{where} refers to {reference[:60]!r}, which is not in it. Use a path such as #/$defs/address."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it is nested too deep"])[0][:200]
