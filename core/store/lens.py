"""The lens over PostgreSQL: `CostQuestion` → one statement → `Answer`.

All sums are over integers, so parts add up to their total to the last digit; percentiles are exact
(nearest rank, `percentile_disc`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    Label,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.exc import DBAPIError

from core.errors import BadQuestion
from core.question import DIMENSIONS, METRICS, START, Answer, CostQuestion, Coverage, Row, Value
from core.store.session import tenant
from core.store.tables import request, user_name
from core.window import Window, interval_end, midnight

_R = request.c
# Hashes and sorts of one question stay in memory up to this, for each of its steps and workers.
_WORK_MEM = "64MB"


def tokens() -> dict[str, ColumnElement[Any]]:
    """A request's tokens by metric, NULL where they are unknown."""
    cache_write = case(
        (and_(_R.cache_write_5m.is_(None), _R.cache_write_1h.is_(None)), None),
        else_=func.coalesce(_R.cache_write_5m, 0) + func.coalesce(_R.cache_write_1h, 0),
    )
    return {
        "input_tokens": _R.uncached_input + func.coalesce(_R.cache_read, 0) + func.coalesce(cache_write, 0),
        "uncached_input_tokens": _R.uncached_input,
        "cache_read_tokens": _R.cache_read,
        "cache_write_tokens": cache_write,
        "output_tokens": _R.visible_output + func.coalesce(_R.reasoning, 0),
        "reasoning_tokens": _R.reasoning,
    }


def _percentile(column: ColumnElement[Any], share: float) -> ColumnElement[Any]:
    return func.percentile_disc(share).within_group(column.asc())


def _sums() -> dict[str, ColumnElement[Any]]:
    """The metrics whose parts add up to their whole, so that one pass over the rows, shared by workers, gives
    groups and total. Of `latency_avg` it is the sum that it is made from."""
    found: dict[str, ColumnElement[Any]] = {
        "requests": func.count(),
        "errors": func.count().filter(_R.status == "error"),
        "cost": func.sum(_R.cost_pico),
        "list_cost": func.sum(_R.list_pico),
        "reported_cost": func.sum(_R.cost_reported_pico),
        "latency_avg": func.sum(_R.duration_us),
    }
    return found | {name: func.sum(column) for name, column in tokens().items()}


def _others() -> dict[str, ColumnElement[Any]]:
    """The metrics that need all values of a group side by side, so they are asked for the rows of the answer
    alone. Durations stay microseconds here and become milliseconds in `_value`."""
    found: dict[str, ColumnElement[Any]] = {
        "users": func.count(_R.user_key.distinct()),
        "sessions": func.count(_R.session.distinct()),
    }
    for share, suffix in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        found[f"latency_{suffix}"] = _percentile(_R.duration_us, share)
        found[f"ttft_{suffix}"] = _percentile(_R.ttft_us, share)
    return found


_SUMS = _sums()
_OTHERS = _others()
_SPECIAL: dict[str, ColumnElement[Any]] = {
    "user": user_name.c.name,
    # As the API shows it: a sum that is billed has no instrumentation's call behind it.
    "source": case((_R.aggregate, "aggregate"), else_=_R.source),
    "model": func.coalesce(_R.response_model, _R.request_model),
}


def dimension(name: str) -> ColumnElement[Any]:
    """A dimension as text, NULL where it is not set."""
    if name.startswith("tag."):
        return _R.tags.op("->>")(name[4:])
    if name in _SPECIAL:
        return _SPECIAL[name]
    assert name in DIMENSIONS
    column = _R[name]
    return column if isinstance(column.type, Text) else cast(column, Text)


def conditions(window: Window, filters: Mapping[str, Sequence[Value]]) -> list[ColumnElement[bool]]:
    """The rows that a window and filters let pass, partitions pruned by day."""
    found: list[ColumnElement[bool]] = []
    if (start := window.start) is not None:
        found += [_R.started_at >= start, _R.day >= start.date()]
    if (end := window.end) is not None:
        found += [_R.started_at < end, _R.day <= end.date()]
    found += [_passes(name, values) for name, values in filters.items()]
    return found


