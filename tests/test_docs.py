"""What the documents tell people to do works, and what they name is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.channel import SECRET_PREFIX
from core.judging.judge import KEY_PREFIX
from judge.models import URL_PREFIX
from settings import Settings
from tests.conftest import Project, Server

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "sdk" / "README.md",
    *(ROOT / "examples").glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
]

# The plain SDK and nothing of ours: all it knows of Tripoint is in the environment.
SCRIPT = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("app").start_as_current_span("chat") as span:
    span.set_attribute("gen_ai.operation.name", "chat")
    span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
provider.shutdown()
"""


def exports(document: Path) -> dict[str, str]:
    """The environment that a document tells to set."""
    lines = re.findall(r'^export (OTEL\w+)="?([^"\n]*)"?$', document.read_text(), re.M)
    return dict(lines)


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", ROOT / "docs" / "exporters.md", ROOT / "examples" / "any_exporter.md"],
    ids=lambda path: path.name,
)
def test_the_three_variables_point_a_plain_exporter_here(
    document: Path, server: Server, project: Project
) -> None:
    told = {name: value for name, value in exports(document).items() if "OTLP" in name}
    assert len(told) == 3
    environment = {
        name: value.replace("http://127.0.0.1:4318", server.url).replace("tp_ingest_…", project.ingest)
        for name, value in told.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with server.client() as client:
        assert len(client.get("/api/v1/requests", headers=project.reading()).json()["items"]) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_setting_that_a_document_names_exists() -> None:
    known = {f"TRIPOINT_{name.upper()}" for name in Settings.model_fields}
    # The SDK's, the tests' and the process's own.
    known |= {
        f"TRIPOINT_{name}" for name in ("ENDPOINT", "KEY", "CONTENT", "TRAVEL", "DEBUG", "TEST_DATABASE_URL")
    }
    named = {name for document in DOCUMENTS for name in re.findall(r"TRIPOINT_[A-Z_]+", document.read_text())}
    # Secrets that a judge or a webhook names, and where a judge's may be sent, each by a variable of its own.
    named = {name for name in named if not name.startswith((KEY_PREFIX, URL_PREFIX, SECRET_PREFIX))}
    assert named <= known


def test_every_place_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    places = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", text))
    assert {place for place in places if not (ROOT / place).exists()} == set()


def test_every_function_on_the_path_of_a_request_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    path = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    source = "\n".join(
        file.read_text()
        for room in ("api", "collector", "core", "judge", "sdk/src", "web")
        for file in (ROOT / room).rglob("*.py")
    )
    functions = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)\(\)`", path)}
    assert {name for name in functions if not re.search(rf"(def|class) {name}\b", source)} == set()


@pytest.mark.parametrize(
    "document", [ROOT / "sdk" / "README.md", ROOT / "docs" / "sdk.md"], ids=lambda path: path.name
)
def test_the_sdks_examples_run_one_after_the_other(document: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(), re.M | re.S)
    assert len(blocks) > 1
    prelude = """
import tripoint
def ask(question):
    with tripoint.llm_call("m", provider="p", input=question):
        return "short"
"""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([prelude, *blocks])],
        env={"PYTHONPATH": str(ROOT / "sdk" / "src"), "TRIPOINT_KEY": "tp_key"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
