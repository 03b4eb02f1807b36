"""One OpenTelemetry span as decoded from the wire, before anyone gave it a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

StatusCode = Literal["unset", "ok", "error"]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A timed event on a span; `time_ns` is Unix time in nanoseconds."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Ids are lower-case hex (32 and 16 digits), times Unix nanoseconds, attributes plain Python values
    (str, bool, int, float, bytes, list, dict)."""

    trace_id: str
    span_id: str
    name: str
    start_ns: int
    end_ns: int
    parent_span_id: str | None = None
    kind: int = 0
    status: StatusCode = "unset"
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    scope: str = ""
    scope_version: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)
