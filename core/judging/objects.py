"""JSON objects in a text that is not JSON all through, strictly or as models nearly write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

_STARTS_MAX = 200
_LONGEST = 20_000
_DEEPEST = 12
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|["\'{}\[\]]', re.DOTALL)
_LOOSE = re.compile(r'("(?:[^"\\]|\\.)*")|\'((?:[^\'\\]|\\.)*)\'|,(?=\s*[}\]])', re.DOTALL)
_QUOTE = re.compile(r'\\(.)|(")', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it stands in the text; its value is None where it is no JSON, however kindly read. `rest` is all
    that was not looked at."""

    text: str
    value: dict[str, Any] | None
    rest: bool = False


def objects_in(text: str) -> Iterator[Found]:
    """The outermost objects from left to right, and each brace that begins none. In bounded time: after 200 of
    either it gives up on the rest."""
    at, starts = text.find("{"), 0
    while at >= 0:
        starts += 1
        if starts > _STARTS_MAX:
            yield Found(text[at:], None, rest=True)
            return
        found = _at(text, at)
        yield found
        at = text.find("{", at + (len(found.text) if found.value is not None else 1))


def objects_with(name: str, text: str) -> Iterator[Found]:
    """The first 200 objects that seem to have this name, wherever in the text."""
    at = text.find(name)
    for _ in range(_STARTS_MAX):
        if at < 0:
            return
        if (start := text.rfind("{", 0, at)) >= 0:
            yield _at(text, start)
        at = text.find(name, at + len(name))


def _at(text: str, start: int) -> Found:
    end = _end(text, start)
    if end is None:
        return Found(text[start : start + _LONGEST], None)
    whole = text[start:end]
    for written in (whole, _LOOSE.sub(_mended, whole)):
        try:
            value = json.loads(written, object_pairs_hook=_once, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        return Found(whole, value)
    return Found(whole, None)


def _end(text: str, start: int) -> int | None:
    """Where the object that begins here ends, None where it does not, or is too long or too deep for a verdict."""
    depth = 0
    for piece in _PIECE.finditer(text, start, start + _LONGEST):
        if piece[0] in "{[":
            depth += 1
        elif piece[0] in "}]":
            depth -= 1
        elif len(piece[0]) == 1:  # a quote that nobody closes
            return None
        if depth == 0:
            return piece.end()
        if depth > _DEEPEST:
            return None
    return None


def _mended(found: re.Match[str]) -> str:
    """Single quotes as double ones, and no comma before a closing bracket."""
    if found[1] is not None:
        return found[1]
    if found[2] is None:
        return ""
    return '"' + _QUOTE.sub(lambda one: '\\"' if one[2] else "'" if one[1] == "'" else one[0], found[2]) + '"'


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that gives one name twice says two things."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
