"""`tripoint demo`, as `make demo` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from demo.workload import FEATURES, visits
from tests.conftest import free_port

PROGRAM = Path(sys.executable).with_name("tripoint")
SHARE = 0.06


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@contextmanager
def started(data: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a session of its own, stopped at the end whatever happens."""
    ports = ["--port", str(port), "--grpc-port", str(free_port())]
    process = subprocess.Popen(
        [PROGRAM, "demo", "--data", data, *ports, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def line_with(words: str, stream: IO[str] | None) -> str:
    """The next line that holds these words; a demo that ends before it says so."""
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"no line with {words!r} in:\n{''.join(seen)}")


def left_behind(port: int) -> list[str]:
    """The command lines of processes that still work for the server at this port."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if f"127.0.0.1:{port}" in command:
                found.append(command)
    return found


def calls_told(words: str) -> int:
    found = re.search(r"([\d,]+) calls to models", words)
    assert found, words
    return int(found[1].replace(",", ""))


def requests_before(client: httpx.Client, midnight: datetime) -> list[dict[str, Any]]:
    """Every request of the two weeks, page by page."""
    found: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {
        "limit": 500,
        "to": midnight.isoformat(),
        "from": "2020-01-01T00:00:00+00:00",
    }
    while True:
        page = client.get("/api/v1/requests", params=parameters).json()
        found += page["items"]
        if page["next"] is None:
            return found
        parameters["cursor"] = page["next"]


@pytest.mark.slow
def test_the_demo_tells_once_and_exactly_what_its_applications_did(tmp_path: Path) -> None:
    midnight = today()
    port = free_port()
    with started(tmp_path, port, "--share", str(SHARE), "--exit") as demo:
        out, err = demo.communicate(timeout=150)
    assert demo.returncode == 0, err
    calls = calls_told(err)
    assert calls > sum(1 for _ in visits(midnight, share=SHARE)) and "Traceback" not in err
    total = next(line for line in out.splitlines() if line.strip().startswith("Total"))
    assert total.split()[1] == f"{calls:,}"
    assert all(feature.name in out for feature in FEATURES) and f"http://127.0.0.1:{port}" in out

    # The same day again, and this time it stays.
    port = free_port()
    with started(tmp_path, port, "--share", str(SHARE)) as demo:
        line_with("Dashboard", demo.stdout)
        key = (tmp_path / "secrets" / "demo" / "read.key").read_text().strip()
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
        told = requests_before(client, midnight)
        look_right(told, calls)
        answer = client.get(
            "/api/v1/attribution",
            params={
                "group_by": "feature,tier",
                "metrics": "requests,cost,input_tokens,ttft_p50",
                "from": "2020-01-01T00:00:00+00:00",
                "to": midnight.isoformat(),
            },
        ).json()
        assert answer["total"]["requests"] == calls
        assert Decimal(answer["total"]["cost"]) == sum(
            Decimal(r["cost"]) for r in told if r["cost"] is not None
        )
        assert answer["total"]["input_tokens"] == sum(r["usage"]["input_tokens"] or 0 for r in told)
        # Then a trickle in real time.
        deadline = time.monotonic() + 60
        while not (
            now := client.get("/api/v1/requests", params={"from": midnight.isoformat()}).json()["items"]
        ):
            assert time.monotonic() < deadline, "no live request came"
            time.sleep(0.5)
        assert now[0]["feature"] and now[0]["tier"]
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 0 and "Traceback" not in err, err
    assert left_behind(port) == []


def look_right(told: list[dict[str, Any]], calls: int) -> None:
    """Users, tiers and times are there; a retried call is one request."""
    assert len(told) == calls
    assert {r["feature"] for r in told} == {feature.name for feature in FEATURES}
    assert {r["tier"] for r in told} == {"lightweight", "standard", "premium"}
    assert all(r["user"] and r["tenant"] and r["plan"] and r["session"] for r in told)
    assert {r["provider"] for r in told} >= {"openai", "anthropic"}
    chats = [r for r in told if r["feature"] == "support-chat" and r["status"] == "ok"]
    assert all(r["streaming"] and 0 < r["ttft_ms"] <= r["duration_ms"] for r in chats)
    assert all(r["usage"]["input_tokens"] > 0 and r["usage"]["output_tokens"] > 0 for r in chats)
    assert any(r["usage"]["cache_read_tokens"] for r in chats)
    assert {r["pricing_status"] for r in told if r["request_model"] == "acme-llama-70b"} <= {"unpriced"}
    # The cheapest tier answers first: whoever came to another tier came from the one below.
    assert {r["tier"] for r in chats} > {"lightweight"} or len(chats) < 30


@pytest.mark.slow
def test_ctrl_c_while_it_sends_stops_everything(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, port) as demo:
        line_with(" of ", demo.stderr)
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130 and "Stopped." in err and "Traceback" not in err, err
    assert left_behind(port) == []
