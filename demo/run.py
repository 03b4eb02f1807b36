"""Starts the simulated provider and the applications, each in a process of its own, and waits for them.

No process outlives this one, however it ends: each reads from a pipe that only this one holds open.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from core.errors import Unavailable
from demo.workload import RELEASES, SERVICES, Visit, visits

_ROOT = Path(__file__).resolve().parents[1]
_GRACE_S = 3.0


@dataclass(frozen=True)
class Sent:
    """What the applications did: visits, calls to a model, and the CPU time of their processes."""

    visits: int
    calls: int
    cpu_s: float


@contextmanager
def provider() -> Iterator[str]:
    """The address of a provider that waits only where it is asked to."""
    with _process([sys.executable, "-m", "demo.provider", "--wait", "0", "--until-eof"]) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise Unavailable("The demo's simulated provider did not start.")
        yield url


def send(
    midnight: datetime,
    share: float,
    provider_url: str,
    endpoint: str,
    key: str,
    tell: Callable[[int], None],
) -> Sent:
    """Run every application over its part of the workload; returns when Tripoint has acknowledged all of it.
    `tell` is called with the number of visits that are done."""
    parts = _parts(midnight, share)
    heard: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()
    last: dict[int, dict[str, Any]] = {}
    with ExitStack() as stack:
        for number, (service, release) in enumerate(parts):
            options = ["--midnight", midnight.isoformat(), "--share", str(share), "--release", release]
            process = stack.enter_context(_application(service, provider_url, endpoint, key, options))
            threading.Thread(target=_listen, args=(number, process, heard), daemon=True).start()
        running = set(range(len(parts)))
        while running:
            number, told = heard.get()
            if told is None:
                running.remove(number)
                if not last.get(number, {}).get("sent"):
                    raise Unavailable(f"The demo's {parts[number][0]} did not get its requests through.")
                continue
            last[number] = told
            tell(sum(line["visits"] for line in last.values()))
    return Sent(
        *(sum(line[name] for line in last.values()) for name in ("visits", "calls", "cpu_s")),
    )


@contextmanager
def live(provider_url: str, endpoint: str, key: str) -> Iterator[None]:
    """A visit every few seconds in real time, until the block ends or some hours are over."""
    with _application("demo-live", provider_url, endpoint, key, ["--release", RELEASES[-1], "--live"]):
        yield


def _parts(midnight: datetime, share: float) -> list[tuple[str, str]]:
    """Each service with each release that has visits."""
    found: set[tuple[str, str]] = {_part(visit) for visit in visits(midnight, share=share)}
    return sorted(found, key=lambda part: (SERVICES.index(part[0]), part[1]))


def _part(visit: Visit) -> tuple[str, str]:
    return visit.feature.service, visit.release


def _application(service: str, provider_url: str, endpoint: str, key: str, options: list[str]) -> Any:
    command = [
        sys.executable,
        "-m",
        "demo.drive",
        service,
        "--provider",
        provider_url,
        "--endpoint",
        endpoint,
    ]
    return _process([*command, *options], {"TRIPOINT_KEY": key})


@contextmanager
def _process(
    command: list[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**_plain_environment(), **(environment or {})},
        # Ctrl-C is for us; they end with us.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _plain_environment() -> dict[str, str]:
    """Ours, without what would turn the demo's requests from their way or change what they say."""
    unwanted = ("OTEL_", "OPENAI_", "ANTHROPIC_", "TRIPOINT_", "TRACELOOP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def _listen(
    number: int, process: subprocess.Popen[str], heard: SimpleQueue[tuple[int, dict[str, Any] | None]]
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        heard.put((number, json.loads(line)))
    heard.put((number, None))
