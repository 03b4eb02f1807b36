"""The first page's answers: who spends what, how fast it is, how often it fails, and where to look next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

from core.question import MAX_ROWS, Answer, CostQuestion, Interval, Lens, Row, Value
from core.window import Window
from web import chart, format, tier
from web.address import Address

# Percentiles sort their rows, which makes them the dear part of a large month: they are asked for in all and
# by tier (one question), and of the first token over time (another), which the lens reads in one pass. Everything
# else is sums, of which all but the users' come from another.
_SUMS = ("requests", "cost", "errors")
_TIMES = ("latency_p50", "latency_p95", "ttft_p50", "ttft_p95")
TOP = ("feature", "user", "model")
_TOP_ROWS = 6
# More tiers than a chart can tell apart; the table has them all.
_TIER_ROWS = 50


@dataclass(frozen=True, slots=True)
class Before:
    """What the same span of time before it held, how that span is called, and where it was cut."""

    total: Row
    words: str
    cut: str


@dataclass(frozen=True, slots=True)
class Line:
    """A tier, or all: its figures and the way to its requests. `cost_each` is over its priced requests."""

    group: Sequence[Value]
    row: Row
    cost_each: int | None
    behind: Address


@dataclass(frozen=True, slots=True)
class Card:
    """A small chart with the figures that it draws: `table` is a row an interval, a column a tier."""

    id: str
    title: str
    axis: str
    explore: str
    spec: dict[str, Any] | None
    columns: Sequence[Value]
    table: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Top:
    """The leading values of a dimension, each with its share of all cost, in thousandths."""

    dimension: str
    answer: Answer
    shares: Sequence[int]
    explore: str
    behind: Sequence[Address]


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows."""

    by_tier: Answer
    lines: Sequence[Line]
    total: Line
    before: Before | None
    cards: Mapping[str, Card]
    tops: Sequence[Top]


def overview(lens: Lens, project_id: int, address: Address, now: datetime, zone: ZoneInfo) -> Overview | None:
    """Six questions at one moment, however many rows; None where the window holds no request."""
    plain = replace(address.plain(), order="")
    by_tier = _question(plain, now, _SUMS + _TIMES, group_by=("tier",), limit=_TIER_ROWS)
    interval = _interval(by_tier.window)
    series = _question(plain, now, (*_SUMS, "ttft_p95"), group_by=("tier",), interval=interval)
    tops = [_question(plain, now, _SUMS, group_by=(name,), limit=_TOP_ROWS) for name in TOP]
    span = _span_before(by_tier.window, now)
    before = [replace(by_tier, window=span[0], group_by=(), metrics=_SUMS, limit=1)] if span else []
    whole, over_time, *others = lens.ask_all(project_id, (by_tier, series, *tops, *before))
    if whole.coverage.requests == 0:
        return None
    return Overview(
        by_tier=whole,
        lines=_lines(whole, plain),
        total=_line(whole.total, plain),
        before=Before(others[-1].total, *span[1:]) if span else None,
        cards=_cards(over_time, plain, zone),
        tops=[_top(answer, plain, whole) for answer in others[: len(TOP)]],
    )


def _question(
    address: Address,
    now: datetime,
    metrics: Sequence[str],
    *,
    group_by: tuple[str, ...],
    interval: str = "",
    limit: int = MAX_ROWS,
) -> CostQuestion:
    return replace(address, group_by=group_by, interval=interval).question(now, metrics, limit)


def _interval(window: Window) -> str:
    """As fine as leaves some points and not too many; a window without an end is cut into days."""
    if window.start is None or window.end is None:
        return "day"
    length = window.end - window.start
    longest = {"hour": timedelta(days=2), "day": timedelta(days=95), "week": timedelta(days=800)}
    return next((name for name in get_args(Interval) if length <= longest.get(name, length)), "month")


def _span_before(window: Window, now: datetime) -> tuple[Window, str, str] | None:
    """The window moved back by its own length, and cut where this one has not come to yet: half a day is
    compared with half a day. None for a window without a beginning, or one that has not begun."""
    start, end = window.start, window.end or now
    if start is None or start >= now:
        return None
    length = end - start
    days = length / timedelta(days=1)
    span = "day" if round(days) == 1 else f"{round(days)} days" if days > 1 else "hours"
    cut = ", up to the same hour" if end > now else ""
    return Window(start - length, min(end, now) - length), f"the {span} before", cut


def _lines(answer: Answer, plain: Address) -> list[Line]:
    rows = {row.group[0]: row for row in answer.rows}
    return [_line(rows[name], plain.only([("tier", name)])) for name in tier.ordered(rows)]


def _line(row: Row, behind: Address) -> Line:
    cost, requests = row.metrics["cost"], row.metrics["requests"] or 0
    priced = int(requests) - row.unpriced
    each = None if cost is None or priced <= 0 else round(int(cost) / priced)
    return Line(row.group, row, each, behind)


def _top(answer: Answer, plain: Address, whole: Answer) -> Top:
    name = answer.question.group_by[0]
    total = whole.total.metrics["cost"] or 0
    shares = [round(1000 * (row.metrics["cost"] or 0) / total) if total else 0 for row in answer.rows]
    behind = [plain.only([(name, row.group[0])]) for row in answer.rows]
    return Top(name, answer, shares, replace(plain, group_by=(name,)).to("/attribution"), behind)


def _cards(series: Answer, plain: Address, zone: ZoneInfo) -> dict[str, Card]:
    def card(id: str, title: str, axis: str, metric: str) -> Card:
        drawn = "errors" if metric == chart.ERROR_SHARE else metric
        asked = replace(plain, group_by=("tier",), interval=series.question.interval or "", metric=drawn)
        columns, table = _table(series, metric, zone)
        spec = chart.small(series, metric, zone)
        return Card(id, title, axis, asked.to("/attribution"), spec, columns, table)

    return {
        "cost": card("cost", f"Cost by {series.question.interval}", "cost", "cost"),
        "ttft": card("ttft", "TTFT p95", "latency", "ttft_p95"),
        "errors": card("errors", "Failed requests", "volume", chart.ERROR_SHARE),
    }


def _table(series: Answer, metric: str, zone: ZoneInfo) -> tuple[list[Value], list[tuple[str, list[str]]]]:
    """The figures behind a chart, the latest first."""
    columns = tier.ordered(row.group[0] for row in series.rows)
    cells = {(row.start, row.group[0]): _written(row, metric) for row in series.rows}
    starts = sorted({row.start for row in series.rows if row.start is not None}, reverse=True)
    interval = series.question.interval or "day"
    return columns, [
        (chart.when(start, interval, zone), [cells.get((start, name), format.UNKNOWN) for name in columns])
        for start in starts
    ]


def _written(row: Row, metric: str) -> str:
    if metric == chart.ERROR_SHARE:
        return format.share(row.metrics["errors"] or 0, row.metrics["requests"] or 0)
    value = row.metrics[metric]
    if metric == "cost":
        return format.dollars(None if value is None else int(value))
    return format.milliseconds(value)
