"""Bodies → spans: one bad span never costs its neighbours, and a bad body says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from collector.decode import count_data_points, count_log_records, decode_traces
from collector.otlp_span import MAX_EVENTS
from core.errors import Undecodable
from core.span import Span

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
START = 1_795_300_000_000_000_000


def json_span(**changes: Any) -> dict[str, Any]:
    span = {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 5),
    }
    return {name: value for name, value in {**span, **changes}.items() if value is not None}


def json_body(*spans: Any, resource: Any = None) -> bytes:
    scoped = [{"scope": {"name": "lib", "version": "1"}, "spans": list(spans)}]
    return json.dumps({"resourceSpans": [{"resource": resource or {}, "scopeSpans": scoped}]}).encode()


def json_value(value: Any) -> Any:
    decoded = decode_traces(json_body(json_span(attributes=[{"key": "k", "value": value}])), "json")
    return decoded.spans[0].attributes["k"]


def protobuf_body(*attributes: KeyValue, spans: int = 1, **changes: Any) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "app"
    scoped = group.scope_spans.add()
    scoped.scope.name = "lib"
    for _ in range(spans):
        fields = {
            "trace_id": bytes.fromhex(TRACE),
            "span_id": bytes.fromhex(SPAN),
            "name": "chat",
            "start_time_unix_nano": START,
            "end_time_unix_nano": START + 5,
            **changes,
        }
        scoped.spans.add(**fields, attributes=attributes)
    body: bytes = request.SerializeToString()
    return body


def deep(levels: int) -> AnyValue:
    value = AnyValue(int_value=1)
    for _ in range(levels):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    return value


def deeper_than_the_parser_goes() -> bytes:
    """A body whose one attribute is nested too deep for the library to build it, so framed by hand."""

    def framed(field: int, content: bytes) -> bytes:
        size, head = len(content), bytes([field << 3 | 2])
        while size > 0x7F:
            head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
        return head + bytes([size]) + content

    value = b"\x18\x01"
    for _ in range(300):
        value = framed(5, framed(1, value))
    attribute = framed(1, b"k") + framed(2, value)
    span = framed(1, bytes.fromhex(TRACE)) + framed(2, bytes.fromhex(SPAN)) + framed(9, attribute)
    return framed(1, framed(2, framed(2, span)))


def test_both_encodings_give_the_same_span() -> None:
    attribute = KeyValue(key="n", value=AnyValue(int_value=7))
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    as_json = json_span(attributes=[{"key": "n", "value": {"intValue": "7"}}])
    from_json = decode_traces(json_body(as_json, resource=resource), "json").spans[0]
    from_protobuf = decode_traces(protobuf_body(attribute), "protobuf").spans[0]
    assert from_protobuf.attributes == from_json.attributes == {"n": 7}
    assert from_protobuf.resource == from_json.resource == {"service.name": "app"}
    assert (from_protobuf.trace_id, from_protobuf.start_ns) == (from_json.trace_id, from_json.start_ns)


def test_json_ids_are_hexadecimal_in_either_case() -> None:
    span = decode_traces(json_body(json_span(traceId=TRACE.upper(), spanId=SPAN.upper())), "json").spans[0]
    assert (span.trace_id, span.span_id) == (TRACE, SPAN)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"stringValue": "x"}, "x"),
        ({"intValue": "12"}, 12),
        ({"intValue": 12}, 12),
        ({"boolValue": False}, False),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": "Infinity"}, float("inf")),
        ({"bytesValue": "aGk="}, b"hi"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, [1, None]),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}, {"a": 1}),
        ({"futureValue": 1}, None),
        ({}, None),
    ],
)
def test_json_values_become_plain_ones(sent: Any, read: Any) -> None:
    assert json_value(sent) == read


def test_a_json_double_may_be_not_a_number() -> None:
    assert str(json_value({"doubleValue": "NaN"})) == "nan"


def test_json_knows_lower_camel_case_only() -> None:
    assert decode_traces(b'{"resource_spans": [{"scope_spans": []}]}', "json").spans == []


@pytest.mark.parametrize(
    "bad",
    [
        json_span(traceId="abc"),
        json_span(traceId="0" * 32),
        json_span(traceId="zz" * 16),
        json_span(traceId=" " * 32),
        json_span(traceId=None),
        json_span(spanId=TRACE),
        json_span(startTimeUnixNano=None),
        json_span(startTimeUnixNano="0"),
        json_span(startTimeUnixNano="soon"),
        json_span(startTimeUnixNano=str(2**64 - 1)),
        json_span(kind="SPAN_KIND_CLIENT"),
        json_span(status={"code": "STATUS_CODE_ERROR"}),
        json_span(name=7),
        json_span(attributes="no list"),
        json_span(attributes=[{"key": "n", "value": {"intValue": "many"}}]),
        json_span(attributes=[{"key": "n", "value": {"intValue": str(2**70)}}]),
        json_span(events=[7]),
        "no object",
    ],
)
def test_a_bad_json_span_is_refused_alone(bad: Any) -> None:
    decoded = decode_traces(json_body(json_span(), bad, json_span()), "json")
    assert (len(decoded.spans), len(decoded.rejected)) == (2, 1)
    assert decoded.rejected[0].reason


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_id": b"short"},
        {"trace_id": bytes(16)},
        {"span_id": bytes(8)},
        {"start_time_unix_nano": 0},
        {"start_time_unix_nano": 2**64 - 1},
    ],
)
def test_a_bad_protobuf_span_is_refused_alone(changes: dict[str, Any]) -> None:
    decoded = decode_traces(protobuf_body() + protobuf_body(**changes), "protobuf")
    assert (len(decoded.spans), len(decoded.rejected)) == (1, 1)


@pytest.mark.parametrize("end", ["0", str(START - 1), str(2**64 - 1), None])
def test_a_span_that_ends_before_it_starts_lasts_no_time(end: str | None) -> None:
    span = decode_traces(json_body(json_span(endTimeUnixNano=end)), "json").spans[0]
    assert span.end_ns == span.start_ns


@pytest.mark.parametrize("parent", ["", "0" * 16, "abc"])
def test_an_unreadable_parent_makes_a_root(parent: str) -> None:
    assert decode_traces(json_body(json_span(parentSpanId=parent)), "json").spans[0].parent_span_id is None


def test_nul_characters_are_dropped_in_both_encodings() -> None:
    attribute = KeyValue(key="a\0b", value=AnyValue(string_value="x\0y"))
    assert decode_traces(protobuf_body(attribute), "protobuf").spans[0].attributes == {"ab": "xy"}
    assert json_value({"stringValue": "x\0y"}) == "xy"


def test_a_half_surrogate_pair_costs_one_character_not_the_batch() -> None:
    body = json_body(json_span(), json_span(name="MARK")).replace(b"MARK", b"a\\ud800b")
    assert [span.name for span in decode_traces(body, "json").spans] == ["chat", "a?b"]


def test_bytes_that_are_not_utf8_cost_one_character_not_the_batch() -> None:
    text = json_body(json_span(), json_span(name="MARK")).replace(b"MARK", b"a\xffbc")
    assert [span.name for span in decode_traces(text, "json").spans] == ["chat", "a\ufffdbc"]
    binary = (protobuf_body() + protobuf_body(name="MARK")).replace(b"MARK", b"a\xffbc")
    spans = decode_traces(binary, "protobuf").spans
    assert [span.name for span in spans] == ["chat", "a\ufffdbc"]
    assert {(span.scope, span.resource["service.name"]) for span in spans} == {("lib", "app")}


@pytest.mark.parametrize("levels", [33, 90, 3000])
def test_absurd_nesting_is_refused_alone(levels: int) -> None:
    value = '{"arrayValue":{"values":[' * levels + '{"intValue":1}' + "]}}" * levels
    bad = json_span(attributes=[{"key": "k", "value": "MARK"}])
    both = json_body(json_span(), bad).replace(b'"MARK"', value.encode())
    decoded = decode_traces(both, "json")
    assert (len(decoded.spans), len(decoded.rejected)) == (1, 1)


@pytest.mark.parametrize(
    "nested", [protobuf_body(KeyValue(key="k", value=deep(33))), deeper_than_the_parser_goes()]
)
def test_absurd_protobuf_nesting_is_refused_alone(nested: bytes) -> None:
    decoded = decode_traces(protobuf_body() + nested, "protobuf")
    assert (len(decoded.spans), len(decoded.rejected)) == (1, 1)


def test_nesting_that_people_use_is_kept() -> None:
    value = (
        decode_traces(protobuf_body(KeyValue(key="k", value=deep(8))), "protobuf").spans[0].attributes["k"]
    )
    assert json.dumps(value) == "[" * 8 + "1" + "]" * 8


def test_of_thousands_of_events_the_first_and_the_last_are_kept() -> None:
    events = [{"name": str(at), "timeUnixNano": START + at} for at in range(5000)]
    kept = decode_traces(json_body(json_span(events=events)), "json").spans[0].events
    assert (len(kept), kept[0].name, kept[-1].name) == (MAX_EVENTS, "0", "4999")


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[1]", b'{"resourceSpans": 7}', b'{"resourceSpans": [7]}', b"[" * 99999]
)
def test_a_body_that_is_no_json_export_says_what_to_do(body: bytes) -> None:
    with pytest.raises(Undecodable, match=r"send|name"):
        decode_traces(body, "json")


@pytest.mark.parametrize("body", [b"\x0a\xff\xff\xff\xff\x0fgarbage", b"\x0a", b"{}", protobuf_body()[:-3]])
def test_a_body_that_is_no_protobuf_export_says_what_to_do(body: bytes) -> None:
    with pytest.raises(Undecodable, match="send one, or name"):
        decode_traces(body, "protobuf")


def test_an_empty_export_is_no_error() -> None:
    assert decode_traces(b"", "protobuf").spans == decode_traces(b"{}", "json").spans == []


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(min_value=0, max_value=300))
def test_no_bytes_make_it_crash(noise: bytes, at: int) -> None:
    for body, encoding in ((protobuf_body(), "protobuf"), (json_body(json_span()), "json")):
        spoilt = body[:at] + noise + body[at + len(noise) :]
        try:
            decoded = decode_traces(spoilt, encoding)  # type: ignore[arg-type]
        except Undecodable:
            continue
        assert all(isinstance(span, Span) for span in decoded.spans)


def test_log_records_are_counted_in_both_encodings() -> None:
    request = ExportLogsServiceRequest()
    for _ in range(2):
        records = request.resource_logs.add().scope_logs.add().log_records
        for _ in range(3):
            records.add().body.string_value = "hi"
    assert count_log_records(request.SerializeToString(), "protobuf") == 6
    body: dict[str, Any] = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}]}]}
    assert count_log_records(json.dumps(body).encode(), "json") == 2


def test_data_points_of_every_kind_are_counted_in_both_encodings() -> None:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        points = getattr(metrics.add(name="m"), kind).data_points
        points.add(), points.add()
    assert count_data_points(request.SerializeToString(), "protobuf") == 10
    kinds = [{"sum": {"dataPoints": [{}]}}, {"exponentialHistogram": {"dataPoints": [{}, {}]}}, {"name": "x"}]
    body: dict[str, Any] = {"resourceMetrics": [{"scopeMetrics": [{"metrics": kinds}]}]}
    assert count_data_points(json.dumps(body).encode(), "json") == 3
