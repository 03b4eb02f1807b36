"""instrument_openai() and instrument_anthropic(), with every instrumentation that is installed, end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.provider import Provider, Served, running_provider
from tests.conftest import Server, make_project

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
USED = [
    ("openai", "genai", "opentelemetry-instrumentation-genai-openai"),
    ("openai", "openinference", "openinference-instrumentation-openai"),
    ("openai", "openllmetry", "opentelemetry-instrumentation-openai"),
    ("anthropic", "genai", "opentelemetry-instrumentation-genai-anthropic"),
    ("anthropic", "openinference", "openinference-instrumentation-anthropic"),
    ("anthropic", "openllmetry", "opentelemetry-instrumentation-anthropic"),
    ("anthropic", "native", "anthropic"),
]
OPENAI_STREAMS = {
    *("stream", "tools", "stream-helper", "raw-stream", "responses-stream", "responses-helper"),
    *("async-stream", "async-responses"),
}
ANTHROPIC_STREAMS = {"stream", "tools", "stream-helper", "async-stream", "async-helper"}
PLAIN = {"openai": {"plain", "retry", "responses", "async"}, "anthropic": {"plain", "retry", "async"}}
STREAMS = {"openai": OPENAI_STREAMS, "anthropic": ANTHROPIC_STREAMS}
# OpenLLMetry does not read a raw response, and begins the span of a streamed Response when all is over.
WITHOUT_USAGE = {"openllmetry": {"raw-stream"}}
WITHOUT_TTFT = {"openllmetry": {"raw-stream", "responses-stream", "responses-helper", "async-responses"}}


@dataclass(frozen=True)
class Run:
    """What the application's run left behind: requests by feature, and the provider's own record by case."""

    client: str
    prefer: str
    requests: dict[str, list[dict[str, Any]]]
    served: dict[str, Served]

    def one(self, case: str) -> dict[str, Any]:
        found = self.requests.get(case, [])
        assert len(found) == 1, f"{case}: {len(found)} requests"
        return found[0]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider(wait=1) as found:
        yield found


def python(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'sdk' / 'src'}:{ROOT}", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module", params=USED, ids=lambda used: f"{used[0]}-{used[1]}")
def run(request: pytest.FixtureRequest, server: Server, provider: Provider, owner: Any) -> Run:
    """One run of the application, settled."""
    client, prefer, distribution = request.param
    project = make_project(owner)
    script = str(HERE / "instrumented.py")
    done = python(script, client, prefer, provider.url, server.url, project.ingest)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [distribution]
    with server.client() as http:
        assert http.post("/api/v1/settle", headers=project.ruling()).status_code == 200
        items = http.get("/api/v1/requests", params={"limit": 200}, headers=project.reading()).json()["items"]
    requests: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        requests.setdefault(item["feature"], []).append(item)
    mark = f"{client}-{prefer}-"
    served = {
        s.response_id.partition(mark)[2]: s for s in provider.log() if s.response_id and mark in s.response_id
    }
    return Run(client, prefer, requests, served)


@pytest.mark.slow
def test_every_call_counts_once_with_its_tokens_user_and_tier(run: Run) -> None:
    for case in PLAIN[run.client] | STREAMS[run.client]:
        item = run.one(case)
        usage = item["usage"]
        if case in WITHOUT_USAGE.get(run.prefer, ()):
            assert usage["input_tokens"] is None and item["pricing_status"] == "unpriced"
            continue
        assert (usage["input_tokens"], usage["output_tokens"]) == (2000, 40), case
        assert (usage["cache_read_tokens"], usage["uncached_input_tokens"]) == (1024, 976), case
        assert (item["user"], item["tier"], item["status"]) == ("u-1", "premium", "ok"), case
        assert item["request_model"] in ("gpt-4o-mini", "claude-haiku-4-5") and item["cost"], case


@pytest.mark.slow
def test_a_stream_has_the_time_of_its_first_output_not_of_its_prelude(run: Run) -> None:
    for case in (STREAMS[run.client] | {"left"}) - WITHOUT_TTFT.get(run.prefer, set()):
        item, served = run.one(case), run.served[case]
        assert item["streaming"] is True, case
        assert served.first_output_s is not None
        # The client hears of it later, how much later is the machine's affair; but before the end.
        assert 1000 * served.first_output_s - 5 <= item["ttft_ms"] <= item["duration_ms"], case
        if case != "left":
            assert item["ttft_ms"] < item["duration_ms"], case


@pytest.mark.slow
def test_what_was_not_streamed_says_so(run: Run) -> None:
    for case in PLAIN[run.client]:
        assert run.one(case)["streaming"] is False and run.one(case)["ttft_ms"] is None, case


@pytest.mark.slow
def test_a_stream_that_its_reader_left_is_aborted(run: Run) -> None:
    assert run.one("left")["status"] == "aborted"


@pytest.mark.slow
def test_a_refused_call_is_one_error(run: Run) -> None:
    item = run.one("error")
    assert item["status"] == "error" and item["error_type"]


@pytest.mark.slow
def test_embeddings_count_their_input(run: Run) -> None:
    if run.client == "openai":
        assert run.one("embeddings")["usage"]["input_tokens"] == 7


def test_without_an_instrumentation_it_says_what_to_install_and_goes_on() -> None:
    code = """
