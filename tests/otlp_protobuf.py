"""Small OTLP bodies for tests, in protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def span(
    trace_id: bytes,
    span_id: bytes,
    name: str,
    start_ns: int,
    duration_ns: int,
    attributes: Mapping[str, str | int],
    parent: bytes = b"",
) -> Span:
    """One span with attributes of text and whole numbers."""
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + duration_ns,
        attributes=_pairs(attributes),
    )


def body(spans: Iterable[Span], service: str = "app") -> bytes:
    """An ExportTraceServiceRequest with one resource and one scope."""
    export = ExportTraceServiceRequest()
    group = export.resource_spans.add()
    group.resource.attributes.extend(_pairs({"service.name": service}))
    group.scope_spans.add().spans.extend(spans)
    return export.SerializeToString()


def _pairs(attributes: Mapping[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value),
        )
        for key, value in attributes.items()
    ]
