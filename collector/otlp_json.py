"""OTLP/JSON bodies → spans, by hand: the protobuf library's own JSON reader takes hex ids for base64."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from collector.otlp_span import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_INT64,
    Decoded,
    Malformed,
    Origin,
    Rejected,
    at_both_ends,
    check_count,
    checked_status,
    checked_times,
)
from core.errors import Undecodable
from core.span import Span, SpanEvent

# Four JSON levels make one level of an attribute value; anything deeper is refused later anyway.
MAX_BRACKETS = 5 * MAX_DEPTH + 40

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_METRIC_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def decode_json_traces(body: bytes) -> Decoded:
    """Every span of a JSON body, read or refused one by one; Undecodable only where no span can be found."""
    decoded = Decoded([], [])
    for group in _objects(_load(body), "resourceSpans"):
        resource = _tolerant_attributes(group.get("resource"))
        for scoped in _objects(group, "scopeSpans"):
            scope = scoped.get("scope")
            scope = scope if isinstance(scope, dict) else {}
            origin = Origin(resource, _text(scope.get("name", "")), _text(scope.get("version", "")))
            spans = _list(scoped, "spans")
            check_count(len(decoded.spans) + len(decoded.rejected) + len(spans))
            for raw in spans:
                try:
                    decoded.spans.append(_span(raw, origin))
                except (Malformed, TypeError, AttributeError, ValueError, OverflowError) as wrong:
                    decoded.rejected.append(Rejected(_reason(wrong)))
    return decoded


def count_json_log_records(body: bytes) -> int:
    """How many log records the body holds."""
    groups = _objects(_load(body), "resourceLogs")
    return sum(
        len(_list(scoped, "logRecords")) for group in groups for scoped in _objects(group, "scopeLogs")
    )


def count_json_data_points(body: bytes) -> int:
    """How many metric data points the body holds."""
    return sum(
        len(_list(metric[kind], "dataPoints"))
        for group in _objects(_load(body), "resourceMetrics")
        for scoped in _objects(group, "scopeMetrics")
        for metric in _objects(scoped, "metrics")
        for kind in _METRIC_KINDS
        if isinstance(metric.get(kind), dict)
    )


def _load(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _load_leniently(body)
    if not isinstance(parsed, dict):
        raise Undecodable("The body is JSON but not an object; send an OTLP export request.")
    return parsed


def _load_leniently(body: bytes) -> Any:
    """One bad string or one absurdly deep value must not cost a whole batch, so repair those two."""
    try:
        return json.loads(_pruned(body).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        message = "The body is not JSON; send OTLP/JSON, or name its real format in Content-Type."
        raise Undecodable(message) from None


def _pruned(body: bytes) -> bytes:
    """The same JSON with every value nested beyond MAX_BRACKETS replaced by null."""
    kept: list[bytes] = []
    depth = done = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        bracket = body[match.start()]
        if bracket in b"[{":
            depth += 1
            if depth == MAX_BRACKETS + 1:
                kept += body[done : match.start()], b"null"
        elif bracket in b"]}":
            if depth == MAX_BRACKETS + 1:
                done = match.end()
            depth -= 1
    return b"".join([*kept, body[done:]]) if kept else body


def _span(raw: Any, origin: Origin) -> Span:
    if not isinstance(raw, dict):
        raise Malformed("a span must be a JSON object")
    start_ns, end_ns = checked_times(
        _whole(raw.get("startTimeUnixNano", 0)), _whole(raw.get("endTimeUnixNano", 0))
    )
    status = raw.get("status") or {}
    return Span(
        trace_id=_id(raw.get("traceId"), 32, "traceId"),
        span_id=_id(raw.get("spanId"), 16, "spanId"),
        parent_span_id=_parent(raw.get("parentSpanId")),
        name=_text(raw.get("name", "")),
        start_ns=start_ns,
        end_ns=end_ns,
        kind=_enum(raw.get("kind", 0), "kind"),
        status=checked_status(_enum(status.get("code", 0), "status.code")),
        status_message=_text(status.get("message", "")),
        attributes=_attributes(raw.get("attributes")),
        events=tuple(_events(at_both_ends(_list(raw, "events"), lambda event: event.get("name")))),
        scope=origin.scope,
        scope_version=origin.scope_version,
        resource=origin.resource,
    )


def _events(raw: Sequence[Any]) -> Iterator[SpanEvent]:
    for event in raw:
        yield SpanEvent(
            _text(event.get("name", "")),
            _whole(event.get("timeUnixNano", 0)),
            _attributes(event.get("attributes")),
        )


def _attributes(raw: Any) -> dict[str, Any]:
    if not isinstance(raw or [], list):
        raise Malformed("attributes must be a list of keys and values")
    if len(raw or ()) > MAX_ATTRIBUTES:
        raise Malformed(f"the span has more than {MAX_ATTRIBUTES} attributes")
    return {_text(pair["key"]): _value(pair.get("value"), 0) for pair in raw or () if "key" in pair}


def _tolerant_attributes(resource: Any) -> dict[str, Any]:
    """A resource that cannot be read costs the spans their service's name, not their lives."""
    try:
        return _attributes(resource.get("attributes"))
    except (TypeError, AttributeError, ValueError, OverflowError):
        return {}


