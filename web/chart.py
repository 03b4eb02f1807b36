"""Vega-Lite specifications of the pages' charts, and the script that draws them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import vl_convert

from core.money import PICO
from core.question import METRICS, MONEY, Answer, Row, Value

_BARS = 20
NOT_SET = "(not set)"
OTHERS = "(others)"


@cache
def bundle() -> tuple[bytes, str]:
    """Vega, Vega-Lite and Vega-Embed as one gzipped script, and its version. Takes a second the first time."""
    script = vl_convert.javascript_bundle().encode()
    return gzip.compress(script, 6, mtime=0), hashlib.sha256(script).hexdigest()[:16]


def label(group: Sequence[Value]) -> str:
    """A group's name; a value that is not set says so."""
    return " · ".join(NOT_SET if value is None else value for value in group) or "all requests"


def spec(answer: Answer, metric: str) -> dict[str, Any] | None:
    """Bars for groups, stacked bars over time where an interval is set; None where there is nothing to draw."""
    rows = [row for row in answer.rows if row.metrics.get(metric) is not None]
    if not rows:
        return None
    return _over_time(answer, rows, metric) if answer.question.interval else _by_group(rows, metric)


def _by_group(rows: Sequence[Row], metric: str) -> dict[str, Any]:
    values = [{"group": label(row.group), "value": _number(row, metric)} for row in rows[:_BARS]]
    return _frame(values) | {
        "height": {"step": 26},
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "tooltip": True},
        "encoding": {
            "y": {
                "field": "group",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 220},
            },
            "x": _amount(metric),
            "tooltip": [{"field": "group", "title": "Group"}, _tooltip(metric)],
        },
    }


def _over_time(answer: Answer, rows: Sequence[Row], metric: str) -> dict[str, Any]:
    totals: dict[str, float] = {}
    for row in rows:
        totals[label(row.group)] = totals.get(label(row.group), 0) + _number(row, metric)
    leading = sorted(totals, key=lambda name: -totals[name])[:9]
    values = [
        {
            "start": row.start.isoformat() if row.start else None,
            "group": label(row.group) if label(row.group) in leading else OTHERS,
            "value": _number(row, metric),
        }
        for row in rows
    ]
    order = [*leading, OTHERS] if len(totals) > len(leading) else leading
    return _frame(values) | {
        "height": 260,
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {
                "field": "start",
                "type": "temporal",
                "timeUnit": _TIME_UNITS[answer.question.interval or "day"],
                "title": "UTC",
            },
            "y": _amount(metric) | {"stack": "zero"},
            "color": {"field": "group", "type": "nominal", "sort": order, "title": None},
            "tooltip": [
                {"field": "start", "type": "temporal", "title": "From", "timeUnit": "utcyearmonthdatehours"},
                {"field": "group", "title": "Group"},
                _tooltip(metric),
            ],
        },
    }


_TIME_UNITS = {
    "hour": "utcyearmonthdatehours",
    "day": "utcyearmonthdate",
    "week": "utcyearweek",
    "month": "utcyearmonth",
}


def _frame(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": list(values)},
    }


def _amount(metric: str) -> dict[str, Any]:
    return {
        "field": "value",
        "type": "quantitative",
        "title": f"{METRIC_NAMES[metric]} ({METRICS[metric]})",
        "axis": {"format": "$,.2~f" if metric in MONEY else "~s", "tickCount": 5},
    }


def _tooltip(metric: str) -> dict[str, Any]:
    return {
        "field": "value",
        "title": METRIC_NAMES[metric],
        "format": "$,.6~f" if metric in MONEY else ",.6~r",
    }


def _number(row: Row, metric: str) -> float:
    """For drawing only: the tables beside the chart hold the exact digits."""
    value = row.metrics[metric] or 0
    return value / PICO if metric in MONEY else value


METRIC_NAMES = {
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
