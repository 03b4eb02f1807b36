"""Every example runs as a stranger would run it, and what Tripoint then says agrees with the provider's own record."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.provider import Provider, Served, running_provider
from tests.conftest import Project, Server, free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FIRST_TOKEN_MS = 150  # docs/simulated-provider.md
# Dollars per million tokens, in and out.
PRICES = {
    "gpt-4o-mini": ("0.15", "0.60"),
    "gpt-4o": ("2.50", "10"),
    "claude-haiku-4-5": ("1", "5"),
    "claude-sonnet-5": ("2", "10"),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider(wait=1) as found:
        yield found


def exports(text: str) -> dict[str, str]:
    """The environment that a document tells to set."""
    return dict(re.findall(r'^export (\w+)="?([^"\n]*)"?$', text, re.M))


@dataclass(frozen=True)
class Reader:
    """Somebody who follows examples/README.md, with a project of their own."""

    environment: dict[str, str]
    server: Server
    project: Project
    provider: Provider
    before: int

    def run(self, example: str) -> str:
        """Run a script to its end; what it printed. It complains of nothing."""
        done = subprocess.run(
            [sys.executable, example],
            cwd=EXAMPLES,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @contextmanager
    def serving(self, example: str, **more: str) -> Iterator[httpx.Client]:
        """HTTP to an example that is a server; Ctrl-C ends it, at once after the last request."""
        path, port = EXAMPLES / example, free_port()
        command = [sys.executable, "-m", "uvicorn", f"{path.stem}:app", "--port", str(port)]
        server = subprocess.Popen(
            command, cwd=path.parent, env=self.environment | more, stderr=subprocess.PIPE, text=True
        )
        try:
            transport = httpx.HTTPTransport(retries=9)  # while it starts
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", transport=transport, trust_env=False, timeout=60
            ) as client:
                yield client
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=60)[1]
        finally:
            server.kill()
            server.wait()
        assert "Traceback" not in said and "tripoint" not in said, said

    def requests(self) -> list[dict[str, Any]]:
        """What arrived, in the order of time, once all of it is settled; each compared with the provider's record."""
        with self.server.client() as http:
            assert http.post("/api/v1/settle", headers=self.project.ruling()).status_code == 200
            answer = http.get("/api/v1/requests", params={"limit": 100}, headers=self.project.reading())
        items = sorted(answer.json()["items"], key=lambda item: str(item["started_at"]))
        served = {s.response_id: s for s in self.provider.log()[self.before :]}
        # Each once: a second row of one call would stand here twice.
        assert sorted(item["response_id"] for item in items) == sorted(map(str, served))
        for item in items:
            agrees(item, served[item["response_id"]])
        return items

    def trace(self, item: dict[str, Any]) -> dict[str, Any]:
        with self.server.client() as http:
            found = http.get(f"/api/v1/traces/{item['trace_id']}", headers=self.project.reading())
            return dict(found.json())


@pytest.fixture
def reader(server: Server, project: Project, provider: Provider) -> Reader:
    told = exports((EXAMPLES / "README.md").read_text())
    assert len(told) == 9
    replaced = {
        "http://127.0.0.1:4318": server.url,
        "http://127.0.0.1:8900": provider.url,
        "tp_ingest_…": project.ingest,
    }
    for here, there in replaced.items():
        told = {name: value.replace(here, there) for name, value in told.items()}
    told |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "sdk" / "src")}
    return Reader(told, server, project, provider, len(provider.log()))


def agrees(item: dict[str, Any], served: Served) -> None:
    """Tokens and stream as the provider says, the first token when it can have come, the cost worked by hand."""
    usage, tokens = item["usage"], served.tokens
    assert tokens is not None and tokens.output > 0
    assert (usage["input_tokens"], usage["output_tokens"]) == (tokens.input, tokens.output)
    assert (item["request_model"], item["status"], item["counted"]) == (served.model, "ok", True)
    into, out = map(Decimal, PRICES[served.model])
    assert Decimal(item["cost"]) == (tokens.input * into + tokens.output * out) / 1_000_000
    assert item["streaming"] is served.stream
    if not served.stream:
        assert item["ttft_ms"] is None
    elif item["service"] == "without-sdk":  # the instrumentation's own figure
        assert 0 < item["ttft_ms"] < item["duration_ms"]
    else:
        assert served.first_output_s is not None and served.first_output_s * 1000 > FIRST_TOKEN_MS - 5
        assert served.first_output_s * 1000 - 5 <= item["ttft_ms"] < item["duration_ms"]


def said(items: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(item[name] for name in names) for item in items]


@pytest.mark.slow
def test_a_plain_script_asks_both_providers_at_once_and_streamed(reader: Reader) -> None:
    assert reader.run("plain_script.py").count("This is a simulated answer.") == 4
    items = reader.requests()
    assert said(items, "request_model", "streaming") == [
        ("gpt-4o-mini", False),
        ("gpt-4o-mini", True),
        ("claude-haiku-4-5", False),
        ("claude-haiku-4-5", True),
    ]
    who = ("plain-script", "order-status", "user-4711", "lightweight")
    assert said(items, "service", "feature", "user", "tier") == [who] * 4


