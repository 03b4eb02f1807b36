"""How each metric is called, drawn and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.money import PICO
from core.question import METRICS, MONEY
from web import format

Number = int | float | None

METRIC_NAMES: Mapping[str, str] = {
    "requests": "Requests",
    "errors": "Errors",
    "users": "Users",
    "sessions": "Sessions",
    "input_tokens": "Input tokens",
    "uncached_input_tokens": "Uncached input",
    "cache_read_tokens": "Cache read",
    "cache_write_tokens": "Cache write",
    "output_tokens": "Output tokens",
    "reasoning_tokens": "Reasoning",
    "cost": "Cost",
    "list_cost": "List cost",
    "reported_cost": "Cost reported by clients",
    "latency_avg": "Latency, mean",
    "latency_p50": "Latency p50",
    "latency_p95": "Latency p95",
    "latency_p99": "Latency p99",
    "ttft_p50": "TTFT p50",
    "ttft_p95": "TTFT p95",
    "ttft_p99": "TTFT p99",
}

# Only these may be summed over groups; a percentile of percentiles, or users twice, would be wrong.
ADDS_UP = frozenset(name for name, unit in METRICS.items() if unit != "ms") - {"users", "sessions"}


def shown(metric: str, value: Number) -> str:
    """A figure as the tables write it."""
    if metric in MONEY:
        return format.dollars(None if value is None else int(value))
    return format.milliseconds(value) if METRICS[metric] == "ms" else format.count(value)


def exact(metric: str, value: Number) -> str:
    """A figure with all its digits and its unit, as the API answers it."""
    if value is None:
        return "unknown"
    return (
        format.exact(int(value)) if metric in MONEY else f"{value} {METRICS[metric]}".removesuffix(" count")
    )


def axis(metric: str, values: Iterable[Number]) -> tuple[float, str]:
    """What to divide a chart's figures by, and the unit that they are in then."""
    if metric in MONEY:
        return PICO, "USD"
    if METRICS[metric] == "ms":
        largest = max((value for value in values if value is not None), default=0)
        return (1000, "s") if largest >= 2000 else (1, "ms")
    return 1, "" if METRICS[metric] == "count" else METRICS[metric]
