"""One request, from an SDK call to an answer of the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Project, Server

SCRIPT = """
import sys
import tripoint
from opentelemetry import trace

provider = tripoint.init(endpoint=sys.argv[1], key=sys.argv[2], service="shop")
assert provider is not None and tripoint.init() is provider
who = dict(user="u-1", session="s-1", tenant="acme", plan="pro")
with tripoint.context(feature="checkout", tier="lightweight", team="pay", **who):
    with trace.get_tracer("app").start_as_current_span("chat gpt-4o-mini") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.provider.name", "openai")
        span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
        span.set_attribute("gen_ai.usage.input_tokens", 1000)
        span.set_attribute("gen_ai.usage.output_tokens", 100)
"""


def test_a_request_made_under_the_sdk_arrives_with_all_its_words(server: Server, project: Project) -> None:
    source = Path(__file__).resolve().parents[2] / "sdk" / "src"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, server.url, project.ingest],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with server.client() as client:
        (item,) = client.get("/api/v1/requests", headers=project.reading()).json()["items"]
    said = {
        name: item[name]
        for name in ("feature", "user", "session", "tenant", "plan", "tier", "service", "tags")
    }
    assert said == {
        "feature": "checkout",
        "user": "u-1",
        "session": "s-1",
        "tenant": "acme",
        "plan": "pro",
        "tier": "lightweight",
        "service": "shop",
        "tags": {"team": "pay"},
    }
    # 1000 × $0.15 / 1M + 100 × $0.60 / 1M
    assert item["cost"] == "0.00021"


def test_a_foreign_provider_or_a_missing_key_never_raises() -> None:
    code = "import tripoint; tripoint.init(endpoint='http://127.0.0.1:1'); print('fine')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "sdk" / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert "there is no key" in done.stderr


SENDER = """
import sys
import httpx
import tripoint

tripoint.init(endpoint=sys.argv[1], key=sys.argv[2], service="shop")
with tripoint.context(feature="checkout", user="u-2", tier="premium"):
    httpx.get(sys.argv[3], headers=tripoint.inject({}), trust_env=False).raise_for_status()
"""
RECEIVER = """
import sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import tripoint

tripoint.init(endpoint=sys.argv[1], key=sys.argv[2], service="answers", content="none")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with tripoint.extract(self.headers.items()):
            with tripoint.llm_call("gpt-4o-mini", provider="openai", input="a secret", stream=True) as call:
                for part in call.stream(["", "a", "b"]):
                    pass
                call.usage(input_tokens=1000, cache_read_tokens=400, output_tokens=100)
                call.response(id="r-1", finish_reason="stop")
            with tripoint.llm_call("gpt-4o-mini", provider="openai") as call:
                for part in call.stream(["a", "b"]):
                    break
        self.send_response(200)
        self.end_headers()

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.handle_request()
"""


def test_words_reach_a_second_process_and_its_calls_arrive_right(server: Server, project: Project) -> None:
    source = Path(__file__).resolve().parents[2] / "sdk" / "src"
    environment = {"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"}
    receiver = subprocess.Popen(
        [sys.executable, "-c", RECEIVER, server.url, project.ingest],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert receiver.stdout is not None
    address = f"http://127.0.0.1:{receiver.stdout.readline().strip()}"
    sent = subprocess.run(
        [sys.executable, "-c", SENDER, server.url, project.ingest, address],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (sent.returncode, sent.stderr) == (0, "")
    assert receiver.communicate(timeout=60)[1].count("tripoint") == 0
    with server.client() as client:
        items = client.get("/api/v1/requests", headers=project.reading()).json()["items"]
    whole, left = sorted(items, key=lambda item: item["status"] == "aborted")
    for item in (whole, left):
        said = {name: item[name] for name in ("feature", "user", "tier", "service", "streaming", "source")}
        assert said == {
            "feature": "checkout",
            "user": "u-2",
            "tier": "premium",
            "service": "answers",
            "streaming": True,
            "source": "tripoint",
        }
        assert 0 <= item["ttft_ms"] <= item["duration_ms"]
    assert (whole["status"], left["status"]) == ("ok", "aborted")
    usage = whole["usage"]
    assert (usage["input_tokens"], usage["uncached_input_tokens"], usage["cache_read_tokens"]) == (
        1000,
        600,
        400,
    )
    assert left["usage"]["input_tokens"] is None


FEEDBACK = """
import sys
import tripoint

tripoint.init(endpoint=sys.argv[1], key=sys.argv[2])
with tripoint.context(user="ann", tier="premium"):
    with tripoint.llm_call("gpt-4o-mini", provider="openai") as call:
        call.usage(input_tokens=1, output_tokens=1)
    tripoint.feedback("helpfulness", 0.75, comment="fine")
    tripoint.feedback("helpfulness", 0.25, user="bob")
print(*call.ids)
"""


def test_feedback_is_a_score_of_its_request(server: Server, project: Project) -> None:
    source = Path(__file__).resolve().parents[2] / "sdk" / "src"
    done = subprocess.run(
        [sys.executable, "-c", FEEDBACK, server.url, project.ingest],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    trace_id, span_id = done.stdout.split()
    with server.client() as client:
        asked = client.get(f"/api/v1/scores?trace_id={trace_id}", headers=project.reading()).json()["items"]
        (row,) = client.get("/api/v1/quality?group_by=tier", headers=project.reading()).json()["rows"]
    assert {(s["author"], s["value"], s["source"], s["span_id"], s["comment"]) for s in asked} == {
        ("ann", 0.75, "feedback", span_id, "fine"),
        ("bob", 0.25, "feedback", span_id, None),
    }
    assert (row["tier"], row["scored"], row["requests"]) == ("premium", 1, 1)
    assert row["sources"] == {"feedback": 1}
