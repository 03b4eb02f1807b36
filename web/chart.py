"""Vega-Lite specifications of the pages' charts, and the script that draws them.

A specification names no colours: `usermeta` says which of the page's own (CSS variables) each mark takes,
so that one specification serves light and dark.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import vl_convert

from core.money import PICO
from core.question import METRICS, MONEY, Answer, Row, Value
from web import format

_BARS = 20
_SERIES = 8
OTHERS = "(others)"
# Only these add up over groups, so only these are stacked; the rest are drawn as lines.
_ADDS_UP = frozenset(name for name, unit in METRICS.items() if unit != "ms") - {"users", "sessions"}
_MEANINGS = {OTHERS: "--c-others", format.NOT_SET: "--c-unset"}
_STATUSES = {"ok": "--c1", "error": "--bad", "aborted": "--warn"}

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


@cache
def bundle() -> tuple[bytes, str]:
    """Vega, Vega-Lite and Vega-Embed as one gzipped script, and its version. Takes a second the first time."""
    script = vl_convert.javascript_bundle().encode()
    return gzip.compress(script, 6, mtime=0), hashlib.sha256(script).hexdigest()[:16]


def spec(answer: Answer, metric: str) -> dict[str, Any] | None:
    """Bars for groups; where an interval is set, stacked bars or lines over time. None: nothing to draw."""
    rows = [row for row in answer.rows if row.metrics.get(metric) is not None]
    if not rows:
        return None
    scale, unit = _scale(rows, metric)
    return (
        _over_time(answer, rows, metric, scale, unit)
        if answer.question.interval
        else _by_group(rows, metric, scale, unit)
    )


def note(answer: Answer, metric: str) -> str:
    """What the chart leaves out, as a sentence; empty where it shows everything."""
    known = [row for row in answer.rows if row.metrics.get(metric) is not None]
    groups = len({row.group for row in known})
    most = _SERIES if answer.question.interval else _BARS
    if answer.groups > len(answer.rows) and answer.question.interval:
        return "There are more intervals and groups than a chart can hold: choose a longer interval or fewer groups."
    if groups <= most:
        return ""
    rest = ", the others as one" if answer.question.interval and metric in _ADDS_UP else ""
    whole = groups if answer.question.interval else answer.groups
    return f"Drawn: {most} of {whole:,} groups{rest}."


def label(group: Sequence[Value]) -> str:
    """A group's name; a value that is not set says so."""
    return " · ".join(format.NOT_SET if value is None else value for value in group) or "all requests"


def _labels(rows: Iterable[Row]) -> dict[tuple[Value, ...], str]:
    """A name of its own for every group: two that read the same must not share a bar."""
    names: dict[tuple[Value, ...], str] = {}
    times: dict[str, int] = {OTHERS: 1}
    for row in rows:
        if row.group not in names:
            name = label(row.group)
            times[name] = times.get(name, 0) + 1
            names[row.group] = name if times[name] == 1 else f"{name} ({times[name]})"
    return names


def _by_group(rows: Sequence[Row], metric: str, scale: float, unit: str) -> dict[str, Any]:
    drawn = rows[:_BARS]
    names = _labels(drawn)
    values = [_value(names[row.group], row, metric, scale) for row in drawn]
    return _frame(values, 28 * len(values) + 44, {"mark": "--bad" if metric == "errors" else "--c1"}) | {
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "group", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "x": _amount(metric, unit),
            "tooltip": [{"field": "group", "title": "Group"}, _shown(metric)],
        },
    }


def _over_time(answer: Answer, rows: Sequence[Row], metric: str, scale: float, unit: str) -> dict[str, Any]:
    names = _labels(rows)
    leading = [names[group] for group in _leading(rows, metric)[:_SERIES]]
    adds_up = metric in _ADDS_UP
    interval = answer.question.interval or "day"
    values = [
        _value(name if name in leading else OTHERS, row, metric, scale)
        | {"start": _iso(row.start), "end": _iso(interval_end(row.start, interval) if row.start else None)}
        for row in rows
        if (name := names[row.group]) in leading or adds_up
    ]
    order = [*leading, OTHERS] if adds_up and len(names) > len(leading) else leading
    meanings = _MEANINGS | (_STATUSES if answer.question.group_by == ("status",) else {})
    colours = [meanings.get(name, f"--c{at + 1}") for at, name in enumerate(order)]
    return _frame(values, 300, {"series": colours}) | {
        "mark": {"type": "bar"} if adds_up else {"type": "line", "point": {"size": 36}, "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "start",
                "type": "temporal",
                "title": None,
                "scale": {"type": "utc"} | _domain(answer, rows),
                "axis": {"grid": False, "labelOverlap": True},
            }
            | ({"bin": "binned"} if adds_up else {}),
            "y": _amount(metric, unit) | ({"stack": "zero"} if adds_up else {}),
            "color": {
                "field": "group", "type": "nominal", "title": None,
                "scale": {"domain": order}, "legend": None if len(order) == 1 else {},
            },
            "order": {"field": "rank", "type": "quantitative"},
            "tooltip": [
                {"field": "start", "type": "temporal", "title": "From (UTC)", "format": _TIME_FORMATS[interval],
                 "scale": {"type": "utc"}, "timeUnit": "utcyearmonthdatehours"},
                {"field": "group", "title": "Group"},
                _shown(metric),
            ],
        } | ({"x2": {"field": "end"}} if adds_up else {}),
        "transform": [{"calculate": f"indexof({order!r}, datum.group)", "as": "rank"}] if False else [],
    }  # fmt: skip


def _leading(rows: Sequence[Row], metric: str) -> list[tuple[Value, ...]]:
    """The groups with the largest sums; where the metric does not add up, those with the most requests."""
    weight = metric if metric in _ADDS_UP else "requests"
    totals: dict[tuple[Value, ...], float] = {}
    for row in rows:
        totals[row.group] = totals.get(row.group, 0) + (row.metrics.get(weight) or 0)
    return sorted(totals, key=lambda group: -totals[group])
