"""The Quality page: what judges think of the answers, corrected by people, over time, by tier and by feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.errors import BadQuestion
from core.judged import AtLength, EstimateRow, Judged, Quality, Slice, rows, total
from core.question import MAX_ROWS, CostQuestion, Value
from core.stats.estimate import LABELS_MIN, Estimate
from core.store.estimates import labels_done, read_judged
from core.window import Window, interval_end
from web import chart, tier
from web.address import Address
from web.format import count
from web.interval import within

GROUPS = ("tier", "feature")
TABLE_MAX = 20
"""Rows of a table by tier or feature; the file has all."""
LIST = 25
"""Judged requests of a page of the list."""
_PATH = "/quality"
# Labels that an interval must have on average, so that most reach the least that is needed.
_LABELS_AN_INTERVAL = LABELS_MIN * 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: its group, the mean that is shown, and the ways to what is behind it."""

    name: Value
    at: datetime | None
    start: str | None
    quality: Quality
    shown: Estimate | None
    link: str
    requests: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One judged request: what the judge and people gave it, and how many requests it stands for."""

    trace_id: str
    span_id: str
    value: float
    label: float | None
    stands_for: float
    escalated: bool
    tier: Value
    feature: Value


@dataclass(frozen=True, slots=True)
class View:
    """All of the page. `corrected` says which mean is shown; `names` link to the other dimensions of quality."""

    name: str
    names: Sequence[tuple[str, str, bool]]
    means: Sequence[tuple[str, str, bool]]
    corrected: bool
    whole: Quality
    over_time: Sequence[Line]
    tables: Mapping[str, Sequence[Line]]
    hidden: Mapping[str, int]
    spec: dict[str, Any] | None
    interval: str
    lowest: Sequence[Seen]
    first: int
    previous: str | None
    next: str | None
    as_of: datetime

    @property
    def shown(self) -> Estimate:
        """The mean of the whole slice that is shown."""
        return self.whole.corrected if self.corrected and self.whole.corrected else self.whole.judge


def view(engine: Engine, project_id: int, address: Address, now: datetime) -> View | None:
    """The page's numbers, from one reading of what was judged; None where nothing was."""
    question = _question(engine, project_id, address, now)
    found = read_judged(engine, project_id, question)
    if found.groups > len(found.cells):
        raise BadQuestion(
            f"There are more than {count(MAX_ROWS)} tiers, features and days in this window. Choose a shorter one, or"
            " filter by a tier or feature."
        )
    names = found.names
    if not names:
        return None
    if address.score and address.score not in names:
        raise BadQuestion(
            f"Nothing was judged on {address.score[:60]!r} in this window. Choose {', '.join(names[:10])}."
        )
    return _view(found, address, names, address.score or names[0])


