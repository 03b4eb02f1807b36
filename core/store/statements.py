"""The statements that answer a `CostQuestion`. Each gives rows whose columns are named by their part: `k0`… what
they are grouped by, `g0`… the group's names, `start`, `m_METRIC`, `c_COUNT` (what coverage is made of).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Label,
    RowMapping,
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

from core.question import DIMENSIONS, JUDGE_SOURCE, START, CostQuestion, Judging, Value, names_judging
from core.store.tables import content, request, user_name
from core.window import Window, interval_end, midnight

_R = request.c
# Spelled out, so that the planner sees the condition of the index on them.
_JUDGE: ColumnElement[str] = literal_column(f"'{JUDGE_SOURCE}'", Text)


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


def of_values(of: FromClause) -> dict[str, ColumnElement[Any]]:
    """The metrics that need all values of a group side by side, so they are asked for the rows of the answer
    alone. Durations stay microseconds here and become milliseconds in `_value`."""
    found: dict[str, ColumnElement[Any]] = {
        "users": func.count(of.c.user_key.distinct()),
        "sessions": func.count(of.c.session.distinct()),
    }
    for share, suffix in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        found[f"latency_{suffix}"] = _percentile(of.c.duration_us, share)
        found[f"ttft_{suffix}"] = _percentile(of.c.ttft_us, share)
    return found


SUMS = _sums()
OTHERS = of_values(request)
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


def where(question: CostQuestion) -> list[ColumnElement[bool]]:
    """The requests that a question is about."""
    return [_R.counted, *conditions(question.window, question.filters), *asked_by_people(question.filters)]


def answered() -> list[ColumnElement[bool]]:
    """Requests of applications that have an answer, each once."""
    return [_R.counted, _R.status == "ok", _R.source != _JUDGE]


def has_content() -> ColumnElement[bool]:
    """Whether a request's prompt and answer are stored."""
    of = content.c
    same = (of.trace_id == _R.trace_id, of.span_id == _R.span_id, of.day == _R.day)
    return select(literal(1)).where(*same).exists()


def asked_by_people(filters: Mapping[str, Sequence[Value]]) -> list[ColumnElement[bool]]:
    """Leaves out Tripoint's own calls to judges where the filters do not name them."""
    return [] if names_judging(filters) else [_R.source != _JUDGE]


def judging(window: Window, filters: Mapping[str, Sequence[Value]]) -> Select[Any]:
    """What the calls to judges come to that pass. They are read from an index of their own, which is next to nothing
    where nobody judges."""
    figures = {
        "requests": func.count(),
        "cost_pico": func.sum(_R.cost_pico),
        "unpriced": func.count().filter(_R.pricing_status == "unpriced"),
    }
    return (
        select(*(column.label(name) for name, column in figures.items()))
        .select_from(request)
        .where(_R.counted, _R.source == _JUDGE, *conditions(window, filters))
    )


def judging_of(row: RowMapping, filters: Mapping[str, Sequence[Value]]) -> Judging:
    """The row of `judging` as a value; no calls cost nothing, calls without a price cost nobody knows what."""
    requests, cost = int(row["requests"]), row["cost_pico"]
    known = None if cost is None and requests else int(cost or 0)
    return Judging(requests, known, int(row["unpriced"]), names_judging(filters))


def key_names(question: CostQuestion) -> list[str]:
    """`k0`… and `start`, as far as the question has them."""
    return [*(f"k{at}" for at in range(len(question.group_by))), *(["start"] if question.interval else [])]


def keys(question: CostQuestion, by_key: bool) -> list[Label[Any]]:
    """What rows are grouped by: users by their key, whose names are looked up for the groups alone."""
    columns = [_R.user_key if by_key and name == "user" else dimension(name) for name in question.group_by]
    keys = [column.label(f"k{at}") for at, column in enumerate(columns)]
    if question.interval:
        keys.append(start(question))
    return keys


def start(question: CostQuestion) -> Label[Any]:
    """Where the interval of a request begins on the question's clocks."""
    return func.date_trunc(question.interval, _R.started_at, question.zone).label("start")


def _source(question: CostQuestion, by_key: bool) -> FromClause:
    return request if by_key else with_users(question.group_by)


def grouped(question: CostQuestion, by_key: bool) -> Select[Any]:
    """The total (`is_total`, first) and the rows that the question wants, from one pass over the requests."""
    keyed = keys(question, by_key)
    metrics = [SUMS[name].label(f"m_{name}") for name in sums_of([question])]
    if question.order in OTHERS:
        metrics.append(OTHERS[question.order].label(f"m_{question.order}"))
    inner = select(*keyed, *metrics, *counts()).select_from(_source(question, by_key)).where(*where(question))
    return leading(
        question, inner.group_by(*(literal_column(key.name) for key in keyed)).cte("grouped"), by_key
    )


