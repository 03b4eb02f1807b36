"""An answer as the attribution page shows it: every number with its exact digits and the way to what is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.question import METRICS, MONEY, Answer, Row, Value
from web import format
from web.address import Address
from web.interval import within
from web.metric import METRIC_NAMES, exact, shown

# A page of more rows would be read by nobody; the API has them all.
ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure; `link` leads to its requests."""

    metric: str
    text: str
    exact: str
    link: str | None = None
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    group: Sequence[Value]
    start: str | None
    link: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """One metric's heading; `digits` is how many its longest amount has behind the point."""

    metric: str
    name: str
    link: str
    chosen: bool
    digits: int


@dataclass(frozen=True, slots=True)
class Table:
    """The table."""

    columns: Sequence[Column]
    lines: Sequence[Line]
    total: Line
    hidden: int


def table(answer: Answer, address: Address, drawn: str) -> Table:
    """The rows of an answer that a page shows: over time the latest, else the leading ones; `drawn` is the metric
    of the chart."""
    rows = answer.rows[-ROWS_MAX:] if answer.question.interval else answer.rows[:ROWS_MAX]
    if answer.question.interval:
        rows = rows[::-1]
    lines = [_line(answer, address, row) for row in rows]
    total = _total(answer, address)
    columns = [
        _column(name, at, address, drawn, [*lines, total]) for at, name in enumerate(answer.question.metrics)
    ]
    return Table(columns, lines, total, answer.groups - len(lines))


def _column(name: str, at: int, address: Address, drawn: str, lines: Sequence[Line]) -> Column:
    return Column(
        metric=name,
        name=METRIC_NAMES[name],
        link=address.ordered(name).to("/attribution"),
        chosen=name == drawn,
        digits=format.most_decimals(line.cells[at].text for line in lines) if name in MONEY else 0,
    )


def _line(answer: Answer, address: Address, row: Row) -> Line:
    behind = address.only(list(zip(answer.question.group_by, row.group, strict=True))).plain()
    interval = answer.question.interval
    if interval and row.start:
        behind = behind.within(within(row.start, interval, answer.question.window, answer.question.zone))
    return Line(row.group, _start(answer, row), behind.to("/requests"), _cells(answer, row, behind))


def _start(answer: Answer, row: Row) -> str | None:
    """Where a row's interval begins, on the reader's clocks."""
    if row.start is None:
        return None
    local = row.start.astimezone(ZoneInfo(answer.question.zone))
    return local.strftime("%Y-%m-%d %H:%M" if answer.question.interval == "hour" else "%Y-%m-%d")


def _total(answer: Answer, address: Address) -> Line:
    behind = address.plain()
    return Line((), None, behind.to("/requests"), _cells(answer, answer.total, behind))


def _cells(answer: Answer, row: Row, behind: Address) -> list[Cell]:
    cells = [_cell(metric, row, behind) for metric in answer.question.metrics]
    unpriced = behind.only([("pricing_status", "unpriced")]).to("/requests") if row.unpriced else None
    words = f"{row.unpriced} requests have no price and are in no sum of money"
    return [*cells, Cell("unpriced", format.count(row.unpriced), words, unpriced)]


def _cell(metric: str, row: Row, behind: Address) -> Cell:
    value = row.metrics[metric]
    text = "unpriced" if metric in ("cost", "list_cost") and value is None else shown(metric, value)
    link = None
    if metric in ("requests", "cost"):
        link = behind.to("/requests")
    elif metric == "errors" and value:
        link = behind.only([("status", "error")]).to("/requests")
    alarming = metric == "errors" and bool(value)
    return Cell(metric, text, exact(metric, value) + _reach(metric, row), link, alarming)


def _reach(metric: str, row: Row) -> str:
    """What a sum of money leaves out."""
    if METRICS[metric] != "USD" or not row.unpriced or row.metrics[metric] is None:
        return ""
    return f", without {row.unpriced:,} unpriced"
