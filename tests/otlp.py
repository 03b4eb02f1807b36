"""Small OTLP bodies for tests, in the standard's own JSON."""

from __future__ import annotations

import json
import os
import time
from typing import Any


def attribute(key: str, value: Any) -> dict[str, Any]:
    """One KeyValue."""
    return {"key": key, "value": any_value(value)}


def any_value(value: Any) -> dict[str, Any]:
    """One AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(part) for part in value]}}
    return {"stringValue": value}


def llm_span(
    *,
    trace_id: str | None = None,
    span_id: str | None = None,
    parent: str | None = None,
    model: str = "gpt-4o-mini",
    provider: str = "openai",
    input_tokens: int | None = 23,
    output_tokens: int | None = 17,
    start_ns: int | None = None,
    duration_ns: int = 500_000_000,
    **attributes: Any,
) -> dict[str, Any]:
    """A chat span of the OpenTelemetry GenAI conventions; further attributes with `__` for dots."""
    start = time.time_ns() - duration_ns if start_ns is None else start_ns
    known: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
    }
    known |= {name.replace("__", "."): value for name, value in attributes.items()}
    return {
        "traceId": trace_id or os.urandom(16).hex(),
        "spanId": span_id or os.urandom(8).hex(),
        **({"parentSpanId": parent} if parent else {}),
        "name": f"chat {model}",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + duration_ns),
        "attributes": [attribute(name, value) for name, value in known.items() if value is not None],
        "status": {},
    }


def body(*spans: dict[str, Any], scope: str = "test", service: str = "app") -> bytes:
    """An ExportTraceServiceRequest in JSON."""
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": [attribute("service.name", service)]},
                    "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}],
                }
            ]
        }
    ).encode()