def sums_of(questions: Iterable[CostQuestion]) -> list[str]:
    """The metrics that add up among those that questions show or are in order of."""
    return sorted({name for q in questions for name in (*q.metrics, q.order) if name in SUMS})


def counts() -> list[Label[Any]]:
    """What coverage is made of."""
    return [column.label(f"c_{name}") for name, column in COVERAGE.items()]


def added(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """One column of parts as their whole. Of no parts nothing is added up, which is no NULL but a zero for what
    is counted."""
    counted = column.name.startswith("c_") or column.name in ("m_requests", "m_errors")
    if column.name.removeprefix("m_") in OTHERS:
        return null()
    return func.coalesce(func.sum(column), 0) if counted else func.sum(column)


def leading(question: CostQuestion, groups: FromClause, by_key: bool) -> Select[Any]:
    """The total and the leading rows of a question, `groups` being all of them."""
    of = groups.c
    keyed = [column for column in of if column.name in key_names(question)]
    plain = [column for column in of if column.name.startswith(("m_", "c_"))]
    names = {
        at: (user_name.c.name if by_key and name == "user" else of[f"k{at}"]).label(f"g{at}")
        for at, name in enumerate(question.group_by)
    }
    erased = [func.bool_or(and_(of[f"k{at}"].is_not(None), user_name.c.name.is_(None)))
              for at, name in enumerate(question.group_by) if by_key and name == "user"]  # fmt: skip
    joined = groups
    for at, name in enumerate(question.group_by):
        if by_key and name == "user":
            joined = groups.outerjoin(user_name, user_name.c.key == of[f"k{at}"])
    columns: list[ColumnElement[Any]] = [
        *(null().label(key.name) for key in keyed),
        *(null().label(name.name) for name in names.values()),
        *(added(column).label(column.name) for column in plain),
        func.count().label("groups"),
        (func.coalesce(erased[0], false()) if erased else false()).label("erased"),
        literal(1).label("is_total"),
    ]
    total = select(*columns).select_from(joined)
    if not keyed:
        return total
    order = in_order(question)
    page = (
        select(
            *keyed,
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


def in_order(question: CostQuestion) -> list[ColumnElement[Any]]:
    """What a question's rows are put in order by."""
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


def rest(
    question: CostQuestion,
    others: Sequence[str],
    rows: Sequence[Mapping[str, Any]] | None,
    by_key: bool,
    *,
    narrow: bool,
) -> Select[Any]:
    """The metrics that do not add up, of all requests where `rows` is None, else by group; of a few groups more
    than those in `rows` where `narrow`, else of every one."""
    metrics = [OTHERS[name].label(f"m_{name}") for name in others]
    if rows is None:
        return select(*metrics).select_from(request).where(*where(question))
    keyed = keys(question, by_key)
    return (
        select(*keyed, *metrics)
        .select_from(_source(question, by_key))
        .where(*where(question), *(_near(question, rows, keyed) if narrow else ()))
        .group_by(*(literal_column(key.name) for key in keyed))
    )


def _near(
    question: CostQuestion, rows: Sequence[Mapping[str, Any]], keys: Sequence[Label[Any]]
) -> list[ColumnElement[bool]]:
    near = [_among(key.element, {row[key.name] for row in rows}) for key in keys[: len(question.group_by)]]
    if question.interval:
        starts = [row["start"] for row in rows]
        last = interval_end(max(starts), question.interval, question.zone)
        near += conditions(Window(first_moment(question, min(starts)), last), {})
    return near


def _among(column: ColumnElement[Any], values: Set[Any]) -> ColumnElement[bool]:
    named = sorted(value for value in values if value is not None)
    parts = ([column.in_(named)] if named else []) + ([column.is_(None)] if None in values else [])
    return or_(false(), *parts)


def reasons(question: CostQuestion) -> Select[Any]:
    """Why requests have no price, counted."""
    unpriced = _R.pricing_status == "unpriced"
    statement = select(_R.pricing_reason.label("reason"), func.count().label("requests"))
    return (
        statement.select_from(request)
        .where(*where(question), unpriced)
        .group_by(_R.pricing_reason)
        .order_by(func.count().desc())
        .limit(100)
    )


COVERAGE: dict[str, ColumnElement[Any]] = {
    "requests": func.count(),
    "unpriced": func.count().filter(_R.pricing_status == "unpriced"),
    "usage_known": func.count().filter(or_(_R.uncached_input.is_not(None), _R.visible_output.is_not(None))),
    "ttft_known": func.count(_R.ttft_us),
    "provisional": func.count().filter(_R.state == "provisional"),
}


def first_moment(question: CostQuestion, start: datetime) -> datetime:
    """Where clocks show midnight twice PostgreSQL names the second, and the interval began at the first."""
    if question.interval == "hour":
        return start
    return midnight(start.astimezone(ZoneInfo(question.zone)).date(), question.zone)
