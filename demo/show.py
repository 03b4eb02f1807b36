"""What the demo prints: how far it is, and in the end who spends what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core.errors import Unavailable
from demo.quality import Found

_METRICS = "requests,cost,input_tokens,output_tokens,latency_p50,ttft_p50"


def settle(url: str, admin_key: str) -> None:
    """Settle what was sent, so that the table shows it whole."""
    _answer(httpx.post(f"{url}/api/v1/settle", headers=_key(admin_key), timeout=120, trust_env=False))


def attribution(url: str, read_key: str) -> dict[str, Any]:
    """The attribution by feature and tier, from the API."""
    answer = httpx.get(
        f"{url}/api/v1/attribution",
        params={"group_by": "feature,tier", "metrics": _METRICS},
        headers=_key(read_key),
        timeout=60,
        trust_env=False,
    )
    return _answer(answer)


def print_table(answer: dict[str, Any], console: Console) -> None:
    """The answer as a table, with what its totals stand on."""
    table = Table(
        title="Who spends what, by feature and tier (simulated requests)", title_justify="left", box=SIMPLE
    )
    for name in ("Feature", "Tier"):
        table.add_column(name, no_wrap=True)
    for name in ("Requests", "In", "Out", "p50", "TTFT", "Cost", "Unpriced"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in answer["rows"]:
        table.add_row(row["feature"] or "(not set)", row["tier"] or "(not set)", *_cells(row))
    table.add_section()
    table.add_row("Total", "", *_cells(answer["total"]), style="bold")
    console.print(table)
    coverage = answer["coverage"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in coverage["unpriced_reasons"].items())
    console.print("In and Out are tokens, p50 is the median latency, TTFT the median time to first token.")
    console.print(
        f"{coverage['priced']:,} of {coverage['requests']:,} requests have a price"
        + (f"; without one, and in no sum: {reasons}." if reasons else ".")
    )


def print_quality(found: Found, console: Console) -> None:
    """What was judged and what was found."""
    console.print(
        f"{found.judged:,} judgements and {found.labels:,} labels, all simulated; judging cost"
        f" ${Decimal(found.cost):,.4f}, which no total above holds."
    )
    if not found.alerts:
        console.print("No alert: nothing has moved as far as these few answers tell.")
    for title, verdict in found.alerts:
        console.print(f"Alert: {title}. {_WHO.get(verdict, verdict)}")


_WHO = {
    "system": "The answers changed.",
    "judge": "The judge changed.",
    "both": "The answers and the judge changed.",
    "undetermined": "Who changed is not known yet.",
}


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['requests']:,}",
        _count(row["input_tokens"]),
        _count(row["output_tokens"]),
        _milliseconds(row["latency_p50"]),
        _milliseconds(row["ttft_p50"]),
        "–" if row["cost"] is None else f"${Decimal(row['cost']):,.4f}",
        f"{row['unpriced_requests']:,}",
    ]


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value / 1000:.2f} s"


def _key(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise Unavailable(f"Tripoint answered {response.status_code}: {response.text[:300]}")
    found: dict[str, Any] = response.json()
    return found


@contextmanager
def progress(total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A function to call with how many visits are done: a bar on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        with Progress(
            TextColumn("  Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        tenth = 10 * done // max(1, total)
        if tenth > told:
            told = tenth
            console.print(f"  {done:,} of {total:,} visits")

    yield tell
