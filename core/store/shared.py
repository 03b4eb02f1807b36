"""Statements for several questions about the same requests: one pass over those for all sums, one for all values
that do not add up.

The first pass adds requests up by everything that any of the questions groups by; the cells of that cube are few,
and each question's groups are sums of cells. Nothing is kept: the cube lives as long as its statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
)

from core.question import DIMENSIONS, CostQuestion
from core.store import statements
from core.store.statements import OTHERS, SUMS
from core.store.tables import INSTANT, request

# Those whose values are about as many as the requests would make a cube of as many cells.
_FEW_VALUES = frozenset(DIMENSIONS) - {"user", "session", "cascade_id"}

CELLS = 50_000
"""A cube with more is given up, so that it stays within one step's memory; its questions are asked one by one."""

GROUPS = 20_000
"""The same for groups with values that do not add up."""

_Key = tuple[Any, ...]
Level = tuple[str, ...]


def together(questions: Sequence[CostQuestion]) -> list[list[int]]:
    """The places of those questions that one pass can answer: at least two, with the same window, filters and,
    where they have one, interval, by dimensions that have few values."""
    found: dict[_Key, list[int]] = {}
    for at, question in enumerate(questions):
        if question.order in OTHERS or not _FEW_VALUES.issuperset(question.group_by):
            continue
        about = (question.window, tuple(sorted(question.filters.items(), key=lambda pair: pair[0])))
        found.setdefault(about, []).append(at)
    return [kept for places in found.values() if len(kept := _one_interval(questions, places)) > 1]


def _one_interval(questions: Sequence[CostQuestion], places: Sequence[int]) -> list[int]:
    cuts = [(questions[at].interval, questions[at].zone) for at in places if questions[at].interval]
    return [
        at
        for at in places
        if not questions[at].interval or (questions[at].interval, questions[at].zone) == cuts[0]
    ]


def level(question: CostQuestion) -> Level:
    """What a question groups by, the interval as `start`."""
    return (*question.group_by, *(["start"] if question.interval else []))


def sums(questions: Sequence[CostQuestion]) -> Select[Any]:
    """What `statements.grouped` gives for each of the questions (`question`, its place among them), and how many
    `cells` it was made from: of more than `CELLS` not all, so that it means nothing."""
    cube = _cube(questions).cte("cube")
    metrics = [column for column in cube.c if column.name.startswith(("m_", "c_"))]
    width = max(len(question.group_by) for question in questions)
    cells = select(func.count()).select_from(cube).scalar_subquery().label("cells")
    parts = []
    for at, question in enumerate(questions):
        keys = [
            cube.c[name].label(key)
            for name, key in zip(_columns(level(question)), statements.key_names(question), strict=True)
        ]
        groups = select(*keys, *(statements.added(column).label(column.name) for column in metrics))
        if keys:
            groups = groups.group_by(*(cube.c[name] for name in _columns(level(question))))
        found = statements.leading(question, groups.cte(f"groups_{at}"), by_key=False).subquery()
        order = statements.in_order(question) if keys else []
        place = func.row_number().over(order_by=(literal_column("is_total").desc(), *order))
        parts.append(
            select(literal(at).label("question"), place.label("place"), *_padded(found, width), cells)
        )
    every = union_all(*parts).subquery("every")
    return select(every).order_by(every.c.question, every.c.place)


def _cube(questions: Sequence[CostQuestion]) -> Select[Any]:
    keys = _keys(questions)
    metrics = [SUMS[name].label(f"m_{name}") for name in statements.sums_of(questions)]
    cube = select(*keys, *metrics, *statements.counts()).select_from(request)
    cube = cube.where(*statements.where(questions[0])).group_by(*(literal_column(key.name) for key in keys))
    return cube.limit(CELLS + 1)


def _keys(questions: Sequence[CostQuestion]) -> list[Any]:
    """All that the questions group by, as columns named after it: those of most questions first."""
    names = [name for question in questions for name in question.group_by]
    ordered = sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))
    keys = [statements.dimension(name).label(_column(name)) for name in ordered]
    if cut := next((question for question in questions if question.interval), None):
        keys.append(statements.start(cut))
    return keys


def _column(name: str) -> str:
    return name if name == "start" else f"d_{name}"


def _columns(names: Level) -> list[str]:
    return [_column(name) for name in names]


def _padded(found: FromClause, width: int) -> list[ColumnElement[Any]]:
    """The columns of one question's rows, the keys and names that others have filled up with NULL."""
    kinds = {name: Text() for at in range(width) for name in (f"k{at}", f"g{at}")} | {"start": INSTANT}
    filled = [
        found.c[name] if name in found.c else cast(null(), kind).label(name) for name, kind in kinds.items()
    ]
    return [*filled, *(column for column in found.c if column.name not in kinds)]


def values(questions: Sequence[CostQuestion]) -> Select[Any]:
    """Metrics that do not add up, of all requests and of every group of each question, `level` saying by which of
    its columns a row is grouped; `by_level` reads it. At most `GROUPS` + 1 rows."""
    keys = _keys(questions)
    base = select(*keys, *(request.c[name] for name in ("user_key", "session", "duration_us", "ttft_us")))
    of = base.select_from(request).where(*statements.where(questions[0])).subquery("of")
    names = {name for question in questions for name in question.metrics if name in OTHERS}
    metrics = [
        column.label(f"m_{name}") for name, column in statements.of_values(of).items() if name in names
    ]
    if not keys:
        return select(literal(0).label("level"), *metrics).select_from(of)
    columns = [of.c[key.name] for key in keys]
    sets = dict.fromkeys([(), *(tuple(_columns(level(question))) for question in questions)])
    grouping = ", ".join(f"({', '.join(str(of.c[name]) for name in columns_of)})" for columns_of in sets)
    return (
        select(cast(func.grouping(*columns), Integer).label("level"), *columns, *metrics)
        .group_by(literal_column(f"GROUPING SETS ({grouping})"))
        .limit(GROUPS + 1)
    )


def by_level(
    questions: Sequence[CostQuestion], rows: Sequence[Mapping[str, Any]]
) -> dict[Level, dict[_Key, Mapping[str, Any]]]:
    """The rows of `values` by what they are grouped by, and by their group: () holds the total as ()."""
    names = [key.name for key in _keys(questions)]
    found: dict[Level, dict[_Key, Mapping[str, Any]]] = {}
    for wanted in {(), *(level(question) for question in questions)}:
        columns = _columns(wanted)
        # A bit for each column, the first one's the highest, set where the row is not grouped by it.
        mask = sum(1 << at for at, name in enumerate(reversed(names)) if name not in columns)
        found[wanted] = {tuple(row[name] for name in columns): row for row in rows if row["level"] == mask}
    return found
