"""What the collector's tests share: bodies in both encodings, and servers that differ from the shared one."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode import decode_traces
from settings import Settings
from tests.conftest import Database, Project, Server, free_port, run_server
from tests.otlp import body, llm_span

ROOT = Path(__file__).resolve().parents[2]
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def protobuf(json_body: bytes) -> bytes:
    """The same export in protobuf, as far as the tests' spans go: strings, integers and doubles."""
    export = ExportTraceServiceRequest()
    for span in decode_traces(json_body, "json").spans:
        group = export.resource_spans.add()
        _fill(group.resource.attributes, span.resource)
        scoped = group.scope_spans.add()
        scoped.scope.name = span.scope
        scoped.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_span_id or ""),
            name=span.name,
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
        )
        _fill(scoped.spans[0].attributes, span.attributes)
    return export.SerializeToString()


def _fill(pairs: Any, attributes: Any) -> None:
    for key, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(pairs.add(key=key).value, kind, value)


def send(client: httpx.Client, project: Project, *spans: dict[str, Any], **options: Any) -> httpx.Response:
    """The spans in one JSON body."""
    return client.post("/v1/traces", content=body(*spans), headers=project.sending(JSON), **options)


def status_of(answer: httpx.Response) -> Status:
    """The google.rpc.Status of a refusal in protobuf."""
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.content)


def totals(client: httpx.Client, project: Project) -> dict[str, Any]:
    """The project's coverage and sums, as the API tells them."""
    answer = client.get("/api/v1/attribution", headers=project.reading())
    assert answer.status_code == 200, answer.text
    return answer.json()["total"] | answer.json()["coverage"]


def requests_of(client: httpx.Client, project: Project, **parameters: Any) -> list[dict[str, Any]]:
    """The project's requests, newest first."""
    answer = client.get("/api/v1/requests", params=parameters, headers=project.reading())
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@contextmanager
def server_with(database: Database, **settings: Any) -> Iterator[Server]:
    """A server of the test's own."""
    made = Settings(database_url=database.app_url, port=free_port(), **{"grpc_port": 0, **settings})
    yield from run_server(made, database)


@contextmanager
def process_with(database: Database, **settings: Any) -> Iterator[Server]:
    """A server in a process of its own: gRPC's library serves one event loop well, not two."""
    chosen = {"database_url": database.app_url, "port": free_port(), "grpc_port": free_port(), **settings}
    environment = {f"TRIPOINT_{name.upper()}": str(value) for name, value in chosen.items()}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "asgi:from_environment",
        "--port",
        str(chosen["port"]),
    ]
    process = subprocess.Popen(
        [*command, "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"],
        env=os.environ | environment,
        cwd=ROOT,
    )
    server = Server(f"http://127.0.0.1:{chosen['port']}", f"127.0.0.1:{chosen['grpc_port']}", database)
    try:
        with server.client() as client:
            deadline = time.monotonic() + 30
            while not _ready(client):
                assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def held(server: Server, project: Project, size: int) -> Iterator[None]:
    """A body that takes `size` bytes of the server's queue and does not end until the test does."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = (
        f"POST /v1/traces HTTP/1.1\r\nhost: {host}\r\ncontent-type: {JSON}\r\n"
        f"authorization: Bearer {project.ingest}\r\ncontent-length: {size}\r\n\r\n{{}}"
    )
    with socket.create_connection((host, int(port))) as holder:
        holder.sendall(head.encode())
        # A refusal comes at once; silence means that the room is taken.
        assert not select.select([holder], [], [], 0.5)[0], holder.recv(1000)
        yield
        holder.sendall(b" " * (size - 2))
        assert b"200 OK" in holder.recv(1000)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def llm_body(**span: Any) -> bytes:
    """One request in JSON."""
    return body(llm_span(**span))
