"""OTLP over gRPC, and the exporters that people really run, against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.collector.sending import held, llm_body, process_with, protobuf, requests_of, totals
from tests.conftest import Database, Project, Server
from tests.otlp import body, llm_span

Export = trace_service_pb2.ExportTraceServiceRequest


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> trace_service_pb2_grpc.TraceServiceStub:
    return trace_service_pb2_grpc.TraceServiceStub(channel)


def bearer(key: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}")]


def export(json_body: bytes) -> Export:
    return Export.FromString(protobuf(json_body))


def refusal(call: grpc.RpcError) -> tuple[grpc.StatusCode, RetryInfo | None]:
    """The code, and the RetryInfo where there is one."""
    details = dict(call.trailing_metadata() or ()).get("grpc-status-details-bin")
    info = RetryInfo()
    if details and any(detail.Unpack(info) for detail in Status.FromString(details).details):
        return call.code(), info
    return call.code(), None


def test_an_export_is_stored_and_answered_with_nothing_set(
    stub: trace_service_pb2_grpc.TraceServiceStub, client: httpx.Client, project: Project
) -> None:
    answer = stub.Export(export(llm_body()), metadata=bearer(project.ingest))
    assert not answer.HasField("partial_success")
    assert totals(client, project)["requests"] == 1


def test_gzip_is_unpacked(
    stub: trace_service_pb2_grpc.TraceServiceStub, client: httpx.Client, project: Project
) -> None:
    stub.Export(export(llm_body()), metadata=bearer(project.ingest), compression=grpc.Compression.Gzip)
    assert totals(client, project)["requests"] == 1


def test_a_bad_span_is_told_and_its_neighbour_kept(
    stub: trace_service_pb2_grpc.TraceServiceStub, client: httpx.Client, project: Project
) -> None:
    sent = export(body(llm_span(), llm_span()))
    sent.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    answer = stub.Export(sent, metadata=bearer(project.ingest))
    assert answer.partial_success.rejected_spans == 1
    assert totals(client, project)["requests"] == 1


def test_a_body_of_more_than_four_mebibytes_is_taken(
    stub: trace_service_pb2_grpc.TraceServiceStub, client: httpx.Client, project: Project
) -> None:
    stub.Export(export(llm_body(gen_ai__input__messages="x" * 6_000_000)), metadata=bearer(project.ingest))
    assert totals(client, project)["requests"] == 1


def test_logs_are_answered_as_rejected(channel: grpc.Channel, project: Project) -> None:
    sent = logs_service_pb2.ExportLogsServiceRequest()
    sent.resource_logs.add().scope_logs.add().log_records.add()
    stub = logs_service_pb2_grpc.LogsServiceStub(channel)
    answer = stub.Export(sent, metadata=bearer(project.ingest))
    assert answer.partial_success.rejected_log_records == 1


def test_basic_auth_works(
    stub: trace_service_pb2_grpc.TraceServiceStub, client: httpx.Client, project: Project
) -> None:
    basic = httpx.BasicAuth("anything", project.ingest)._auth_header
    stub.Export(export(llm_body()), metadata=[("authorization", basic)])
    assert totals(client, project)["requests"] == 1


@pytest.mark.parametrize("metadata", [[], bearer("tp_ingest_wrong"), [("authorization-bin", b"\xff")]])
def test_without_a_good_key_it_is_unauthenticated(
    stub: trace_service_pb2_grpc.TraceServiceStub, metadata: list[tuple[str, str]]
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Export(Export(), metadata=metadata)
    assert refusal(caught.value) == (grpc.StatusCode.UNAUTHENTICATED, None)


def test_a_read_key_is_denied(stub: trace_service_pb2_grpc.TraceServiceStub, project: Project) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Export(Export(), metadata=bearer(project.read))
    assert refusal(caught.value) == (grpc.StatusCode.PERMISSION_DENIED, None)


def test_garbage_is_an_invalid_argument(channel: grpc.Channel, project: Project) -> None:
    call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\x0a\xff garbage", metadata=bearer(project.ingest))
    assert refusal(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, None)
    assert "not an OTLP protobuf message" in caught.value.details()


@pytest.fixture(scope="module")
def narrow(database: Database) -> Iterator[Server]:
    """A server with little room."""
    with process_with(database, body_max_bytes=20_000, queue_max_bytes=24_000) as server:
        yield server


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_body_over_the_limit_is_exhausted_for_good(
    narrow: Server, project: Project, compression: grpc.Compression
) -> None:
    with grpc.insecure_channel(narrow.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(
            export(llm_body(padding="x" * 30_000)), metadata=bearer(project.ingest), compression=compression
        )
    assert refusal(caught.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


def test_a_full_queue_is_unavailable_with_retry_info(narrow: Server, project: Project) -> None:
    """A body over HTTP holds the queue that gRPC shares."""
    sent = export(llm_body(padding="x" * 9_000))
    with grpc.insecure_channel(narrow.grpc_address) as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)
        with held(narrow, project, 18_000), pytest.raises(grpc.RpcError) as caught:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                stub.Export(sent, metadata=bearer(project.ingest))
                time.sleep(0.02)
        code, info = refusal(caught.value)
        assert code == grpc.StatusCode.UNAVAILABLE
        assert info is not None and info.retry_delay.seconds >= 1
        stub.Export(sent, metadata=bearer(project.ingest))


def exported(exporter: SpanExporter) -> SpanExportResult:
    """What a real SDK hands to the exporter, sent."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    tracer = provider.get_tracer("real.sdk", "1.2")
    with (
        tracer.start_as_current_span("answer") as outer,
        tracer.start_as_current_span("chat gpt-4o-mini") as span,
    ):
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.usage.input_tokens": 23,
                "gen_ai.usage.output_tokens": 17,
            }
        )
    try:
        return exporter.export([span, outer])  # type: ignore[list-item]
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_http_exporter_of_opentelemetry_exports(
    server: Server, client: httpx.Client, project: Project, compression: Compression
) -> None:
    exporter = HttpExporter(
        f"{server.url}/v1/traces",
        headers={"authorization": f"Bearer {project.ingest}"},
        compression=compression,
        timeout=10,
    )
    assert exported(exporter) == SpanExportResult.SUCCESS
    (found,) = requests_of(client, project)
    assert (found["service"], found["cost"], found["source"]) == ("shop", "0.00001365", "real.sdk")


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_grpc_exporter_of_opentelemetry_exports(
    server: Server, client: httpx.Client, project: Project, compression: grpc.Compression
) -> None:
    exporter = GrpcExporter(
        server.grpc_address,
        insecure=True,
        headers=(("authorization", f"Bearer {project.ingest}"),),
        compression=compression,
        timeout=10,
    )
    assert exported(exporter) == SpanExportResult.SUCCESS
    (found,) = requests_of(client, project)
    assert json.dumps(found).count("shop") == 1
