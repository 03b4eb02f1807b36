"""Vega-Lite specifications of the pages' charts, and the script that draws them.

A specification names no colours: `usermeta` says which of the page's own (CSS variables) its marks take,
so that one specification serves light and dark.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import vl_convert

from core.question import MONEY, Answer, Row, Value
from web import format
from web.interval import interval_end
from web.metric import ADDS_UP, METRIC_NAMES, Number, axis, exact, shown

_BARS = 20
_SERIES = 8
OTHERS = "(others)"
_MEANINGS = {OTHERS: "--c-others", format.NOT_SET: "--c-unset"}
_STATUSES = {"ok": "--c1", "error": "--bad", "aborted": "--warn"}
_TIME_FORMATS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "week": "week of %Y-%m-%d", "month": "%Y-%m"}

VERSION = version("vl-convert-python")


@cache
def bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one gzipped script. Takes a second the first time."""
    return gzip.compress(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode(), 6, mtime=0)


def spec(answer: Answer, metric: str) -> dict[str, Any] | None:
    """Bars for groups; where an interval is set, stacked bars or lines over time. None: nothing to draw."""
    rows = [row for row in answer.rows if row.metrics.get(metric) is not None]
    if not rows:
        return None
    return _over_time(answer, rows, metric) if answer.question.interval else _by_group(rows, metric)


def note(answer: Answer, metric: str) -> str:
    """What the chart leaves out, as a sentence; empty where it shows everything."""
    over_time = bool(answer.question.interval)
    if over_time and answer.groups > len(answer.rows):
        return "There are more intervals and groups than this chart holds: choose a longer interval or fewer groups."
    drawn = {row.group for row in answer.rows if row.metrics.get(metric) is not None}
    most, whole = (_SERIES, len(drawn)) if over_time else (_BARS, answer.groups)
    if len(drawn) <= most:
        return ""
    rest = ", the rest as one" if over_time and metric in ADDS_UP else ""
    return f"The {most} leading of {whole:,} groups are drawn{rest}."


def label(group: Sequence[Value]) -> str:
    """A group's name; a value that is not set says so."""
    return " · ".join(format.NOT_SET if value is None else value for value in group) or "all requests"


def _labels(groups: Iterable[tuple[Value, ...]]) -> dict[tuple[Value, ...], str]:
    """A name of its own for every group: two that read the same must not share a bar."""
    names: dict[tuple[Value, ...], str] = {}
    taken = {OTHERS}
    for group in dict.fromkeys(groups):
        name, times = label(group), 1
        while name in taken:
            times += 1
            name = f"{label(group)} ({times})"
        taken.add(name)
        names[group] = name
    return names


def _by_group(rows: Sequence[Row], metric: str) -> dict[str, Any]:
    rows = rows[:_BARS]
    names = _labels(row.group for row in rows)
    by, unit = axis(metric, [row.metrics[metric] for row in rows])
    values = [_datum(metric, row.metrics[metric], by) | {"group": names[row.group]} for row in rows]
    colours = ["--bad" if metric == "errors" else "--c1"]
    return _frame(values, 28 * len(values) + 48, colours) | {
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.72}},
        "encoding": {
            "y": {"field": "group", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "x": _amount(metric, unit),
            "tooltip": [{"field": "group", "title": "Group"}, _tooltip(metric)],
        },
    }


