"""An answer as the attribution page shows it: every number with its exact digits and the way to what is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from core.question import MAX_ROWS, METRICS, MONEY, START, Answer, CostQuestion, Lens, Row, Value
from web import format
from web.address import Address
from web.heading import Heading, heading
from web.interval import within
from web.metric import ADDS_UP, METRIC_NAMES, exact, shown

SHOWN = (
    *("requests", "cost", "input_tokens", "output_tokens"),
    *("latency_p50", "latency_p95", "ttft_p50", "ttft_p95", "errors"),
)
ROWS = 200
"""Rows of a page of the table."""


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
class Pager:
    """Which of all rows are on this page, counted from 1, and the ways to the others."""

    start: int
    end: int
    rows: int
    first: str
    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """The table; `keys` head what the rows are, `figures` the metrics."""

    keys: Sequence[Heading]
    figures: Sequence[Heading]
    lines: Sequence[Line]
    total: Line
    pager: Pager


def ask(lens: Lens, project_id: int, address: Address, now: datetime) -> tuple[Answer, Answer]:
    """The answer of the table's page, and the one that the chart draws: the leading groups, or all of the time."""
    asked = question(address, now, ROWS)
    answer = lens.ask(project_id, asked)
    if not asked.interval and not asked.offset and asked.descending and asked.order == address.drawn:
        return answer, answer
    # Groups are ranked by requests where the metric itself does not add up.
    metrics = (address.drawn,) if address.drawn in ADDS_UP else (address.drawn, "requests")
    ordered = address.ordered(START, "asc") if asked.interval else address.ordered(address.drawn)
    drawn = ordered.question(now, metrics, MAX_ROWS if asked.interval else ROWS)
    return answer, lens.ask(project_id, drawn)


def question(address: Address, now: datetime, limit: int) -> CostQuestion:
    """The table's question. Where no order was chosen its rows come the latest first over time, else the largest
    first of the metric that is drawn."""
    order = address.order or (START if address.interval else address.drawn)
    direction = address.direction or _first_direction(order)
    asked = replace(address, order=order, direction=direction)
    return asked.question(now, (*SHOWN, address.drawn), limit)


def _first_direction(order: str) -> str:
    """Figures and times are first wanted from the largest and latest down, names from A on."""
    return "desc" if order in METRICS or order == START else "asc"


def table(answer: Answer, address: Address) -> Table:
    """An answer as the page shows it."""
    asked = answer.question
    lines = [_line(answer, address, row) for row in answer.rows]
    total = _total(answer, address)
    orders = [*([START] if asked.interval else []), *asked.group_by]
    return Table(
        keys=[_heading(answer, address, name, f"by-{at}") for at, name in enumerate(orders)],
        figures=[
            replace(
                _heading(answer, address, name, f"by-{name}"),
                chosen=name == address.drawn,
                digits=_digits(name, at, [*lines, total]),
            )
            for at, name in enumerate(asked.metrics)
        ],
        lines=lines,
        total=total,
        pager=_pager(answer, address),
    )


def _heading(answer: Answer, address: Address, order: str, id: str) -> Heading:
    """A metric that rows are ordered by is drawn too; by anything else, what was drawn stays."""
    asked = answer.question
    return heading(
        replace(address, metric="" if order in METRICS or address.drawn == "cost" else address.drawn),
        "/attribution",
        order,
        id=id,
        name="From" if order == START else METRIC_NAMES.get(order) or format.words(order),
        down=asked.descending if asked.order == order else None,
        first=_first_direction(order),
    )


def _digits(metric: str, at: int, lines: Sequence[Line]) -> int:
    return format.most_decimals(line.cells[at].text for line in lines) if metric in MONEY else 0


def _pager(answer: Answer, address: Address) -> Pager:
    def at(offset: int | None) -> str | None:
        return None if offset is None else replace(address, offset=offset).to("/attribution") + "#figures"

    offset = answer.question.offset
    return Pager(
        start=offset + 1,
        end=offset + len(answer.rows),
        rows=answer.groups,
        first=address.first().to("/attribution") + "#figures",
        previous=at(max(0, offset - ROWS)) if offset and answer.rows else None,
        next=at(answer.next_offset),
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
