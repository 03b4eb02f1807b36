"""The lens over PostgreSQL: `CostQuestion` → one statement → `Answer`.

All sums are over integers, so parts add up to their total to the last digit; percentiles are exact
(nearest rank, `percentile_disc`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from core.question import DIMENSIONS, METRICS, Answer, CostQuestion, Coverage, Row, Value
from core.store.session import tenant
from core.store.tables import request, user_name
from core.window import Window

_R = request.c


def _tokens() -> dict[str, ColumnElement[Any]]:
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


def _metrics() -> dict[str, ColumnElement[Any]]:
    """Metric → aggregate. Durations stay microseconds here and become milliseconds in `_value`."""
    found: dict[str, ColumnElement[Any]] = {
        "requests": func.count(),
        "errors": func.count().filter(_R.status == "error"),
        "users": func.count(_R.user_key.distinct()),
        "sessions": func.count(_R.session.distinct()),
        "cost": func.sum(_R.cost_pico),
        "list_cost": func.sum(_R.list_pico),
        "reported_cost": func.sum(_R.cost_reported_pico),
        "latency_avg": func.avg(_R.duration_us),
    }
    found |= {name: func.sum(column) for name, column in _tokens().items()}
    for share, suffix in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        found[f"latency_{suffix}"] = _percentile(_R.duration_us, share)
        found[f"ttft_{suffix}"] = _percentile(_R.ttft_us, share)
    return found


_METRICS = _metrics()
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
        column: ColumnElement[Any] = _R.user_key
        chosen: Any = select(user_name.c.key).where(user_name.c.name.in_(named)).scalar_subquery()
    else:
        column, chosen = dimension(name), named
    parts = ([column.in_(chosen)] if named else []) + ([column.is_(None)] if None in values else [])
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
        with tenant(self._engine, project_id) as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            as_of = connection.exec_driver_sql("SELECT now()").scalar_one()
            rows = connection.execute(_statement(question)).mappings().all()
            reasons = connection.execute(_reasons(question)).all()
        return _answer(question, as_of, rows, {row.reason: row.requests for row in reasons})


def _from(question: CostQuestion) -> FromClause:
    return with_users(question.group_by)


def _where(question: CostQuestion) -> list[ColumnElement[bool]]:
    return [_R.counted, *conditions(question.window, question.filters)]


def _statement(question: CostQuestion) -> Select[Any]:
    """The groups and, in the same pass over the rows, their total (`is_total` = 1)."""
    groups = [dimension(name).label(f"g{i}") for i, name in enumerate(question.group_by)]
    if question.interval:
        groups.append(func.date_trunc(question.interval, _R.started_at).label("start"))
    metrics = [_METRICS[name].label(f"m_{name}") for name in {*question.metrics, question.order}]
    coverage = [column.label(f"c_{name}") for name, column in _COVERAGE.items()]
    total = func.grouping(groups[0]) if groups else literal(1)
    statement = select(
        *groups, *metrics, *coverage, total.label("is_total"), func.count().over().label("groups")
    )
    statement = statement.select_from(_from(question)).where(*_where(question))
    if groups:
        statement = statement.group_by(func.grouping_sets(tuple_(*groups), tuple_()))
    return statement.order_by(*_order(question, groups)).limit(question.limit + 1)


def _order(question: CostQuestion, groups: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    columns: list[ColumnElement[Any]] = [literal_column(f"g{i}") for i in range(len(question.group_by))]
    names = [column.asc().nulls_last() for column in columns]
    order: list[ColumnElement[Any]] = [literal_column("is_total").desc()]
    if question.interval:
        order.append(literal_column("start").asc())
    else:
        order.append(literal_column(f"m_{question.order}").desc().nulls_last())
    return [*order, *names] if groups else order


def _reasons(question: CostQuestion) -> Select[Any]:
    """Why requests have no price, counted."""
    unpriced = _R.pricing_status == "unpriced"
    statement = select(_R.pricing_reason.label("reason"), func.count().label("requests"))
    return (
        statement.select_from(_from(question))
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


def _answer(
    question: CostQuestion, as_of: datetime, rows: Sequence[Any], reasons: Mapping[str, int]
) -> Answer:
    total = next(row for row in rows if row["is_total"])
    groups = [row for row in rows if not row["is_total"]]
    split = bool(question.group_by or question.interval)
    return Answer(
        question=question,
        as_of=as_of,
        rows=[_row(question, row) for row in (groups if split else [total])],
        total=_row(question, total, is_total=True),
        coverage=Coverage(
            requests=total["c_requests"],
            priced=total["c_requests"] - total["c_unpriced"],
            unpriced=total["c_unpriced"],
            unpriced_reasons=reasons,
            usage_known=total["c_usage_known"],
            ttft_known=total["c_ttft_known"],
            provisional=total["c_provisional"],
        ),
        groups=total["groups"] - 1 if split else 1,
    )


def _row(question: CostQuestion, row: Mapping[str, Any], is_total: bool = False) -> Row:
    return Row(
        group=() if is_total else tuple(row[f"g{i}"] for i in range(len(question.group_by))),
        start=None if is_total or not question.interval else row["start"],
        metrics={name: _value(name, row[f"m_{name}"], row["c_requests"]) for name in question.metrics},
        unpriced=row["c_unpriced"],
    )


def _value(name: str, value: Any, requests: int) -> int | float | None:
    """A metric in its unit: milliseconds for times, whole numbers for the rest. No requests cost nothing;
    requests of which nothing is known cost None."""
    if value is None:
        return 0 if requests == 0 and METRICS[name] != "ms" else None
    return float(value) / 1000 if METRICS[name] == "ms" else int(value)
