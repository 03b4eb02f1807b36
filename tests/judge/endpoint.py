"""A judge's server on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Respond = Callable[[dict[str, Any], int], tuple[int, Any, dict[str, str]]]


def verdict(level: int, dimension: str = "relevance", confidence: int = 90) -> str:
    """A judge's reply."""
    said = {dimension: {"reason": "it says so", "level": level}}
    return json.dumps({"dimensions": said, "confidence": confidence})


def chat(content: str, asked: int = 100, answered: int = 10) -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "chatcmpl-1",
        "model": "tiny-1",
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": asked, "completion_tokens": answered},
    }


@dataclass
class Endpoint:
    """What was asked, and what is answered: (body, number of the call from 1) → status, value, headers."""

    url: str = ""
    respond: Respond = lambda body, number: (200, chat(verdict(4)), {})
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server that speaks chat completions and messages."""
    here = Endpoint()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                here.calls.append(body | {"_path": self.path})
                here.headers.append({name.lower(): value for name, value in self.headers.items()})
                number = len(here.calls)
            status, value, headers = here.respond(body, number)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, said in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, said)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield here
        server.shutdown()
