"""A collector of a few lines: real HTTP, real OTLP, and every mood that a real one can be in."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

TAKEN = ExportTraceServiceResponse().SerializeToString()


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = TAKEN
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/x-protobuf"})
    after_s: float = 0.0


@dataclass
class Sink:
    """`replies` are given in turn, then all is taken. What was taken is in `spans`."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    replies: list[Reply] = field(default_factory=list)
    always: Reply = Reply()
    spans: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def names(self) -> list[str]:
        return [span["name"] for span in self.spans]

    def wait(self, done: Callable[[], bool], timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, (
                f"waited in vain; spans: {self.names()}, asked: {len(self.asked)}"
            )
            time.sleep(0.01)


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    return [plain(item) for item in found.values] if kind == "array_value" else found


def decode(body: bytes) -> Iterator[dict[str, Any]]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {pair.key: plain(pair.value) for pair in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield {
                    "name": span.name,
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "scope": scope.scope.name,
                    "resource": resource,
                    "attributes": {pair.key: plain(pair.value) for pair in span.attributes},
                    "events": [
                        (event.name, {pair.key: plain(pair.value) for pair in event.attributes})
                        for event in span.events
                    ],
                    "status": (span.status.code, span.status.message),
                }


@contextmanager
def running(sink: Sink) -> Iterator[Sink]:
    """Listen on `sink.port`, or on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.times.append(time.monotonic())
            sink.asked.append(
                {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
            )
            reply = sink.replies.pop(0) if sink.replies else sink.always
            time.sleep(reply.after_s)
            if reply.status == 200:
                packed = self.headers.get("Content-Encoding") == "gzip"
                sink.spans.extend(decode(gzip.decompress(body) if packed else body))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that went away in the middle is what some tests are about

    server = Server(("127.0.0.1", sink.port), Handler)
    sink.port = server.server_address[1]
    if sink.tls:
        server.socket = sink.tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