import sys
for name in ("genai", "openai", "openai_v2", "anthropic"):
    sys.modules[f"opentelemetry.instrumentation.{name}"] = None
sys.modules["openinference"] = None
sys.modules["anthropic._tracing"] = None
import tripoint
tripoint.init(endpoint="http://127.0.0.1:1", key="k")
print(tripoint.instrument_openai(), tripoint.instrument_anthropic())
"""
    done = python("-c", code)
    assert done.stdout.split() == ["None", "None"], done.stderr
    assert 'pip install "tripoint[openai]"' in done.stderr
    assert 'pip install "tripoint[anthropic]"' in done.stderr and "Traceback" not in done.stderr


def test_one_that_does_not_work_with_the_client_is_passed_over() -> None:
    code = """
import tripoint
tripoint.init(endpoint="http://127.0.0.1:1", key="k", debug=True)
print(tripoint.instrument_openai(prefer="openai-v2"))
"""
    done = python("-c", code)
    assert done.stdout.strip() == "opentelemetry-instrumentation-genai-openai", done.stderr
    assert "openai-v2 does not work with the installed openai" in done.stderr


def test_one_that_the_application_uses_already_is_kept() -> None:
    code = """
from openinference.instrumentation.openai import OpenAIInstrumentor
import tripoint
tripoint.init(endpoint="http://127.0.0.1:1", key="k")
OpenAIInstrumentor().instrument()
print(tripoint.instrument_openai(), tripoint.instrument_openai(prefer="genai"))
"""
    done = python("-c", code)
    assert done.stdout.split() == 2 * ["openinference-instrumentation-openai"], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("content", ["all", "none"])
@pytest.mark.parametrize(("client", "prefer"), [used[:2] for used in USED if used[1] != "native"])
def test_prompts_are_captured_unless_no_content_is_wanted(
    provider: Provider, client: str, prefer: str, content: str
) -> None:
    call = {
        "openai": 'openai.OpenAI(base_url=url + "/v1", api_key="k").chat.completions.create(model="gpt-4o",',
        "anthropic": 'anthropic.Anthropic(base_url=url, api_key="k").messages.create(max_tokens=9, model="o",',
    }[client]
    code = f"""
import sys, {client}
import tripoint, tripoint.testing
url, wait = sys.argv[1], {{"x-simulate": '{{"wait": 0}}'}}
tripoint.init(endpoint="http://127.0.0.1:1", key="k", content="{content}")
tripoint.instrument_{client}(prefer="{prefer}")
with tripoint.testing.capture() as seen:
    {call} messages=[{{"role": "user", "content": "swordfish"}}], extra_headers=wait)
print("swordfish" in str([dict(span.attributes or {{}}) for span in seen.spans]))
"""
    done = python("-c", code, provider.url)
    assert done.stdout.strip() == str(content == "all"), done.stderr
