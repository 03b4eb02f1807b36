"""`tripoint demo --exit`, as `make demo ARGS=--exit` runs it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.workload import DAYS, visits
from tests.conftest import free_port

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def test_the_same_day_gives_the_same_workload() -> None:
    assert list(visits(MIDNIGHT, share=0.1)) == list(visits(MIDNIGHT, share=0.1))


def test_the_workload_looks_like_a_company() -> None:
    found = list(visits(MIDNIGHT))
    features = Counter(visit.feature.name for visit in found)
    users = Counter(visit.user for visit in found)
    calls = [call for visit in found for call in visit.calls]
    assert len(features) == 5 and len({call.tier for call in calls}) == 3
    assert users.most_common(1)[0][1] > 20 * sorted(users.values())[len(users) // 2] / 10
    assert 0.005 < sum(call.error is not None for call in calls) / len(calls) < 0.03
    days = {call.start_ns // 86_400_000_000_000 for call in calls}
    assert len(days) in (DAYS, DAYS + 1)


@pytest.mark.slow
def test_the_demo_ends_with_the_table_and_the_address(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("tripoint")
    ports = ["--port", str(free_port()), "--grpc-port", str(free_port())]
    done = subprocess.run(
        [program, "demo", "--exit", "--share", "0.1", "--data", tmp_path, *ports],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent = sum(len(visit.calls) for visit in visits(today(), share=0.1))
    total = next(line for line in done.stdout.splitlines() if line.strip().startswith("Total"))
    assert total.split()[1] == f"{sent:,}"
    assert "support-chat" in done.stdout and "http://127.0.0.1:" in done.stdout
    assert "Traceback" not in done.stderr


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
