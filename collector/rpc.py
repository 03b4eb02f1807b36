"""OTLP over gRPC: the same path as HTTP behind another wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import structlog
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector import metrics
from collector.receive import Collector, admit, receive
from collector.reply import Signal, codes, response_message
from core.errors import TripointError

log = structlog.get_logger()

_SERVICES: dict[Signal, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}
Method = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


def make_server(collector: Collector, address: str) -> tuple[grpc.aio.Server, int]:
    """A gRPC server on `host:port`, not started yet, and the port it got (0 where it could not bind)."""
    limit = collector.room.limits.body_max_bytes
    server = grpc.aio.server(
        options=[
            # The library's own 4 MiB is less than exporters send; this bound holds after decompression too.
            ("grpc.max_receive_message_length", limit),
            ("grpc.so_reuseport", 0),
            # More calls of one client wait on its side, unsent.
            ("grpc.max_concurrent_streams", 64),
        ],
    )
    for signal, service in _SERVICES.items():
        handler = grpc.unary_unary_rpc_method_handler(_method(collector, signal))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    try:
        return server, server.add_insecure_port(address)
    except RuntimeError:
        return server, 0


def _method(collector: Collector, signal: Signal) -> Method:
    async def export(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            metadata = {str(k): v for k, v in context.invocation_metadata() or ()}
            authorization = metadata.get("authorization")
            access = await admit(collector, authorization if isinstance(authorization, str) else None)
            with collector.room.reserve(len(body)):
                outcome = await receive(collector, access, signal, "protobuf", body)
        except TripointError as error:
            metrics.BODIES.labels(signal=signal, status=codes(error)[0]).inc()
            await _abort(context, error)
        except Exception:
            log.exception("receive.failed", signal=signal)
            metrics.BODIES.labels(signal=signal, status=500).inc()
            await context.abort(grpc.StatusCode.INTERNAL, "Tripoint failed on this body; its log says more.")
        metrics.BODIES.labels(signal=signal, status=200).inc()
        return response_message(signal, outcome).SerializeToString()

    return export


async def _abort(context: grpc.aio.ServicerContext[bytes, bytes], error: TripointError) -> None:
    _, code = codes(error)
    trailing: tuple[tuple[str, bytes], ...] = ()
    if error.retryable:
        # Without RetryInfo a client may take the refusal for final.
        status = Status(code=code, message=str(error))
        info = RetryInfo(retry_delay=Duration(seconds=error.retry_after_s))
        status.details.add().Pack(info)
        trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_CODES[code], str(error), trailing_metadata=trailing)
