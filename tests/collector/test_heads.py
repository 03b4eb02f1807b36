"""A client that never ends its headers costs no memory."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from protocol import HEAD_MAX_BYTES
from tests.conftest import Server


@pytest.mark.parametrize(
    "line", [b"x-%d: " + b"a" * 8000 + b"\r\n", b"a" * 8000], ids=["many", "one endless"]
)
def test_headers_without_end_are_refused_at_the_bound(server: Server, line: bytes) -> None:
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\nx-first: ")
        answer = b""
        for number in range(20 * HEAD_MAX_BYTES // len(line)):
            try:
                client.sendall(line % number if b"%d" in line else line)
            except OSError:
                break
        try:
            while part := client.recv(4096):
                answer += part
        except OSError:
            pass
        # The connection may be reset before the answer is read; what matters is that it ended early.
        assert number < 10 * HEAD_MAX_BYTES // len(line)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_two_requests_on_one_connection_are_counted_apart(server: Server) -> None:
    where = urlsplit(server.url)
    head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * (HEAD_MAX_BYTES // 3) + b"\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=10) as client:
        for _ in range(5):
            client.sendall(head)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
