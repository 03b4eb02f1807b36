"""A throwaway PostgreSQL and servers on top of it, for one run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import Engine

import launch
from core.store import keys
from core.store.session import open_engine, transaction
from supervisor import folder as folders
from supervisor import postgres
from supervisor.child import Child, stop_together

ROOT = Path(__file__).resolve().parents[1]
SHARED_BENCH = ROOT.parent / "shared" / "bench"
"""The load generator, beside the checkout; what needs it says so where it is absent."""


@dataclass(frozen=True)
class Database:
    """A migrated cluster with one project."""

    owner_url: str
    app_url: str
    postmaster: int
    project: int
    ingest_key: str


@contextmanager
def database() -> Iterator[Database]:
    """The embedded PostgreSQL in a folder of its own; both are gone afterwards."""
    # Not a folder under a closed parent: PostgreSQL may run as another user.
    place = Path(tempfile.mkdtemp(prefix="tp-bench-"))
    place.chmod(0o755)
    child = None
    try:
        folder = folders.prepare(folders.create_data_folder(place / "data"), lambda step: None)
        postgres.prepare(folder, lambda step: None)
        child = Child(postgres.command(folder), folder.log("postgres"))
        child.wait_ready()
        postgres.ensure_database(folder)
        launch.migrate(postgres.owner_url(folder))
        postgres.ensure_app_login(postgres.owner_url(folder), postgres.app_password(folder))
        with owner(postgres.owner_url(folder)) as engine:
            with transaction(engine) as connection:
                project = keys.create_project(connection, "benchmark")
            key = launch.make_key(engine, project, "ingest")
        yield Database(postgres.owner_url(folder), postgres.app_url(folder), child.pid, project, key)
    finally:
        if child:
            stop_together([child], hurried=lambda: False)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def owner(url: str) -> Iterator[Engine]:
    """The owner's engine, which fills tables, however long a busy machine takes for it."""
    engine = open_engine(url, role=None, statement_timeout_s=3600)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def server(base: Database, *, content: bool) -> Iterator[tuple[str, int]]:
    """URL and pid of a `tripoint serve` of its own, without a worker beside it."""
    port = free_port()
    environment = {
        **os.environ,
        "TRIPOINT_DATABASE_URL": base.app_url,
        "TRIPOINT_PORT": str(port),
        "TRIPOINT_GRPC_PORT": "0",
        "TRIPOINT_STORE_CONTENT": str(content).lower(),
        "TRIPOINT_LOG_LEVEL": "warning",
    }
    with _running(
        [sys.executable, "-m", "cli", "serve"], environment, f"http://127.0.0.1:{port}/readyz"
    ) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def hello() -> Iterator[tuple[str, int]]:
    """A server that reads the body and answers 200: what HTTP alone costs in Python."""
    port = free_port()
    uvicorn = ["-m", "uvicorn", "benchmarks.hello:app", "--loop", "uvloop", "--http", "httptools"]
    command = [sys.executable, *uvicorn, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    with _running(command, dict(os.environ), f"http://127.0.0.1:{port}/") as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], ready_url: str) -> Iterator[int]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 30
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{' '.join(command[1:4])} did not start.")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all its children, those that ended included, finer than clock ticks."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            running_ns = sum(
                int(stat.read_text().split()[0])
                for stat in Path(f"/proc/{process.pid}/task").glob("*/schedstat")
            )
            ended = process.cpu_times()
            total += running_ns / 1e9 + ended.children_user + ended.children_system
        except (psutil.NoSuchProcess, OSError):
            continue
    return total
