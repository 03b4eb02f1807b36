"""OTLP bodies, already unpacked, → spans and counts."""

from __future__ import annotations

from collector.otlp_json import count_json_data_points, count_json_log_records, decode_json_traces
from collector.otlp_protobuf import (
    count_protobuf_data_points,
    count_protobuf_log_records,
    decode_protobuf_traces,
)
from collector.otlp_span import Decoded, Rejected
from collector.reply import Encoding

__all__ = [
    "Decoded",
    "Rejected",
    "count_data_points",
    "count_log_records",
    "decode_traces",
]


def decode_traces(body: bytes, encoding: Encoding) -> Decoded:
    """Every span of the body, either as a span or as a refusal: one bad span never costs its neighbours.

    Raises Undecodable where the body is not an export request at all.
    """
    return decode_json_traces(body) if encoding == "json" else decode_protobuf_traces(body)


def count_log_records(body: bytes, encoding: Encoding) -> int:
    """How many log records the body holds, for the answer that says they were not taken."""
    return count_json_log_records(body) if encoding == "json" else count_protobuf_log_records(body)


def count_data_points(body: bytes, encoding: Encoding) -> int:
    """How many metric data points the body holds, for the answer that says they were not taken."""
    return count_json_data_points(body) if encoding == "json" else count_protobuf_data_points(body)
