"""Vega-Lite specifications of the pages' charts, and the script that draws them.

A specification names no colours: `usermeta` says which of the page's own (CSS variables) its marks take,
so that one specification serves light and dark.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

import vl_convert

from core.question import METRICS, MONEY, Answer, CostQuestion, Row, Value
from core.window import interval_end
from web import format, tier
from web import zone as zones
from web.metric import ADDS_UP, METRIC_NAMES, Number, axis, exact, shown

_BARS = 20
_SERIES = 8
OTHERS = "(others)"
_MEANINGS = {OTHERS: "--c-others", format.NOT_SET: "--c-unset"}
_STATUSES = {"ok": "--c1", "error": "--bad", "aborted": "--warn"}
_TIME_FORMATS = {
    "hour": "%Y-%m-%d %H:%M %Z",
    "day": "%Y-%m-%d",
    "week": "week of %Y-%m-%d",
    "month": "%Y-%m",
}
_TICKS = 9
ERROR_SHARE = "error share"

VERSION = version("vl-convert-python")


@cache
def bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one gzipped script. Takes a second the first time."""
    return gzip.compress(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode(), 6, mtime=0)


def spec(answer: Answer, metric: str, zone: ZoneInfo = zones.UTC) -> dict[str, Any] | None:
    """Bars for groups; where an interval is set, stacked bars or lines over time, its times in `zone`.
    None: nothing to draw."""
    rows = [row for row in answer.rows if row.metrics.get(metric) is not None]
    if not rows:
        return None
    return (
        _over_time(answer, rows, metric, zone)
        if answer.question.interval
        else _by_group(answer, rows, metric)
    )


def small(answer: Answer, metric: str, zone: ZoneInfo) -> dict[str, Any] | None:
    """The same for a card: lower, and without the legend, title and axis title that stand beside it.
    `ERROR_SHARE` is drawn from requests and errors."""
    if metric == ERROR_SHARE:
        drawn = _share_of_errors(answer, zone) if answer.rows else None
    else:
        drawn = spec(answer, metric, zone)
    if drawn is None:
        return None
    encoding = drawn["encoding"]
    encoding["y"]["title"] = None
    encoding["y"]["axis"]["tickCount"] = 4
    if metric not in (ERROR_SHARE, *MONEY):
        unit = axis(metric, (row.metrics[metric] for row in answer.rows))[1]
        encoding["y"]["axis"]["labelExpr"] = f"datum.label + ' {unit}'"
    if "color" in encoding:
        encoding["color"]["legend"] = None
    return drawn | {"height": 190}


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


def _by_group(answer: Answer, rows: Sequence[Row], metric: str) -> dict[str, Any]:
    rows = rows[:_BARS]
    names = _labels(row.group for row in rows)
    by, unit = axis(metric, [row.metrics[metric] for row in rows])
    values = [_datum(metric, row.metrics[metric], by) | {"group": names[row.group]} for row in rows]
    color: dict[str, Any] = {}
    colours = [axis_colour(metric)]
    if answer.question.group_by == ("tier",):
        colours = [f"--{tier.colour(row.group[0])}" for row in rows]
        color = {
            "field": "group",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": list(names.values())},
        }
    return frame(values, 28 * len(values) + 48, colours) | {
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.72}},
        "encoding": ({"color": color} if color else {})
        | {
            "y": {"field": "group", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "x": _amount(metric, unit),
            "tooltip": [{"field": "group", "title": "Group"}, _tooltip(metric)],
        },
    }


def axis_colour(metric: str) -> str:
    """The colour of the axis that a metric belongs to: cost, latency, or neither."""
    if metric == "errors":
        return "--bad"
    return "--cost" if metric in MONEY else "--latency" if METRICS[metric] == "ms" else "--volume"


def _over_time(answer: Answer, rows: Sequence[Row], metric: str, zone: ZoneInfo) -> dict[str, Any]:
    names = _labels(row.group for row in rows)
    leading = _leading(rows, metric)
    if answer.question.group_by == ("tier",):
        leading = [(name,) for name in tier.ordered(group[0] for group in leading)]
    series = [names[group] for group in leading]
    sums: dict[tuple[datetime, str], int | float] = {}
    for row in rows:
        name = names[row.group] if row.group in leading else OTHERS
        if row.start is not None and (name != OTHERS or metric in ADDS_UP):
            sums[row.start, name] = sums.get((row.start, name), 0) + (row.metrics[metric] or 0)
    if len(names) > len(leading) and metric in ADDS_UP:
        series.append(OTHERS)
    by, unit = axis(metric, sums.values())
    values = [
        _datum(metric, value, by)
        | place(answer.question, start, zone)
        | {"group": name, "rank": series.index(name)}
        for (start, name), value in sums.items()
    ]
    amount = _amount(metric, unit)
    tooltip = _tooltip(metric)
    marks = _series_marks(answer, amount, tooltip, series, zone, stacked=metric in ADDS_UP)
    return frame(values, 300, _colours(answer, leading, series, metric)) | marks


