"""What the wire hears: OTLP answers and errors, in the encoding of the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import orjson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from core import errors

Encoding = Literal["protobuf", "json"]
Signal = Literal["traces", "logs", "metrics"]

MEDIA_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}
# Clients read at most 4 MiB of an answer; a sentence needs far less.
_MESSAGE_MAX = 2000

# Error → HTTP status and google.rpc.Code. OTLP clients retry 429, 502, 503 and 504 only.
_WIRE: tuple[tuple[type[errors.TripointError], int, int], ...] = (
    (errors.TooLarge, 413, 8),
    (errors.BadInput, 400, 3),
    (errors.Unauthenticated, 401, 16),
    (errors.Forbidden, 403, 7),
    (errors.NotFound, 404, 5),
    (errors.Overloaded, 503, 14),
    (errors.Unavailable, 503, 14),
)

_REJECTED: dict[Signal, str] = {
    "traces": "rejected_spans",
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
}
_RESPONSES: dict[Signal, type[Message]] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    encoding: Encoding
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a body that was accepted: how many of its items were refused, and why."""

    rejected: int = 0
    message: str = ""


def response_message(signal: Signal, outcome: Outcome) -> Message:
    """The OTLP response; `partial_success` stays unset where there is nothing to say."""
    response = _RESPONSES[signal]()
    if outcome.rejected or outcome.message:
        partial = response.partial_success  # type: ignore[attr-defined]
        setattr(partial, _REJECTED[signal], outcome.rejected)
        partial.error_message = outcome.message[:_MESSAGE_MAX]
    return response


def success(signal: Signal, outcome: Outcome, encoding: Encoding) -> Reply:
    """200: what was not refused is committed."""
    if encoding == "protobuf":
        return Reply(200, response_message(signal, outcome).SerializeToString(), encoding)
    body: dict[str, object] = {}
    if outcome.rejected or outcome.message:
        head, *tail = _REJECTED[signal].split("_")
        camel = head + "".join(word.capitalize() for word in tail)
        # int64 is a string in OTLP's JSON.
        body["partialSuccess"] = {
            camel: str(outcome.rejected),
            "errorMessage": outcome.message[:_MESSAGE_MAX],
        }
    return Reply(200, orjson.dumps(body), encoding)


def failure(error: errors.TripointError, encoding: Encoding) -> Reply:
    """An error as a google.rpc.Status in the request's encoding."""
    http, code = codes(error)
    headers: dict[str, str] = {}
    if error.retryable:
        headers["Retry-After"] = str(error.retry_after_s)
    if http == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tripoint"'
    return status_reply(http, code, str(error), encoding, headers)


def status_reply(
    http: int, code: int, message: str, encoding: Encoding, headers: dict[str, str] | None = None
) -> Reply:
    """Any refusal, as a google.rpc.Status."""
    message = message[:_MESSAGE_MAX]
    if encoding == "protobuf":
        body = Status(code=code, message=message).SerializeToString()
    else:
        body = orjson.dumps({"code": code, "message": message})
    return Reply(http, body, encoding, headers or {})


def codes(error: errors.TripointError) -> tuple[int, int]:
    """HTTP status and google.rpc.Code of an error."""
    for kind, http, code in _WIRE:
        if isinstance(error, kind):
            return http, code
    return 500, 13