def _over_time(answer: Answer, rows: Sequence[Row], metric: str) -> dict[str, Any]:
    names = _labels(row.group for row in rows)
    leading = _leading(rows, metric)
    series = [names[group] for group in leading]
    sums: dict[tuple[datetime, str], int | float] = {}
    for row in rows:
        name = names[row.group] if row.group in leading else OTHERS
        if row.start is not None and (name != OTHERS or metric in ADDS_UP):
            sums[row.start, name] = sums.get((row.start, name), 0) + (row.metrics[metric] or 0)
    if len(names) > len(leading) and metric in ADDS_UP:
        series.append(OTHERS)
    interval = answer.question.interval or "day"
    by, unit = axis(metric, sums.values())
    values = [
        _datum(metric, value, by)
        | {"group": name, "rank": series.index(name), "when": start.strftime(_TIME_FORMATS[interval])}
        | {"start": _instant(start), "end": _instant(interval_end(start, interval))}
        for (start, name), value in sums.items()
    ]
    meanings = _MEANINGS | (_STATUSES if answer.question.group_by == ("status",) else {})
    colours = [meanings.get(name, f"--c{at + 1}") for at, name in enumerate(series)]
    starts = sorted({start for start, _ in sums})
    return _frame(values, 300, colours) | _series_marks(answer, metric, unit, series, starts)


def _leading(rows: Sequence[Row], metric: str) -> list[tuple[Value, ...]]:
    """The groups with the largest sums; where the metric does not add up, those with the most requests."""
    weight = metric if metric in ADDS_UP else "requests"
    totals: dict[tuple[Value, ...], int | float] = {}
    for row in rows:
        totals[row.group] = totals.get(row.group, 0) + (row.metrics.get(weight) or 0)
    return sorted(totals, key=lambda group: -totals[group])[:_SERIES]


def _series_marks(
    answer: Answer, metric: str, unit: str, series: list[str], starts: Sequence[datetime]
) -> dict[str, Any]:
    stacked = metric in ADDS_UP
    window = answer.question.window
    ends = {"domainMin": window.start, "domainMax": window.end}
    scale = {"type": "utc"} | {
        name: {"expr": str(_instant(at))} for name, at in ends.items() if at is not None
    }
    x: dict[str, Any] = {
        "field": "start",
        "type": "temporal",
        "title": None,
        "scale": scale,
        "axis": {"grid": False, "labelOverlap": True},
    }
    if answer.question.interval == "week":
        # Vega's weeks begin on Sundays, the ledger's on Mondays.
        x["axis"] |= {
            "values": {"expr": str([_instant(at) for at in starts])},
            "labelExpr": "utcFormat(datum.value, '%b %d')",
        }
    encoding: dict[str, Any] = {
        "x": x | ({"bin": "binned"} if stacked else {}),
        "y": _amount(metric, unit) | ({"stack": "zero"} if stacked else {}),
        "color": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": series}},
        "order": {"field": "rank" if stacked else "start"},
        "tooltip": [
            {"field": "when", "title": "From (UTC)"},
            {"field": "group", "title": "Group"},
            _tooltip(metric),
        ],
    }
    if stacked:
        encoding["x2"] = {"field": "end"}
    if len(series) == 1:
        encoding["color"]["legend"] = None
    line = {"type": "line", "point": {"size": 36}, "strokeWidth": 2}
    return {"mark": {"type": "bar"} if stacked else line, "encoding": encoding}


def _instant(at: datetime) -> int:
    """Milliseconds since 1970, which no reader of dates can shift into another zone."""
    return round(at.timestamp() * 1000)


def _frame(values: Sequence[Mapping[str, Any]], height: int, colours: Sequence[str]) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(values)},
        "usermeta": {"colours": list(colours)},
    }


def _amount(metric: str, unit: str) -> dict[str, Any]:
    return {
        "field": "value",
        "type": "quantitative",
        "title": METRIC_NAMES[metric] + (f" ({unit})" if unit else ""),
        # Six digits that count, however small the number: a cost of $0.00012 is no $0.
        "axis": {"format": "$,.6~r" if metric in MONEY else "~s" if unit in ("", "tokens") else ",.6~r"},
    }


def _tooltip(metric: str) -> dict[str, Any]:
    return {"field": "shown", "title": METRIC_NAMES[metric]}


def _datum(metric: str, value: Number, by: float) -> dict[str, Any]:
    """`value` is for drawing only; `shown` has the digits."""
    digits = exact(metric, value) if metric in MONEY else shown(metric, value)
    return {"value": (value or 0) / by, "shown": digits}
