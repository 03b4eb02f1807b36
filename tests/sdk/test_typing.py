"""Type checkers see what the SDK's users write, on the oldest Python that it supports too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[2] / "sdk"


def check(*files: Path, python: str, cache: Path) -> subprocess.CompletedProcess[str]:
    # without a configuration of ours: as a user's checker sees an installed package
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version", python]
    # a cache of its own: two checks at once spoil a shared one
    command += ["--cache-dir", str(cache)]
    return subprocess.run(
        [*command, *map(str, files)],
        cwd=SDK,
        env={"MYPYPATH": str(SDK / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.10", "3.13"])
def test_the_public_surface_is_typed(python: str, tmp_path: Path) -> None:
    found = check(SDK / "typing_tests" / "surface.py", python=python, cache=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_the_check_would_notice(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import tripoint\ntripoint.flush(timeout='long')\n")
    found = check(wrong, python="3.10", cache=tmp_path / "cache")
    assert found.returncode == 1 and "arg-type" in found.stdout
