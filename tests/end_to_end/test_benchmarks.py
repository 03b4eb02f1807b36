"""The benchmarks run and print their tables; what the figures are is nobody's gate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.place import SHARED_BENCH

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def printed(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_questions_are_timed_against_a_bare_count() -> None:
    table = printed("benchmarks.queries", "--rows", "2000", "--runs", "1")
    assert "SELECT count(*)" in table
    assert "one user's month" in table


@pytest.mark.skipif(not SHARED_BENCH.is_dir(), reason=f"the load generator is not at {SHARED_BENCH}")
def test_intake_is_timed_against_an_endpoint_that_does_nothing() -> None:
    table = printed("benchmarks.ingest", "--scale", "0.05", "--only", "load")
    assert "tripoint, with content" in table
    assert "not all was accepted" not in table
