"""What was asked and answered, wherever a family keeps it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.conventions.family import Texts
from core.conventions.read import role_of
from core.conventions.registry import FAMILIES
from core.request import Content
from core.span import Span

MAX_MESSAGES = 1000

# Most prompts are no JSON, and a parser's error costs more than this look at how they start.
_MAY_BE_JSON = re.compile(r'\s*(?:[\[{"\-0-9]|true|false|null)')
_ASKED = tuple(family.asked for family in FAMILIES if family.asked != Texts())
_ANSWERED = tuple(family.answered for family in FAMILIES if family.answered != Texts())


def content_from_span(span: Span) -> Content | None:
    """Prompt and answer of a request as JSON text, in its sender's shape; None where neither was sent."""
    if role_of(span.attributes).billing != "request":
        return None
    asked = _first(span, _ASKED)
    answered = _first(span, _ANSWERED)
    if asked is None and answered is None:
        return None
    return Content(span.trace_id, span.span_id, span.start_ns, asked, answered)


def _first(span: Span, places: Sequence[Texts]) -> str | None:
    for texts in places:
        found = _whole(span.attributes, texts)
        if found is None and texts.numbered:
            found = _numbered(span, texts)
        if found is None and span.events:
            found = _from_events(span, texts)
        if found is not None:
            return found
    return None


def _whole(attributes: Mapping[str, Any], texts: Texts) -> str | None:
    messages = _present(attributes, texts.whole)
    system = _present(attributes, texts.system)
    if system is None:
        return None if messages is None else _json_text(messages)
    # both are JSON texts by now, so gluing them keeps every byte the sender wrote
    return f'{{"system":{_json_text(system)},"messages":{_json_text(messages)}}}'


def _present(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if value := attributes.get(name):
            return value
    return None


def _numbered(span: Span, texts: Texts) -> str | None:
    """`prefix.N.rest` attributes as a list, in the order of their numbers: 10 comes after 9."""
    messages: dict[int, dict[str, Any]] = {}
    for prefix in texts.numbered:
        for name, value in span.attributes.items():
            if name.startswith(prefix):
                at, _, rest = name[len(prefix) :].partition(".")
                if at.isdecimal() and len(at) < 6 and len(messages) < MAX_MESSAGES:
                    messages.setdefault(int(at), {})[rest] = value
    return _json_text([messages[at] for at in sorted(messages)]) if messages else None


def _from_events(span: Span, texts: Texts) -> str | None:
    for event in span.events:
        value = event.attributes.get(texts.events.get(event.name, ""))
        if value:
            return _json_text(value)
    return None


def _json_text(value: Any) -> str:
    """Text that is JSON already stays as it was sent; anything else, cut-off JSON included, is quoted."""
    if isinstance(value, str):
        if not _MAY_BE_JSON.match(value):
            return orjson.dumps(value).decode()
        try:
            orjson.loads(value)
        except orjson.JSONDecodeError:
            return orjson.dumps(value).decode()
        return value
    return orjson.dumps(value, default=_as_base64, option=orjson.OPT_NON_STR_KEYS).decode()


def _as_base64(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
