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
