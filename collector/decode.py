"""OTLP bodies, already unpacked, → spans and counts."""

from __future__ import annotations

from typing import Literal

from collector.otlp_json import count_json_data_points, count_json_log_records, decode_json_traces
from collector.otlp_protobuf import (
    count_protobuf_data_points,
    count_protobuf_log_records,
    decode_protobuf_traces,
)
from collector.otlp_span import Decoded, Rejected

ContentType = Literal["protobuf", "json"]

__all__ = [
    "ContentType",
    "Decoded",
    "Rejected",
    "count_data_points",
    "count_log_records",
    "decode_traces",
]


def decode_traces(body: bytes, content_type: ContentType) -> Decoded:
    """Every span of the body, either as a span or as a refusal: one bad span never costs its neighbours.

    Raises Undecodable where the body is not an export request at all.
    """
    return decode_json_traces(body) if content_type == "json" else decode_protobuf_traces(body)


def count_log_records(body: bytes, content_type: ContentType) -> int:
    """How many log records the body holds, for the answer that says they were not taken."""
    return count_json_log_records(body) if content_type == "json" else count_protobuf_log_records(body)


def count_data_points(body: bytes, content_type: ContentType) -> int:
    """How many metric data points the body holds, for the answer that says they were not taken."""
    return count_json_data_points(body) if content_type == "json" else count_protobuf_data_points(body)
