"""The demo from start to end, for `tripoint demo`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from rich.console import Console

from demo import quality, run
from demo.show import attribution, print_quality, print_table, progress, settle
from demo.workload import DAYS, visits

# With fewer visits what is planted in their quality is too rare to be found.
_ENOUGH_TO_FIND = 0.9

WhenReady = Callable[[dict[str, Any]], bool]


@contextmanager
def present(say: Callable[[str], None], share: float, stay: bool) -> Iterator[WhenReady]:
    """What to do when Tripoint is ready. It returns `stay`; what goes on after it ends with the block."""
    with ExitStack() as still_running:

        def when_ready(ready: dict[str, Any]) -> bool:
            with _interruptible():
                provider_url = still_running.enter_context(run.provider())
                _load(ready, provider_url, say, share)
                if stay:
                    say(
                        "From here on a simulated visit every few seconds, in real time, for four hours at most"
                    )
                    live = run.live(provider_url, ready["url"], ready["ingest_key"])
                    still_running.enter_context(live)
            return stay

        try:
            yield when_ready
        except KeyboardInterrupt:
            say("Stopped.")
            sys.exit(130)


def _load(ready: dict[str, Any], provider_url: str, say: Callable[[str], None], share: float) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    total = sum(1 for _ in visits(midnight, share=share))
    say(
        f"{DAYS} days of a made-up company, {total:,} visits: its applications call a simulated provider"
        " through the real openai and anthropic clients"
    )
    began = time.monotonic()
    with progress(total, Console(stderr=True)) as tell:
        sent = run.send(midnight, share, provider_url, ready["url"], ready["ingest_key"], tell)
    seconds = time.monotonic() - began
    say(
        f"{sent.calls:,} calls to models in {seconds:.0f} s ({sent.calls / seconds:,.0f}/s,"
        f" {1000 * sent.cpu_s / sent.calls:.1f} ms CPU each in the applications), all acknowledged; settling"
    )
    settle(ready["url"], ready["admin_key"])
    print_table(attribution(ready["url"], ready["read_key"]), Console(width=max(Console().width, 120)))
    found = quality.judge(ready["url"], ready["admin_key"], provider_url, say, share >= _ENOUGH_TO_FIND)
    print_quality(found, Console(width=max(Console().width, 120)))
    print(f"Dashboard, until this command stops: {ready['dashboard']}", flush=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """The supervisor only counts signals while we work; here each also ends the work at once."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def heard(number: int, frame: FrameType | None) -> None:
        counted = before[signal.Signals(number)]
        if counted == signal.SIG_IGN:
            return
        if callable(counted):
            counted(number, frame)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