def _passes(name: str, values: Sequence[Value]) -> ColumnElement[bool]:
    named = [value for value in values if value is not None]
    if name == "user":
        # By key, so that names are looked up once and not beside every row.
        chosen: Any = select(user_name.c.key).where(user_name.c.name.in_(named)).scalar_subquery()
        parts = [_R.user_key.in_(chosen)] if named else []
        # A name that was erased is not set either.
        unset = or_(_R.user_key.is_(None), _R.user_key.not_in(select(user_name.c.key).scalar_subquery()))
        return or_(false(), *parts, *([unset] if None in values else []))
    column = dimension(name)
    parts = ([column.in_(named)] if named else []) + ([column.is_(None)] if None in values else [])
    return or_(false(), *parts)


def with_users(names: Sequence[str]) -> FromClause:
    """`request`, with the users' names only where they are asked for."""
    return request.outerjoin(user_name, user_name.c.key == _R.user_key) if "user" in names else request


class PostgresLens:
    """Answers from the rows themselves, provisional ones included: what was acknowledged is in the answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, project_id: int, question: CostQuestion) -> Answer:
        """Rows, total and coverage at one moment."""
        with self._snapshot(project_id) as connection:
            return _ask(connection, question)

    def pages(self, project_id: int, question: CostQuestion, rows: int) -> Iterator[Answer]:
        """All rows of a question from its offset on, so many at a time, at one moment: the answers to the same
        question with growing offsets. Nothing is held but one of them."""
        with self._snapshot(project_id) as connection:
            at = question.offset
            while True:
                answer = _ask(connection, replace(question, offset=at, limit=rows))
                yield answer
                at += rows
                if at >= answer.groups:
                    return

    @contextmanager
    def _snapshot(self, project_id: int) -> Iterator[Connection]:
        with tenant(self._engine, project_id) as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.exec_driver_sql(f"SET LOCAL work_mem = '{_WORK_MEM}'")
            yield connection


def _ask(connection: Connection, question: CostQuestion) -> Answer:
    as_of = connection.exec_driver_sql("SELECT now()").scalar_one()
    by_key = "user" in question.group_by
    try:
        found = _rows(connection, _grouped(question, by_key))
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.InvalidParameterValue):
            raise BadQuestion(f"The database knows no time zone {question.zone!r}.") from error
        raise
    if by_key and found[0]["erased"]:
        # Whose names were erased are one group, which their keys would keep apart.
        by_key = False
        found = _rows(connection, _grouped(question, by_key))
    total, *rows = found
    others = [name for name in question.metrics if name in _OTHERS]
    of_rows: Mapping[tuple[Any, ...], Mapping[str, Any]] = {}
    of_all: Mapping[str, Any] = {}
    if others and total["c_requests"]:
        (of_all,) = _rows(connection, _rest(question, others, None, by_key, narrow=False))
        if rows:
            narrow = len(rows) < total["groups"]
            part = _rows(connection, _rest(question, others, rows, by_key, narrow=narrow))
            of_rows = {_key(question, row): row for row in part}
    reasons = connection.execute(_reasons(question)).all() if total["c_unpriced"] else ()
    whole = _row(question, {**total, **of_all}, is_total=True)
    split = bool(question.group_by or question.interval)
    return Answer(
        question=question,
        as_of=as_of,
        rows=[_row(question, {**row, **of_rows.get(_key(question, row), {})}) for row in rows]
        if split
        else [whole],
        total=whole,
        coverage=_coverage(total, {row.reason: row.requests for row in reasons}),
        groups=total["groups"] if split else 1,
    )


def _rows(connection: Connection, statement: Executable) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def _key(question: CostQuestion, row: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = tuple(row[f"k{at}"] for at in range(len(question.group_by)))
    return (*keys, row["start"]) if question.interval else keys


def _where(question: CostQuestion) -> list[ColumnElement[bool]]:
    return [_R.counted, *conditions(question.window, question.filters)]


def _keys(question: CostQuestion, by_key: bool) -> list[Label[Any]]:
    """What rows are grouped by: users by their key, whose names are looked up for the groups alone."""
    columns = [_R.user_key if by_key and name == "user" else dimension(name) for name in question.group_by]
    keys = [column.label(f"k{at}") for at, column in enumerate(columns)]
    if question.interval:
        keys.append(func.date_trunc(question.interval, _R.started_at, question.zone).label("start"))
    return keys


def _source(question: CostQuestion, by_key: bool) -> FromClause:
    return request if by_key else with_users(question.group_by)


def _grouped(question: CostQuestion, by_key: bool) -> Select[Any]:
    """The total (`is_total`, first) and the rows that the question wants, from one pass over the requests."""
    keys = _keys(question, by_key)
    sums = {name for name in (*question.metrics, question.order) if name in _SUMS}
    metrics = [_SUMS[name].label(f"m_{name}") for name in sorted(sums)]
    if question.order in _OTHERS:
        metrics.append(_OTHERS[question.order].label(f"m_{question.order}"))
    counts = [column.label(f"c_{name}") for name, column in _COVERAGE.items()]
    inner = select(*keys, *metrics, *counts).select_from(_source(question, by_key)).where(*_where(question))
    grouped = inner.group_by(*(literal_column(key.name) for key in keys)).cte("grouped")
    of = grouped.c

    def added(column: ColumnElement[Any]) -> ColumnElement[Any]:
        # Of an empty ledger nothing is added up, which is no NULL but a zero for what is counted.
        counted = column.name.startswith("c_") or column.name in ("m_requests", "m_errors")
        summed = func.sum(column)
        if column.name.removeprefix("m_") in _OTHERS:
            return null()
        return func.coalesce(summed, 0) if counted else summed

    names = {
        at: (user_name.c.name if by_key and name == "user" else of[f"k{at}"]).label(f"g{at}")
        for at, name in enumerate(question.group_by)
    }
    plain = [of[column.name] for column in (*metrics, *counts)]
    erased = [func.bool_or(and_(of[f"k{at}"].is_not(None), user_name.c.name.is_(None)))
              for at, name in enumerate(question.group_by) if by_key and name == "user"]  # fmt: skip
    joined: FromClause = grouped
    for at, name in enumerate(question.group_by):
        if by_key and name == "user":
            joined = grouped.outerjoin(user_name, user_name.c.key == of[f"k{at}"])
    columns: list[ColumnElement[Any]] = [
        *(null().label(key.name) for key in keys),
        *(null().label(name.name) for name in names.values()),
        *(added(column).label(column.name) for column in plain),
        func.count().label("groups"),
        (func.coalesce(erased[0], false()) if erased else false()).label("erased"),
        literal(1).label("is_total"),
    ]
    total = select(*columns).select_from(joined)
    if not keys:
        return total
    order = _order(question)
    page = (
        select(
            *(of[key.name] for key in keys),
            *names.values(),
            *plain,
            literal(0).label("groups"),
            false().label("erased"),
            literal(0).label("is_total"),
        )
        .select_from(joined)
        .order_by(*order)
        .limit(question.limit)
        .offset(question.offset)
    )
    both = total.union_all(select(page.subquery("page"))).subquery("both")
    return select(both).order_by(literal_column("is_total").desc(), *order)


def _order(question: CostQuestion) -> list[ColumnElement[Any]]:
    names: list[ColumnElement[Any]] = [literal_column(f"g{at}") for at in range(len(question.group_by))]
    first: ColumnElement[Any]
    if question.order == START:
        first = literal_column("start")
    elif question.order in question.group_by:
        first = names[question.group_by.index(question.order)]
    elif question.order == "latency_avg":
        first = literal_column("m_latency_avg / nullif(c_requests, 0)")
    else:
        first = literal_column(f"m_{question.order}")
    ties = [literal_column("start"), *names] if question.interval else names
    return [
        (first.desc() if question.descending else first.asc()).nulls_last(),
        *(column.asc().nulls_last() for column in ties),
    ]


def _rest(
    question: CostQuestion,
    others: Sequence[str],
    rows: Sequence[Mapping[str, Any]] | None,
    by_key: bool,
    *,
    narrow: bool,
) -> Select[Any]:
    """The metrics that do not add up, of all requests where `rows` is None, else by group; of a few groups more
    than those in `rows` where `narrow`, else of every one."""
    metrics = [_OTHERS[name].label(f"m_{name}") for name in others]
    if rows is None:
        return select(*metrics).select_from(request).where(*_where(question))
    keys = _keys(question, by_key)
    return (
        select(*keys, *metrics)
        .select_from(_source(question, by_key))
        .where(*_where(question), *(_near(question, rows, keys) if narrow else ()))
        .group_by(*(literal_column(key.name) for key in keys))
    )


def _near(
    question: CostQuestion, rows: Sequence[Mapping[str, Any]], keys: Sequence[Label[Any]]
) -> list[ColumnElement[bool]]:
    near = [_among(key.element, {row[key.name] for row in rows}) for key in keys[: len(question.group_by)]]
    if question.interval:
        starts = [row["start"] for row in rows]
        last = interval_end(max(starts), question.interval, question.zone)
        near += conditions(Window(_first_moment(question, min(starts)), last), {})
    return near


def _among(column: ColumnElement[Any], values: Set[Any]) -> ColumnElement[bool]:
    named = sorted(value for value in values if value is not None)
    parts = ([column.in_(named)] if named else []) + ([column.is_(None)] if None in values else [])
    return or_(false(), *parts)


def _reasons(question: CostQuestion) -> Select[Any]:
    """Why requests have no price, counted."""
    unpriced = _R.pricing_status == "unpriced"
    statement = select(_R.pricing_reason.label("reason"), func.count().label("requests"))
    return (
        statement.select_from(request)
        .where(*_where(question), unpriced)
        .group_by(_R.pricing_reason)
        .order_by(func.count().desc())
        .limit(100)
    )


_COVERAGE: dict[str, ColumnElement[Any]] = {
    "requests": func.count(),
    "unpriced": func.count().filter(_R.pricing_status == "unpriced"),
    "usage_known": func.count().filter(or_(_R.uncached_input.is_not(None), _R.visible_output.is_not(None))),
    "ttft_known": func.count(_R.ttft_us),
    "provisional": func.count().filter(_R.state == "provisional"),
}


def _coverage(total: Mapping[str, Any], reasons: Mapping[str, int]) -> Coverage:
    counted = {name: int(total[f"c_{name}"]) for name in _COVERAGE}
    return Coverage(
        requests=counted["requests"],
        priced=counted["requests"] - counted["unpriced"],
        unpriced=counted["unpriced"],
        unpriced_reasons=reasons,
        usage_known=counted["usage_known"],
        ttft_known=counted["ttft_known"],
        provisional=counted["provisional"],
    )


def _row(question: CostQuestion, row: Mapping[str, Any], is_total: bool = False) -> Row:
    requests = int(row["c_requests"])
    values: dict[str, Any] = {name: row.get(f"m_{name}") for name in question.metrics}
    if values.get("latency_avg") is not None:
        values["latency_avg"] /= requests
    return Row(
        group=() if is_total else tuple(row[f"g{i}"] for i in range(len(question.group_by))),
        start=None if is_total or not question.interval else _first_moment(question, row["start"]),
        metrics={name: _value(name, value, requests) for name, value in values.items()},
        unpriced=int(row["c_unpriced"]),
    )


def _first_moment(question: CostQuestion, start: datetime) -> datetime:
    """Where clocks show midnight twice PostgreSQL names the second, and the interval began at the first."""
    if question.interval == "hour":
        return start
    return midnight(start.astimezone(ZoneInfo(question.zone)).date(), question.zone)


def _value(name: str, value: Any, requests: int) -> int | float | None:
    """A metric in its unit: milliseconds for times, whole numbers for the rest. No requests cost nothing;
    requests of which nothing is known cost None."""
    if value is None:
        return 0 if requests == 0 and METRICS[name] != "ms" else None
    return float(value) / 1000 if METRICS[name] == "ms" else int(value)
