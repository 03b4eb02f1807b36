"""The house stands as .importlinter draws it, and each of its rules notices a break."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("alerts", "api", "billing", "collector", "core", "demo", "judge", "migrations", "supervisor", "web")
ROOF = ("asgi", "cli", "doctor", "launch", "log", "protocol", "settings", "worker")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """The linter over a copy of the house."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the rooms to break."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/usage.py", "import core.store.session", "Arrows run down only"),
        ("web/format.py", "import demo.workload", "Arrows run down only"),
        ("api/schema.py", "import web.format", "The service rooms never import each other"),
        ("web/format.py", "import settings", "The roof joins rooms and is imported by nobody"),
        ("core/settling/settle.py", "import socket", "Core outside the store knows nobody"),
        ("core/window.py", "import time", "Core outside the store knows nobody"),
        ("web/chart.py", "import psycopg", "SQL lives in the store"),
        ("collector/read.py", "import genai_prices", "Nobody but billing reads the price catalogue"),
        ("migrations/versions/0001_ledger.py", "import core.usage", "Migrations never import live code"),
        ("web/format.py", "import web.chart\n", "No cycles between files"),
    ],
)
def test_a_planted_break_is_noticed(house: Path, file: str, line: str, contract: str) -> None:
    target = house / file
    target.write_text(target.read_text() + f"\n{line}\n")
    found = lint(house)
    assert found.returncode == 1, found.stdout + found.stderr
    broken = [words for words in found.stdout.splitlines() if "BROKEN" in words]
    assert any(contract in words for words in broken), found.stdout


def test_the_house_as_it_is_keeps_every_rule() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_installed_distribution_owns_our_names() -> None:
    owners = metadata.packages_distributions()
    taken = {name: owners[name] for name in (*ROOMS, *ROOF) if name in owners}
    assert {name: who for name, who in taken.items() if set(who) != {"tripoint-platform"}} == {}