def _share_of_errors(answer: Answer, zone: ZoneInfo) -> dict[str, Any]:
    """Of each tier's requests the part that failed, in per cent."""
    order = [(name,) for name in tier.ordered(row.group[0] for row in answer.rows)]
    names = _labels(order)
    series = [names[group] for group in order]
    values = []
    for row in answer.rows:
        requests, errors = row.metrics["requests"] or 0, row.metrics["errors"] or 0
        if row.start is not None and requests:
            words = f"{format.share(errors, requests)}: {format.count(errors)} of {format.count(requests)}"
            values.append(
                {"value": 100 * errors / requests, "shown": words, "group": names[row.group], "rank": 0}
                | place(answer.question, row.start, zone)
            )
    amount: dict[str, Any] = {"field": "value", "type": "quantitative", "title": "Failed (%)"}
    if not any(datum["value"] for datum in values):
        amount["scale"] = {"domain": [0, 5]}  # nothing failed: the line lies at the bottom, not in the middle
    amount["axis"] = {"labelExpr": "datum.label + '%'"}
    tooltip = {"field": "shown", "title": "Failed"}
    marks = _series_marks(answer, amount, tooltip, series, zone, stacked=False)
    return frame(values, 300, _colours(answer, order, series, "errors")) | marks


def _colours(
    answer: Answer, leading: Sequence[tuple[Value, ...]], series: Sequence[str], metric: str
) -> list[str]:
    """Tiers and statuses have colours of their own, a single series its axis's; other groups go by rank."""
    if answer.question.group_by == ("tier",):
        return [f"--{tier.colour(group[0])}" for group in leading] + ["--c-others"]
    if len(series) == 1 and not answer.question.group_by:
        return [axis_colour(metric)]
    meanings = _MEANINGS | (_STATUSES if answer.question.group_by == ("status",) else {})
    return [meanings.get(name, f"--c{at + 1}") for at, name in enumerate(series)]


def place(question: CostQuestion, start: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Where an interval stands on the axis, and how it is called."""
    interval = question.interval or "day"
    begin, end = _instant(start), _instant(interval_end(start, interval, zone.key))
    return {"when": when(start, interval, zone), "start": begin, "end": end, "middle": (begin + end) // 2}


def when(start: datetime, interval: str, zone: ZoneInfo) -> str:
    """How an interval is called, in the reader's zone."""
    return start.astimezone(zone).strftime(_TIME_FORMATS[interval])


def _ticks(starts: Sequence[datetime], interval: str, zone: ZoneInfo) -> dict[str, str]:
    """The middle of an interval in milliseconds → its label in the reader's zone, at most nine, evenly apart on
    the zone's own clock: the browser knows neither zone nor calendar."""
    moments = [min(starts)]
    while moments[-1] < max(starts) and len(moments) < 20_000:
        moments.append(interval_end(moments[-1], interval, zone.key))
    if interval == "hour":
        step = next((n for n in (1, 2, 3, 6, 12, 24) if len(moments) <= _TICKS * n), 24)
        moments = [at for at in moments if at.astimezone(zone).hour % step == 0]
    moments = moments[:: -(-len(moments) // _TICKS) or 1]
    return {
        str((_instant(at) + _instant(interval_end(at, interval, zone.key))) // 2): _tick(
            at.astimezone(zone), interval
        )
        for at in moments
    }


def _tick(at: datetime, interval: str) -> str:
    if interval == "month":
        return f"{at:%b %Y}"
    return f"{at:%H:%M}" if interval == "hour" and at.hour else f"{at:%b} {at.day}"


def _leading(rows: Sequence[Row], metric: str) -> list[tuple[Value, ...]]:
    """The groups with the largest sums; where the metric does not add up, those with the most requests."""
    weight = metric if metric in ADDS_UP else "requests"
    totals: dict[tuple[Value, ...], int | float] = {}
    for row in rows:
        totals[row.group] = totals.get(row.group, 0) + (row.metrics.get(weight) or 0)
    return sorted(totals, key=lambda group: -totals[group])[:_SERIES]


def _series_marks(
    answer: Answer,
    amount: dict[str, Any],
    tooltip: dict[str, Any],
    series: list[str],
    zone: ZoneInfo,
    *,
    stacked: bool,
) -> dict[str, Any]:
    starts = [row.start for row in answer.rows if row.start is not None]
    encoding: dict[str, Any] = {
        "x": time_axis(answer.question, starts, zone)
        | ({"bin": "binned"} if stacked else {"field": "middle"}),
        "y": amount | ({"stack": "zero"} if stacked else {}),
        "color": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": series}},
        "order": {"field": "rank" if stacked else "middle"},
        "tooltip": [{"field": "when", "title": "From"}, {"field": "group", "title": "Group"}, tooltip],
    }
    if stacked:
        encoding["x2"] = {"field": "end"}
    if len(series) == 1:
        encoding["color"]["legend"] = None
    line = {"type": "line", "point": {"size": 36}, "strokeWidth": 2}
    return {"mark": {"type": "bar"} if stacked else line, "encoding": encoding}


def time_axis(question: CostQuestion, starts: Sequence[datetime], zone: ZoneInfo) -> dict[str, Any]:
    """The axis of the whole window, its labels written here."""
    ticks = _ticks(starts, question.interval or "day", zone)
    window = question.window
    ends = {"domainMin": window.start, "domainMax": window.end}
    return {
        "field": "start",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc"}
        | {name: {"expr": str(_instant(at))} for name, at in ends.items() if at is not None},
        "axis": {
            "grid": False,
            "labelOverlap": "parity",
            "labelSeparation": 6,
            "values": {"expr": f"[{', '.join(ticks)}]"},
            "labelExpr": f"{json.dumps(ticks)}[time(datum.value)]",
        },
    }


def _instant(at: datetime) -> int:
    """Milliseconds since 1970, which no reader of dates can shift into another zone."""
    return round(at.timestamp() * 1000)


def frame(values: Sequence[Mapping[str, Any]], height: int, colours: Sequence[str]) -> dict[str, Any]:
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
