"""Captured bodies on their way to a running server, as recorded or cut up, and what comes back of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from core.request import Context, RequestRecord
from core.store.rows import nanoseconds
from core.usage import Usage
from tests.captures import CAPTURES, Body, expected, load

# What belongs to the recording's connection or key, not to what the library sent.
_NOT_REPLAYED = {"host", "content-length", "connection", "authorization"}


@dataclass(frozen=True)
class Recorded:
    """One body of any signal, byte for byte, with its headers in lower case."""

    content: bytes
    transport: str
    path: str
    signal: str
    headers: dict[str, str]


def recorded(case: str) -> list[Recorded]:
    """Every body of a case in the order in which they were sent."""
    truth, folder, found = expected(case), (CAPTURES / case).parent, []
    for name in truth["capture_files"]:
        path = folder / name
        told = json.loads(path.with_suffix(".headers.json").read_text())
        headers = {key.lower(): value for key, value in told["headers"].items()}
        headers = {key: value for key, value in headers.items() if key not in _NOT_REPLAYED}
        headers |= truth.get("replay_headers", {})
        found.append(Recorded(path.read_bytes(), told["transport"], told["path"], told["signal"], headers))
    return found


def post(client: httpx.Client, body: Recorded, key: str) -> httpx.Response:
    """The body over HTTP; what was recorded over gRPC goes as the protobuf that it carried."""
    headers = {**body.headers, "authorization": f"Bearer {key}"}
    path = body.path
    if body.transport == "grpc":
        path, headers["content-type"] = f"/v1/{body.signal}", "application/x-protobuf"
    return client.post(path, content=body.content, headers=headers)


def export(address: str, body: Recorded, key: str, *, gzip: bool) -> bytes:
    """The body through the gRPC method on which it was recorded."""
    plain = {"user-agent", "content-type", "te"}
    metadata = [(name, value) for name, value in body.headers.items() if name not in plain]
    compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(body.path)(
            body.content,
            metadata=[*metadata, ("authorization", f"Bearer {key}")],
            compression=compression,
            timeout=30,
        )
    return answer


def single_spans(case: str) -> list[Body]:
    """Each span of a case as a body of its own, with its resource and scope."""
    return [one for body in load(case) for one in _cut(body)]


def _cut(body: Body) -> Iterator[Body]:
    if body.content_type == "json":
        yield from _cut_json(json.loads(body.content))
        return
    for group in ExportTraceServiceRequest.FromString(body.content).resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                alone = ExportTraceServiceRequest()
                alone.resource_spans.add(
                    resource=group.resource, schema_url=group.schema_url
                ).scope_spans.add(scope=scoped.scope, schema_url=scoped.schema_url, spans=[span])
                yield Body(alone.SerializeToString(), "protobuf")


def _cut_json(body: dict[str, Any]) -> Iterator[Body]:
    for group in body.get("resourceSpans", []):
        for scoped in group.get("scopeSpans", []):
            for span in scoped.get("spans", []):
                alone = {"resourceSpans": [{**group, "scopeSpans": [{**scoped, "spans": [span]}]}]}
                yield Body(json.dumps(alone).encode(), "json")


def record_of(item: dict[str, Any]) -> RequestRecord:
    """The request that an item of `GET /api/v1/requests` describes."""
    usage = item["usage"]
    write_1h = usage["cache_write_1h_tokens"]
    same = ("provider", "request_model", "response_model", "response_id", "operation", "service_tier")
    more = ("streaming", "status", "error_type", "http_status", "finish_reason", "batch", "retries")
    return RequestRecord(
        trace_id=item["trace_id"],
        span_id=item["span_id"],
        started_ns=nanoseconds(datetime.fromisoformat(item["started_at"])),
        duration_ns=round(item["duration_ms"] * 1e6),
        ttft_ns=None if item["ttft_ms"] is None else round(item["ttft_ms"] * 1e6),
        context=Context(feature=item["feature"], user=item["user"], session=item["session"]),
        usage=Usage(
            uncached_input=usage["uncached_input_tokens"],
            cache_read=usage["cache_read_tokens"],
            cache_write_5m=_less(usage["cache_write_tokens"], write_1h),
            cache_write_1h=write_1h,
            visible_output=_less(usage["output_tokens"], usage["reasoning_tokens"]),
            reasoning=usage["reasoning_tokens"],
        ),
        **{name: item[name] for name in (*same, *more)},
    )


def _less(total: int | None, part: int | None) -> int | None:
    return None if total is None else total - (part or 0)