def _view(found: Slice, address: Address, names: Sequence[str], name: str) -> View:
    (whole,) = total(found, [name])
    corrected = (
        address.mean == "corrected"
        if address.mean
        else whole.corrected is not None and whole.corrected.value is not None
    )
    zone, here = ZoneInfo(address.zone), replace(address.first(), score=name if address.score else "")
    over_time = [
        _line(row, here, (), found.question, corrected)
        for row in rows(found, [name], by=(), over_time=True, correct=corrected)
    ]
    over_time.sort(key=lambda line: line.start or "")
    tables, hidden = {}, {}
    for by in GROUPS:
        lines = [
            _line(row, here, (by,), found.question, corrected)
            for row in rows(found, [name], by=(by,), over_time=False)
        ]
        lines = [line for line in lines if line.quality.judged] or lines
        tables[by] = _in_order(by, lines)[:TABLE_MAX]
        hidden[by] = len(lines) - len(tables[by])
    judged = sorted((one for one in found.judged if one.name == name), key=_lowest_first)
    at = min(address.offset, max(0, len(judged) - 1) // LIST * LIST)
    return View(
        name=name,
        names=[(one, replace(here, score=one).to(_PATH), one == name) for one in names],
        means=[
            ("Corrected by people", replace(here, mean="corrected").to(_PATH), corrected),
            ("Judge alone", replace(here, mean="raw").to(_PATH), not corrected),
        ],
        corrected=corrected,
        whole=whole,
        over_time=over_time,
        tables=tables,
        hidden=hidden,
        spec=band(found.question, over_time, zone),
        interval=found.question.interval or "day",
        lowest=[_seen(one) for one in judged[at : at + LIST]],
        first=at + 1,
        previous=_at(here, at - LIST) if at else None,
        next=_at(here, at + LIST) if at + LIST < len(judged) else None,
        as_of=found.as_of,
    )


def _at(address: Address, offset: int) -> str:
    return replace(address, offset=max(0, offset)).to(_PATH) + "#judged"


def _question(engine: Engine, project_id: int, address: Address, now: datetime) -> CostQuestion:
    chosen = address.interval or interval(engine, project_id, address, now)
    asked = replace(
        address.first(), group_by=GROUPS, interval=chosen, metric="", order="start", direction="desc"
    )
    return asked.question(now, ("requests",), MAX_ROWS)


def interval(engine: Engine, project_id: int, address: Address, now: datetime) -> str:
    """The shortest interval that leaves few of them without a number: by the length of the window, and where people's
    labels count, by how many there are."""
    window = address.window(now)
    days = ((window.end or now) - window.start) / timedelta(days=1) if window.start else 400
    sizes = [("hour", 1 / 24), ("day", 1), ("week", 7), ("month", 30)]
    least = 0 if days <= 2 else 1 if days <= 100 else 2 if days <= 400 else 3
    if address.mean != "raw":
        labels = labels_done(engine, project_id, window)
        if labels >= LABELS_MIN or address.mean == "corrected":
            while least < 3 and labels * sizes[least][1] / max(days, 1) < _LABELS_AN_INTERVAL:
                least += 1
    return sizes[least][0]


def _line(
    row: EstimateRow, address: Address, by: tuple[str, ...], question: CostQuestion, corrected: bool
) -> Line:
    to = address.only(list(zip(by, row.group, strict=True)))
    start = None
    if row.start is not None:
        local = row.start.astimezone(ZoneInfo(question.zone))
        start = local.strftime("%Y-%m-%d %H:%M" if question.interval == "hour" else "%Y-%m-%d")
        to = to.within(within(row.start, question.interval or "day", question.window, question.zone))
    quality = row.quality
    return Line(
        name=row.group[0] if row.group else None,
        at=row.start,
        start=start,
        quality=quality,
        shown=quality.corrected if corrected else quality.judge,
        link=to.to(_PATH) + "#judged",
        requests=to.plain().to("/requests"),
    )


def _in_order(by: str, lines: Sequence[Line]) -> list[Line]:
    """Tiers as everywhere, others with most requests first."""
    largest = sorted(lines, key=lambda line: -line.quality.requests)
    if by != "tier":
        return largest
    order = list(tier.ordered(line.name for line in largest))
    return sorted(largest, key=lambda line: order.index(line.name))


def _lowest_first(one: Judged) -> tuple[float, str, str]:
    return one.value, one.trace_id, one.span_id


def _seen(one: Judged) -> Seen:
    tier_name, feature = (None if value is None else str(value) for value in one.group[: len(GROUPS)])
    return Seen(
        one.trace_id, one.span_id, one.value, one.label, 1 / one.chance, one.escalated, tier_name, feature
    )


def band(question: CostQuestion, lines: Sequence[Line], zone: ZoneInfo) -> dict[str, Any] | None:
    """The mean over time with its interval as a band; None where there is no mean."""
    values, starts = [], []
    for line in lines:
        if line.shown is None or line.shown.value is None or line.at is None:
            continue
        starts.append(line.at)
        low, high = line.shown.low, line.shown.high
        values.append(
            {
                "value": line.shown.value,
                "low": line.shown.value if low is None else low,
                "high": line.shown.value if high is None else high,
                "shown": f"{line.shown.value:.3f}",
                "interval": words(line.shown),
                "n": f"{count(line.quality.judged)} of {count(line.quality.requests)}",
            }
            | chart.place(question, line.at, zone)
        )
    if not values:
        return None
    question = _whole_intervals(question, starts)
    tooltip = [
        {"field": field, "title": title}
        for field, title in (
            ("when", "From"),
            ("shown", "Mean"),
            ("interval", "95 % interval"),
            ("n", "Judged"),
        )
    ]
    amount = {"type": "quantitative", "title": "Mean, 0 to 1", "scale": {"zero": False}}
    axis = {"axis": {"format": ".2~f"}}
    return chart.frame(values, 260, ["--quality"] * 3) | {
        "encoding": {
            "x": chart.time_axis(question, starts, zone) | {"field": "middle"},
            "tooltip": tooltip,
        },
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.18},
                "encoding": {"y": amount | axis | {"field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "rule", "opacity": 0.35},
                "encoding": {"y": amount | axis | {"field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "point": {"size": 36}, "strokeWidth": 2},
                "encoding": {"y": amount | axis | {"field": "value"}},
            },
        ],
    }


def _whole_intervals(question: CostQuestion, starts: Sequence[datetime]) -> CostQuestion:
    """The same over a window that holds all of the intervals: a point stands in the middle of its own."""
    window, last = question.window, interval_end(max(starts), question.interval or "day", question.zone)
    return replace(
        question,
        window=Window(
            None if window.start is None else min(window.start, min(starts)),
            None if window.end is None else max(window.end, last),
        ),
    )


def figure(of: Estimate | AtLength | None) -> str:
    """A mean in two digits, as many as judged scores bear."""
    return "–" if of is None or of.value is None else f"{of.value:.2f}"


def words(of: Estimate | AtLength | None) -> str:
    """The 95 % interval, or why there is none."""
    if of is None:
        return ""
    if of.low is None or of.high is None:
        return of.reason or ""
    return f"{of.low:.2f} to {of.high:.2f}"


def csv_question(address: Address, now: datetime) -> CostQuestion:
    """What the file has: the page's groups, or those that the address names, over time where it names an interval."""
    asked = replace(address.first(), group_by=address.group_by or GROUPS, metric="", order="", direction="")
    question = asked.question(now, ("requests",), MAX_ROWS)
    return question if question.interval else replace(question, order="requests", descending=True)
