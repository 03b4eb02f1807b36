"""The statements that bring scores and their requests together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    false,
    func,
    literal,
    not_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on

from core.errors import BadQuestion
from core.quality import ROWS_MAX, SCORED_MAX, Mean, QualityAnswer, QualityRow, Scored, mean_of
from core.question import CostQuestion
from core.score import SOURCES
from core.store.session import tenant
from core.store.statements import (
    first_moment,
    grouped,
    judging,
    judging_of,
    key_names,
    keys,
    where,
    with_users,
)
from core.store.tables import request, score
from core.window import Window

_S = score.c
_R = request.c


def any_scores(engine: Engine, project_id: int, window: Window) -> bool:
    """Whether a request of the window may have a score; next to nothing to ask."""
    statement = select(literal(1)).select_from(score).where(_sent(), *_given_since(window)).limit(1)
    with tenant(engine, project_id) as connection:
        return connection.execute(statement).first() is not None


def measure(
    engine: Engine, project_id: int, question: CostQuestion, name: str | None = None
) -> QualityAnswer:
    """The mean scores of the requests of a question by its groups, on the dimension `name` or on every one that was
    scored; three statements, at one moment."""
    with tenant(engine, project_id) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        as_of = connection.exec_driver_sql("SELECT now()").scalar_one()
        total, *groups = [dict(row) for row in connection.execute(grouped(question, by_key=False)).mappings()]
        scored = _scored(connection, question, name)
        row = connection.execute(judging(question.window, question.filters)).mappings().one()
    names = [name] if name else sorted({one.name for one in scored})
    if len(groups) * len(names) > ROWS_MAX:
        raise BadQuestion(
            f"This would be {len(groups)} groups of {len(names)} dimensions. Name one with name=, or lower limit."
        )
    by_group = _by_group(scored)
    whole = [_mean(named, [one for one in scored if one.name == named], total) for named in names]
    split = bool(key_names(question))
    return QualityAnswer(
        question=question,
        as_of=as_of,
        groups=int(total["groups"]) if split else 1,
        total=whole,
        rows=[
            QualityRow(
                group=tuple(row[f"g{at}"] for at in range(len(question.group_by))),
                start=first_moment(question, row["start"]) if question.interval else None,
                mean=_mean(named, by_group[named, _key(question, row)], row),
            )
            for row in groups
            for named in names
        ]
        if split
        else [QualityRow((), None, mean) for mean in whole],
        judging=judging_of(row, question.filters),
    )


def _mean(name: str, scored: Sequence[Scored], row: dict[str, Any]) -> Mean:
    return mean_of(name, scored, int(row["c_requests"]))


def _key(question: CostQuestion, row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in key_names(question))


def _by_group(scored: Sequence[Scored]) -> dict[tuple[str, tuple[object, ...]], list[Scored]]:
    found: dict[tuple[str, tuple[object, ...]], list[Scored]] = defaultdict(list)
    for one in scored:
        found[one.name, one.group].append(one)
    return found


def _scored(connection: Connection, question: CostQuestion, name: str | None) -> list[Scored]:
    rows = connection.execute(_statement(question, name).limit(SCORED_MAX + 1)).mappings().all()
    if len(rows) > SCORED_MAX:
        raise BadQuestion(
            f"More than {SCORED_MAX} scored requests pass. Ask for a shorter time, one name, or with filters."
        )
    return [
        Scored(row["name"], _key(question, dict(row)), row["cluster"], row["value"], row["sources"])
        for row in rows
    ]


def _statement(question: CostQuestion, name: str | None) -> Select[Any]:
    """A row for each request and dimension with a score."""
    each = _each(question, name)
    source = with_users(question.group_by).join(
        each, and_(_R.trace_id == each.c.trace_id, _R.span_id == each.c.span_id, _R.day == each.c.day)
    )
    return (
        select(
            *keys(question, by_key=False),
            func.coalesce(_R.session, _R.trace_id).label("cluster"),
            each.c.name,
            each.c.value,
            each.c.sources,
        )
        .select_from(source)
        .where(*where(question))
    )


def _each(question: CostQuestion, name: str | None) -> CTE:
    """Request and dimension → the mean of its raters' newest scores. A rater is a source and an author."""
    placed = _placed(question, name)
    of = placed.c
    rater = [of.trace_id, of.span_id, of.day, of.name, of.source, of.author_key]
    newest = (
        select(placed)
        .ext(distinct_on(*rater))
        .order_by(*rater, of.recorded_at.desc(), of.received_at.desc(), of.id.desc())
        .cte("newest")
    )
    on = [newest.c.trace_id, newest.c.span_id, newest.c.day, newest.c.name]
    value = func.avg(newest.c.value).label("value")
    sources = func.array_agg(newest.c.source.distinct()).label("sources")
    return select(*on, value, sources).group_by(*on).cte("each")


