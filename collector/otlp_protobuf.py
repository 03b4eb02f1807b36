"""OTLP protobuf bodies → spans, through the standard message classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from collector.otlp_span import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_SPANS,
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

_FEW_BYTES = 64 * 1024  # too few for more spans than a body may hold
_NOT_PROTOBUF = "The body is not an OTLP protobuf message; send one, or name its real format in Content-Type."


def decode_protobuf_traces(body: bytes) -> Decoded:
    """Every span of a protobuf body, read or refused one by one; Undecodable where no span can be found."""
    decoded = Decoded([], [])
    if len(body) > _FEW_BYTES:
        check_count(sum(1 for _ in islice(_span_frames(body), MAX_SPANS + 1)))
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        _decode_span_by_span(body, decoded)
        return decoded
    for group in request.resource_spans:
        resource = _tolerant_attributes(group.resource)
        for scoped in group.scope_spans:
            origin = Origin(resource, _text(scoped.scope.name), _text(scoped.scope.version))
            for raw in scoped.spans:
                _append(raw, origin, decoded)
    return decoded


def count_protobuf_log_records(body: bytes) -> int:
    """How many log records the body holds, found by their frames alone."""
    return sum(1 for _ in _span_frames(body))


def count_protobuf_data_points(body: bytes) -> int:
    """How many metric data points the body holds, found by their frames alone."""
    return sum(
        1
        for group in _frames(body, 1)
        for scoped in _frames(group, 2)
        for metric in _frames(scoped, 2)
        for kind in (5, 7, 9, 10, 11)  # gauge, sum, histogram, exponential histogram, summary
        for data in _frames(metric, kind)
        for _ in _frames(data, 1)
    )


def _span_frames(body: bytes) -> Iterator[bytes]:
    """The spans or log records of a body, still packed."""
    return (
        frame for group in _frames(body, 1) for scoped in _frames(group, 2) for frame in _frames(scoped, 2)
    )


def _append(raw: Any, origin: Origin, decoded: Decoded) -> None:
    try:
        decoded.spans.append(_span(raw, origin))
    except Malformed as wrong:
        decoded.rejected.append(Rejected(str(wrong)))


def _span(raw: Any, origin: Origin) -> Span:
    start_ns, end_ns = checked_times(raw.start_time_unix_nano, raw.end_time_unix_nano)
    parent = raw.parent_span_id
    return Span(
        trace_id=_id(raw.trace_id, 16, "trace_id"),
        span_id=_id(raw.span_id, 8, "span_id"),
        # an unreadable parent costs the span its place in the trace, not its life
        parent_span_id=parent.hex() if len(parent) == 8 and any(parent) else None,
        name=_text(raw.name),
        start_ns=start_ns,
        end_ns=end_ns,
        kind=raw.kind,
        status=checked_status(raw.status.code),
        status_message=_text(raw.status.message),
        attributes=_attributes(raw.attributes),
        events=tuple(_events(at_both_ends(raw.events, lambda event: _text(event.name))))
        if raw.events
        else (),
        scope=origin.scope,
        scope_version=origin.scope_version,
        resource=origin.resource,
    )


def _events(raw: Sequence[Any]) -> Iterator[SpanEvent]:
    for event in raw:
        yield SpanEvent(_text(event.name), event.time_unix_nano, _attributes(event.attributes))


def _attributes(raw: Any) -> dict[str, Any]:
    if len(raw) > MAX_ATTRIBUTES:
        raise Malformed(f"the span has more than {MAX_ATTRIBUTES} attributes")
    found = {}
    for pair in raw[:]:  # a slice is cheaper to walk than the repeated field itself
        value = pair.value
        text = value.string_value
        found[_text(pair.key)] = _text(text) if text else _value(value, 0)
    return found


def _tolerant_attributes(resource: Any) -> dict[str, Any]:
    """A resource that cannot be read costs the spans their service's name, not their lives."""
    try:
        return _attributes(resource.attributes)
    except Malformed:
        return {}


def _value(raw: Any, depth: int) -> Any:
    kind = raw.WhichOneof("value")
    if kind == "string_value":
        return _text(raw.string_value)
    if kind is None:
        return None
    if kind == "array_value" or kind == "kvlist_value":
        if depth >= MAX_DEPTH:
            raise Malformed(f"an attribute is nested deeper than {MAX_DEPTH} levels")
        if kind == "array_value":
            return [_value(item, depth + 1) for item in raw.array_value.values]
        return {_text(pair.key): _value(pair.value, depth + 1) for pair in raw.kvlist_value.values}
    return getattr(raw, kind)


def _text(raw: str | bytes) -> str:
    """PostgreSQL refuses NUL, so it never gets past this point; bytes come from the lenient classes."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return text.replace("\0", "") if "\0" in text else text


def _id(raw: bytes, size: int, field: str) -> str:
    if len(raw) != size or not any(raw):
        raise Malformed(f"{field} must be {size} bytes and not all zero")
    return raw.hex()


# The parser gives up on a whole body for one bad string or one deep value. Then the frames around
# the spans are walked by hand and each span is parsed alone, with strings declared as bytes.


def _decode_span_by_span(body: bytes, decoded: Decoded) -> None:
    for group in _frames(body, 1):
        resource = _lenient_attributes(group)
        for scoped in _frames(group, 2):
            origin = _lenient_origin(scoped, resource)
            for frame in _frames(scoped, 2):
                try:
                    raw = _lenient("opentelemetry.proto.trace.v1.Span").FromString(frame)
                except DecodeError:
                    decoded.rejected.append(Rejected("the span is not a readable protobuf message"))
                else:
                    _append(raw, origin, decoded)


def _lenient_attributes(group: bytes) -> dict[str, Any]:
    resource: dict[str, Any] = {}
    for frame in _frames(group, 1):
        try:
            message = _lenient("opentelemetry.proto.resource.v1.Resource").FromString(frame)
        except DecodeError:
            continue
        resource |= _tolerant_attributes(message)
    return resource


def _lenient_origin(scoped: bytes, resource: dict[str, Any]) -> Origin:
    for frame in _frames(scoped, 1):
        try:
            scope = _lenient("opentelemetry.proto.common.v1.InstrumentationScope").FromString(frame)
        except DecodeError:
            break
        return Origin(resource, _text(scope.name), _text(scope.version))
    return Origin(resource)


@cache
def _lenient(full_name: str) -> Any:
    """The same message with its strings declared as bytes, which no encoding error can break."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2):
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in file.message_type:
            _strings_as_bytes(message)
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))


def _strings_as_bytes(message: Any) -> None:
    for field in message.field:
        if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        _strings_as_bytes(nested)


def _frames(message: bytes, wanted: int) -> Iterator[bytes]:
    """The length-delimited fields of one number, in order; every field's frame is checked on the way."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(message, at)
            if size > end - at:
                raise Undecodable(_NOT_PROTOBUF)
            if tag >> 3 == wanted:
                yield message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise Undecodable(_NOT_PROTOBUF)
    if at > end:
        raise Undecodable(_NOT_PROTOBUF)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
    raise Undecodable(_NOT_PROTOBUF)
