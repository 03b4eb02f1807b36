"""Over HTTPS with a certificate of one's own, and through a proxy: each a process that knows only its environment."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sdk.sink import Sink, running

SOURCE = Path(__file__).resolve().parents[2] / "sdk" / "src"
CODE = """
import tripoint
tripoint.init()
with tripoint.llm_call('m', provider='p'): pass
print(tripoint.flush(5))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that vouches for itself, with its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=own"]
    for extension in (
        "subjectAltName=DNS:collector.test,IP:127.0.0.1",
        "keyUsage=critical,digitalSignature,keyCertSign",
    ):
        command += ["-addext", extension]
    subprocess.run(
        [*command, "-keyout", file, "-out", file.with_suffix(".crt")], check=True, capture_output=True
    )
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


@pytest.fixture
def sink(certificate: Path) -> Iterator[Sink]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(Sink(tls=context)) as sink:
        yield sink


def run(endpoint: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {"PYTHONPATH": str(SOURCE), "TRIPOINT_ENDPOINT": endpoint, "TRIPOINT_KEY": "tp_key", **environment}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=told, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_certificate_that_the_environment_trusts_is_good(sink: Sink, certificate: Path) -> None:
    done = run(sink.url, SSL_CERT_FILE=str(certificate))
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert sink.names() == ["chat m"]
    assert sink.asked[0]["authorization"] == "Bearer tp_key"


def test_a_certificate_that_nobody_vouches_for_is_one_line_and_gets_no_key(sink: Sink) -> None:
    done = run(sink.url)
    assert done.stdout == "False\n" and not sink.asked
    first, *others = done.stderr.splitlines()
    assert "cannot be reached" in first and "certificate" in first
    # the second is the exit's, which says what was left
    assert len(others) == 1 and "1 spans were not delivered" in others[0]


@dataclass
class Proxy:
    """Opens tunnels, all of them to one place, for those who know the password."""

    to: int
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def proxying(proxy: Proxy) -> Iterator[Proxy]:
    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = self.rfile.readline().decode().rstrip()
            headers = [line.decode().rstrip() for line in iter(self.rfile.readline, b"\r\n")]
            login = next((h for h in headers if h.lower().startswith("proxy-authorization:")), "")
            proxy.asked.append((request, login.partition(": ")[2]))
            if login.partition(": ")[2] != "Basic " + b64encode(b"me:p@ss").decode():
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", proxy.to)) as other:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(other, self.connection), daemon=True)
                back.start()
                pump(self.connection, other)
                back.join(10)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Tunnel) as server:
        proxy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield proxy
        server.shutdown()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


def test_https_goes_through_the_environments_proxy(sink: Sink, certificate: Path) -> None:
    with proxying(Proxy(sink.port)) as proxy:
        done = run(
            "https://collector.test",
            SSL_CERT_FILE=str(certificate),
            https_proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}",
        )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert sink.names() == ["chat m"]
    assert [request.split()[:2] for request, _ in proxy.asked] == [["CONNECT", "collector.test:443"]]
    assert sink.asked[0]["host"] == "collector.test" and "proxy-authorization" not in sink.asked[0]


def test_a_proxy_that_refuses_is_said(sink: Sink, certificate: Path) -> None:
    with proxying(Proxy(sink.port)) as proxy:
        told = {"https_proxy": f"127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(certificate)}
        done = run("https://collector.test", **told)
    assert done.stdout == "False\n" and "407" in done.stderr.splitlines()[0] and not sink.asked