def _value(raw: Any, depth: int) -> Any:
    if not raw:
        return None
    if depth > MAX_DEPTH:
        raise Malformed(f"an attribute is nested deeper than {MAX_DEPTH} levels")
    if "stringValue" in raw:
        return _text(raw["stringValue"])
    if "intValue" in raw:
        return _int64(raw["intValue"])
    if "boolValue" in raw:
        return bool(raw["boolValue"])
    if "doubleValue" in raw:
        return float(raw["doubleValue"])
    if "arrayValue" in raw:
        return [_value(item, depth + 1) for item in raw["arrayValue"].get("values") or ()]
    if "kvlistValue" in raw:
        pairs = raw["kvlistValue"].get("values") or ()
        return {_text(pair["key"]): _value(pair.get("value"), depth + 1) for pair in pairs}
    if "bytesValue" in raw:
        return b64decode(raw["bytesValue"])
    return None


def _text(raw: Any) -> str:
    """PostgreSQL refuses NUL and half surrogate pairs, so neither gets past this point."""
    if not isinstance(raw, str):
        raise Malformed("a name or stringValue is not a string")
    if not raw.isascii():
        raw = raw.encode("utf-8", "replace").decode()
    text: str = raw.replace("\0", "") if "\0" in raw else raw
    return text


def _whole(raw: Any) -> int:
    """A 64-bit integer as the protocol allows it: a JSON number or a decimal string."""
    if isinstance(raw, bool) or (isinstance(raw, str) and len(raw) > 32):
        raise Malformed("an integer field holds something else")
    return int(raw)


def _int64(raw: Any) -> int:
    number = _whole(raw)
    if not -MAX_INT64 - 1 <= number <= MAX_INT64:
        raise Malformed("an intValue does not fit 64 bits")
    return number


def _enum(raw: Any, field: str) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Malformed(f"{field} must be an integer; OTLP/JSON does not use enum names")
    return raw


def _id(raw: Any, digits: int, field: str) -> str:
    if isinstance(raw, str) and len(raw) == digits:
        try:
            binary = bytes.fromhex(raw)
        except ValueError:
            binary = b""
        # fromhex() skips blanks, so the length is asked again
        if 2 * len(binary) == digits and any(binary):
            return raw.lower()
    raise Malformed(f"{field} must be {digits} hexadecimal digits and not all zero")


def _parent(raw: Any) -> str | None:
    """An unreadable parent costs the span its place in the trace, not its life."""
    try:
        return _id(raw, 16, "parentSpanId")
    except Malformed:
        return None


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    items = parent.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise Undecodable(f"`{name}` must be a list; send an OTLP export request.")
    return items


def _objects(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = _list(parent, name)
    if not all(isinstance(item, dict) for item in items):
        raise Undecodable(f"`{name}` must hold objects; send an OTLP export request.")
    return items


def _reason(wrong: Exception) -> str:
    return str(wrong) if isinstance(wrong, Malformed) else "a field holds a value of the wrong type"