@pytest.mark.slow
def test_async_streams_at_the_same_time_keep_their_users_apart(reader: Reader) -> None:
    printed = reader.run("async_streaming.py")
    assert (printed.count("ada: "), printed.count("grace: ")) == (2, 2)
    items = reader.requests()
    assert sorted(said(items, "user", "tier", "request_model", "feature", "streaming")) == [
        ("ada", "lightweight", "gpt-4o-mini", "reading-room", True),
        ("ada", "premium", "claude-sonnet-5", "reading-room", True),
        ("grace", "lightweight", "gpt-4o-mini", "reading-room", True),
        ("grace", "premium", "claude-sonnet-5", "reading-room", True),
    ]


@pytest.mark.slow
def test_a_fastapi_application_says_user_feature_and_route(reader: Reader) -> None:
    long = "Where is my order, and why does it say that it was delivered to somebody else?"
    with reader.serving("fastapi_app.py") as http:
        for user, page in (("ada", "/chat?question=Where?"), ("grace", f"/chat?question={long}")):
            answer = http.post(page, headers={"x-user": user, "x-session": f"of-{user}"})
            assert "simulated" in answer.json()
        assert "simulated" in http.post("/summary?text=Long", headers={"x-user": "lin"}).text
    short, careful, summary = items = reader.requests()
    assert said(items, "feature", "user", "session", "tier", "request_model", "streaming") == [
        ("support-chat", "ada", "of-ada", "lightweight", "gpt-4o-mini", False),
        ("support-chat", "grace", "of-grace", "premium", "claude-sonnet-5", False),
        ("summaries", "lin", None, "lightweight", "claude-haiku-4-5", True),
    ]
    assert said([short, careful], "router", "router_version", "route_reason") == [
        ("by-length", "1", "short question"),
        ("by-length", "1", "long question"),
    ]
    assert summary["router"] is None


@pytest.mark.slow
def test_an_agent_is_one_session_and_its_tools_are_in_the_trace(reader: Reader) -> None:
    assert reader.run("agent_with_tools.py").count("simulated") == 2
    items = reader.requests()
    who = ("order-agent", "user-4711", "standard", "gpt-4o", False)
    assert said(items, "feature", "user", "tier", "request_model", "streaming") == [who] * 3
    assert [item["finish_reason"] for item in items] == ["tool_calls", "stop", "stop"]
    assert len({item["session"] for item in items}) == 1 and items[0]["session"]
    first, second, later = items
    assert first["trace_id"] == second["trace_id"] != later["trace_id"]
    names = [span["name"] for span in reader.trace(first)["spans"]]
    assert names.count("execute_tool find_order") == names.count("invoke_agent order-agent") == 1


@pytest.mark.slow
def test_words_go_from_service_to_service_and_not_to_the_provider(reader: Reader) -> None:
    with (
        reader.serving("two_services/answers.py") as answers,
        reader.serving("two_services/front.py", ANSWERS_URL=str(answers.base_url)) as front,
    ):
        answers.get("/docs")  # until it has started
        for user in ("ada", "grace"):
            assert "simulated" in front.post("/ask", params={"question": "Where?", "user": user}).json()
    items = reader.requests()
    assert said(items, "service", "feature", "user", "tenant", "tier", "streaming") == [
        ("answers", "help-desk", "ada", "acme", "standard", True),
        ("answers", "help-desk", "grace", "acme", "standard", True),
    ]
    assert {span["service"] for span in reader.trace(items[0])["spans"]} == {"front", "answers"}
    heard = [served.header_names for served in reader.provider.log()[reader.before :]]
    # The instrumented client did put the trace on the request, so it would have put Baggage.
    assert [("traceparent" in names, "baggage" in names) for names in heard] == [(True, False)] * 2


@pytest.mark.slow
def test_without_the_sdk_attributes_say_for_whom(reader: Reader) -> None:
    assert reader.run("without_sdk.py").count("This is a simulated answer.") == 2
    assert "tripoint" not in re.findall(
        r"^(?:import|from) (\w+)", (EXAMPLES / "without_sdk.py").read_text(), re.M
    )
    items = reader.requests()
    who = ("order-status", "user-4711", "s-1", "lightweight")
    assert said(items, "feature", "user", "session", "tier") == [who] * 2
    assert [item["streaming"] for item in items] == [False, True]


def test_every_example_is_run_here_and_named_in_the_readme() -> None:
    examples = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.py")}
    run_here = set(re.findall(r'reader\.(?:run|serving)\("([^"]+)"', Path(__file__).read_text()))
    named = set(re.findall(r"\]\(([^)#]+)\)", (EXAMPLES / "README.md").read_text()))
    assert run_here == examples
    assert examples <= named
