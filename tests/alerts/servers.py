"""A web server and a mail server on this machine, as small as their protocols allow, for tests of what is sent."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Received:
    """What arrived, and how the server answers: the next status of `answers`, the last one for ever."""

    port: int = 0
    answers: list[Any] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    letters: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    location: str | None = None

    def answer(self, default: Any) -> Any:
        if not self.answers:
            return default
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def web_server(*answers: int, certificate: Path | None = None, key: Path | None = None) -> Iterator[Received]:
    """A server that takes every POST, over https where it has a certificate."""
    received = Received(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.requests.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            self.send_response(received.answer(204))
            if received.location:
                self.send_header("location", received.location)
            self.send_header("content-length", "9")
            self.end_headers()
            self.wfile.write(b"some\nword")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.port = server.server_port
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield received
        server.shutdown()
        thread.join(5)


class MailHandler(socketserver.StreamRequestHandler):
    """Enough SMTP to take letters."""

    received: Received
    refused: str

    def say(self, words: str) -> None:
        self.wfile.write(words.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 test")
        self.sender, self.to = "", list[str]()
        while line := self.rfile.readline().decode().strip():
            self.say(self.reply(line))
            if line.upper() == "QUIT":
                return

    def reply(self, line: str) -> str:
        word, _, rest = line.partition(":")
        who = rest.split()[0].strip("<>") if rest else ""
        if word.upper() == "MAIL FROM":
            self.sender, self.to = who, []
        elif word.upper() == "RCPT TO":
            if self.refused and self.refused in who:
                return "550 nobody here"
            self.to.append(who)
        elif line.upper() == "DATA":
            self.say("354 go on")
            lines = iter(self.rfile.readline, b".\r\n")
            self.received.letters.append((self.sender, self.to, b"".join(lines)))
        # A server that cannot even say goodbye has taken the letter all the same.
        return "500 what?" if line.upper() == "QUIT" else "250 ok"


@contextmanager
def mail_server(*, refused: str = "") -> Iterator[Received]:
    """A server that takes letters; a recipient that holds `refused` is turned away."""
    received = Received()
    handler = type("Handler", (MailHandler,), {"received": received, "refused": refused})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        received.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield received
        server.shutdown()
        thread.join(5)
