"""A judge's server on a real socket, and requests to be judged."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.judging.judge import Judge, judge_from_json
from core.money import PICO
from core.pricing.price import Priced
from core.request import Content, Context, RequestRecord
from core.store import judges
from core.store.intake import Batch, append
from core.store.rows import nanoseconds
from core.store.session import tenant
from core.usage import Usage
from tests.conftest import Project

UNPRICED = Priced("unpriced", "no_provider", None, None, None, (), {})

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


def make_judge(engine: Engine, project: Project, endpoint: Endpoint, **more: Any) -> Judge:
    """A judge at the endpoint: 2 dollars a million input tokens, 8 a million output tokens."""
    value = {
        "name": "tiny",
        "kind": "openai",
        "model": "tiny-1",
        "base_url": endpoint.url,
        "timeout_s": 2,
        "input_usd_per_million": "2",
        "output_usd_per_million": "8",
    }
    with tenant(engine, project.id) as connection:
        return judges.save_judge(connection, project.id, judge_from_json(value | more), "tests")


def set_budget(engine: Engine, project: Project, dollars: int, now: datetime) -> None:
    with tenant(engine, project.id) as connection:
        judges.set_budget(connection, project.id, dollars * PICO, "tests", now)


def add_requests(
    engine: Engine, project: Project, many: int, now: datetime, name: str = "chat", **fields: Any
) -> list[str]:
    """Settled requests with content, one trace each, of the last minutes; returns their traces."""
    records, contents = [], []
    for number in range(many):
        trace = hashlib.sha256(f"{project.id}/{name}/{number}".encode()).hexdigest()[:32]
        started = nanoseconds(now - timedelta(seconds=60 + number))
        known: dict[str, Any] = {
            "context": Context(feature=name, tier="standard"),
            "duration_ns": 800_000_000,
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "usage": Usage(uncached_input=50, visible_output=20, reading="inclusive"),
        }
        records.append(
            RequestRecord(
                trace_id=trace, span_id="1" * 16, started_ns=started, source="test", **(known | fields)
            )
        )
        asked = json.dumps([{"role": "user", "content": f"Where is parcel item-{number}?"}])
        answered = json.dumps([{"role": "assistant", "content": f"Parcel item-{number} is in Hamburg."}])
        contents.append(Content(trace, "1" * 16, started, asked, answered))
    append(engine, [Batch(project.id, [(one, UNPRICED) for one in records], contents=contents)])
    with tenant(engine, project.id) as connection:
        connection.execute(text("UPDATE request SET state = 'settled'"))
        connection.execute(text("DELETE FROM unsettled"))
    return [one.trace_id for one in records]
