"""The statements that bring judged requests, what judges thought of them, and people's labels together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Select,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import distinct_on

from core.errors import BadQuestion
from core.judged import JUDGED_MAX, Cell, Judged, Slice
from core.question import CostQuestion
from core.store.judge_tables import judging, rubric
from core.store.review_tables import review
from core.store.session import tenant
from core.store.statements import first_moment, grouped, key_names, keys, tokens, where, with_users
from core.store.tables import request, score
from core.window import Window

_S = score.c
_R = request.c
_J = judging.c

SAMPLED = ("sample", "escalated")
"""The purposes of judgements that stand for requests of the sample."""
_REASONS_MAX = 1000


def read_judged(engine: Engine, project_id: int, question: CostQuestion, name: str | None = None) -> Slice:
    """What estimates of the requests of a question are made of, on the dimension of quality `name` or on every one;
    two statements, at one moment."""
    with tenant(engine, project_id) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        as_of = connection.exec_driver_sql("SELECT now()").scalar_one()
        answer = connection.execute(grouped(question, by_key=False)).mappings()
        total, *cells = [dict(row) for row in answer]
        judged = _judged(connection, question, name)
    split = bool(key_names(question))
    return Slice(
        question=question,
        as_of=as_of,
        requests=int(total["c_requests"]),
        groups=int(total["groups"]) if split else 1,
        cells=[_cell(question, row) for row in cells]
        if split
        else [Cell((), (), None, int(total["c_requests"]))],
        judged=judged,
    )


def any_judged(engine: Engine, project_id: int, window: Window) -> bool:
    """Whether a request of the window was judged; next to nothing to ask."""
    statement = select(literal(1)).where(_J.state == "scored", _J.purpose.in_(SAMPLED), *_of_window(window))
    with tenant(engine, project_id) as connection:
        return connection.execute(statement.limit(1)).first() is not None


def labels_done(engine: Engine, project_id: int, window: Window) -> int:
    """How many drawn requests of the window people are done with."""
    found = [review.c.state == "done", review.c.purpose == "drawn"]
    if window.start is not None:
        found.append(review.c.started_at >= window.start)
    if window.end is not None:
        found.append(review.c.started_at < window.end)
    with tenant(engine, project_id) as connection:
        return int(connection.execute(select(func.count()).select_from(review).where(*found)).scalar_one())


def reasons_of(connection: Connection, trace_id: str) -> dict[str, str]:
    """Why judges gave the scores of a trace: the score's id → the judge's words."""
    rows = connection.execute(
        select(_J.id, _J.said).where(_J.trace_id == trace_id, _J.state == "scored").limit(_REASONS_MAX)
    )
    return {
        f"judging-{row.id}-{dimension}": str(words)
        for row in rows
        for dimension, words in (row.said or {}).items()
    }


def _cell(question: CostQuestion, row: dict[str, Any]) -> Cell:
    return Cell(
        key=tuple(row[name] for name in key_names(question)),
        group=tuple(row[f"g{at}"] for at in range(len(question.group_by))),
        start=first_moment(question, row["start"]) if question.interval else None,
        requests=int(row["c_requests"]),
    )


def _judged(connection: Connection, question: CostQuestion, name: str | None) -> list[Judged]:
    rows = connection.execute(_statement(question, name).limit(JUDGED_MAX + 1)).mappings().all()
    if len(rows) > JUDGED_MAX:
        raise BadQuestion(
            f"More than {JUDGED_MAX} judged requests pass. Ask for a shorter time, one name, or with filters."
        )
    names, labels = key_names(question), _drawn_labels(connection, question.window, name)
    return [
        Judged(
            name=row["name"],
            group=tuple(row[key] for key in names),
            session=row["cluster"],
            value=row["value"],
            chance=row["chance"],
            label_chance=row["label_chance"],
            label=None
            if row["label_chance"] is None
            else labels.get((row["trace_id"], row["span_id"], row["name"])),
            length=row["length"],
            confidence=row["confidence"],
            escalated=row["escalated"],
            trace_id=row["trace_id"],
            span_id=row["span_id"],
        )
        for row in rows
    ]


def _statement(question: CostQuestion, name: str | None) -> Select[Any]:
    """A row for each judged request and dimension."""
    best = judged_by_name(question.window, name)
    source = with_users(question.group_by).join(
        best, and_(_R.trace_id == best.c.trace_id, _R.span_id == best.c.span_id, _R.day == best.c.day)
    )
    return (
        select(
            *keys(question, by_key=False),
            func.coalesce(_R.session, _R.trace_id).label("cluster"),
            best.c.trace_id,
            best.c.span_id,
            best.c.name,
            best.c.value,
            best.c.chance,
            best.c.label_chance,
            tokens()["output_tokens"].label("length"),
            best.c.confidence,
            best.c.escalated,
        )
        .select_from(source)
        .where(*where(question))
    )


Labels = dict[tuple[str, str, str], float]
"""Trace, span and dimension of quality → what people said."""


def _drawn_labels(connection: Connection, window: Window, name: str | None) -> Labels:
    """The labels of requests that were drawn for people. Read apart and joined here: they are few, and no plan of a
    join knows that."""
    labels = labels_by_request(window, name)
    drawn = and_(
        review.c.trace_id == labels.c.trace_id,
        review.c.span_id == labels.c.span_id,
        review.c.rubric_name == func.split_part(labels.c.name, ".", 1),
        review.c.purpose == "drawn",
    )
    statement = select(labels.c.trace_id, labels.c.span_id, labels.c.name, labels.c.value)
    return _as_labels(connection, statement.select_from(labels.join(review, drawn)))


def all_labels(connection: Connection, window: Window) -> Labels:
    """The labels of requests, drawn or not."""
    labels = labels_by_request(window)
    return _as_labels(connection, select(labels.c.trace_id, labels.c.span_id, labels.c.name, labels.c.value))


def _as_labels(connection: Connection, statement: Select[Any]) -> Labels:
    rows = connection.execute(statement.limit(JUDGED_MAX + 1)).all()
    if len(rows) > JUDGED_MAX:
        raise BadQuestion(f"More than {JUDGED_MAX} labels pass. Ask for a shorter time or one name.")
    return {(row.trace_id, row.span_id, row.name): row.value for row in rows}


def judged_by_name(window: Window, name: str | None = None, *of_whom: ColumnElement[bool]) -> CTE:
    """Request and dimension of quality → the judge's answer: the mean of its repeats, the strong judge's where the
    request was escalated, the newest rubric's where there are several.

    `chance` and `label_chance` are those of the sample that the request is of.
    """
    said = func.jsonb_each_text(_J.scores).table_valued(column("key"), column("value")).lateral("said")
    r = rubric.c
    named = case((said.c.key == r.name, r.name), else_=r.name + "." + said.c.key)
    request_key = [_J.trace_id, _J.span_id, _J.day]
    each = (
        select(
            *request_key,
            r.name.label("rubric_name"),
            named.label("name"),
            _J.purpose,
            func.avg(cast(said.c.value, Float)).label("value"),
            func.max(_J.id).label("newest"),
            func.min(_J.id).label("first_id"),
            func.max(_J.chance).label("chance"),
            func.max(_J.label_chance).label("label_chance"),
            func.avg(_J.confidence).label("confidence"),
            func.min(_J.started_at).label("started_at"),
            _J.rubric_id,
        )
        .select_from(judging.join(rubric, r.id == _J.rubric_id).join(said, true()))
        .where(
            _J.state == "scored",
            _J.purpose.in_(SAMPLED),
            *_of_window(window),
            *([or_(r.name == name, r.name == name.partition(".")[0])] if name else []),
            *of_whom,
        )
        .group_by(*request_key, r.name, named, _J.purpose, _J.rubric_id)
        .cte("each_judgement")
    )
    of = each.c
    on = [of.trace_id, of.span_id, of.day, of.name]
    strong = of.purpose == "escalated"
    # What is drawn is a request of the sample; the strong judge's row only answers for it.
    of_sample = {
        column: func.coalesce(func.max(case((~strong, of[column]))).over(partition_by=on), of[column])
        for column in ("chance", "label_chance", "first_id")
    }
    return (
        select(
            *on,
            of.rubric_name,
            of.rubric_id,
            of.value,
            of.confidence,
            of.started_at,
            strong.label("escalated"),
            *(value.label(column) for column, value in of_sample.items()),
        )
        .where(*([of.name == name] if name else []))
        .ext(distinct_on(*on))
        .order_by(*on, strong.desc(), of.newest.desc())
        .cte("judged")
    )


def labels_by_request(window: Window, name: str | None = None, *of_whom: ColumnElement[bool]) -> CTE:
    """Request and dimension of quality → the mean of what people said, of each the newest."""
    rater = [_S.trace_id, _S.span_id, _S.name, _S.author_key]
    newest = (
        select(*rater, _S.value)
        .where(
            _S.source == "label",
            _S.span_id.is_not(None),
            *([_S.name == name] if name else []),
            *([] if window.start is None else [_S.day >= window.start.date() - timedelta(days=1)]),
            *of_whom,
        )
        .ext(distinct_on(*rater))
        .order_by(*rater, _S.recorded_at.desc(), _S.received_at.desc(), _S.id.desc())
        .cte("newest_label")
    )
    of = newest.c
    on = [of.trace_id, of.span_id, of.name]
    many = func.count().label("raters")
    return select(*on, func.avg(of.value).label("value"), many).group_by(*on).cte("label")


def _of_window(window: Window) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if window.start is not None:
        found.append(_J.started_at >= window.start)
    if window.end is not None:
        found.append(_J.started_at < window.end)
    return found