def _placed(question: CostQuestion, name: str | None) -> CTE:
    """Score → its request, whether or not the question is about that one: the request of its span, else the last one
    directly below that span, else the last one of the trace."""
    meant = _meant(question, name)
    of = meant.c
    return (
        select(
            *(of[c] for c in ("id", "name", "source", "author_key", "value", "recorded_at", "received_at")),
            _R.trace_id.label("trace_id"),
            _R.span_id.label("span_id"),
            _R.day.label("day"),
        )
        .select_from(meant.join(request, _R.trace_id == of.meant_trace))
        .where(_R.counted, *_near(question, _R.day))
        .ext(distinct_on(of.said_in, of.id, of.said_on))
        .order_by(
            of.said_in,
            of.id,
            of.said_on,
            func.coalesce(_R.span_id == of.meant_span, false()).desc(),
            func.coalesce(_R.parent_span_id == of.meant_span, false()).desc(),
            _R.started_at.desc(),
            _R.span_id,
        )
        .cte("placed")
    )


def _meant(question: CostQuestion, name: str | None) -> CTE:
    """Score → the span that it means; of a call that was reported twice that is the one that counts."""
    twin = request.alias("twin")
    counts = twin.c.duplicate_of
    statement = (
        select(
            *(_S[c] for c in ("id", "name", "source", "author_key", "value", "recorded_at", "received_at")),
            _S.trace_id.label("said_in"),
            _S.day.label("said_on"),
            func.coalesce(func.split_part(counts, "-", 1), _S.trace_id).label("meant_trace"),
            func.coalesce(func.split_part(counts, "-", 2), _S.span_id).label("meant_span"),
        )
        .select_from(
            score.outerjoin(
                twin,
                and_(
                    twin.c.trace_id == _S.trace_id,
                    twin.c.span_id == _S.span_id,
                    not_(twin.c.counted),
                    counts.is_not(None),
                    *_near(question, twin.c.day),
                ),
            )
        )
        .where(_sent(), *_given_since(question.window), *([_S.name == name] if name else []))
    )
    return statement.cte("meant")


def _sent() -> ColumnElement[bool]:
    """Scores that were sent here: judges' and people's answers to a rubric are of a sample, and estimated apart."""
    return _S.source.in_(SOURCES)


def _given_since(window: Window) -> list[ColumnElement[bool]]:
    """Nobody scores an answer before it is given, but clocks differ."""
    return [] if window.start is None else [_S.day >= window.start.date() - timedelta(days=1)]


def _near(question: CostQuestion, day: ColumnElement[date]) -> list[ColumnElement[bool]]:
    """The days of the window, and one on either side for what a trace holds beyond it."""
    found: list[ColumnElement[bool]] = []
    if (start := question.window.start) is not None:
        found.append(day >= start.date() - timedelta(days=1))
    if (end := question.window.end) is not None:
        found.append(day <= end.date() + timedelta(days=1))
    return found
