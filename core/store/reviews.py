"""The review queue: drawn for people, leased to one at a time, labelled or skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Row,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from core.errors import BadQuestion, NotFound
from core.judged import Judged, features
from core.judging.material import Material, material_of
from core.judging.rubric import Rubric, rubric_from_json
from core.review import (
    LEASE,
    POOL_DAYS,
    SECOND_SHARE,
    Drawn,
    Item,
    Plan,
    Progress,
    Queue,
    check_levels,
    check_reason,
    check_rubric_name,
)
from core.score import Score
from core.stats.labelling import Pool, fold_of, label_chances
from core.stats.sampling import draw
from core.store import audit
from core.store.estimates import SAMPLED, all_labels, judged_by_name
from core.store.judge_tables import judging, rubric
from core.store.judging import contents
from core.store.locks import Lock, wait_for
from core.store.review_tables import review, review_plan, review_turn
from core.store.scores import write_scores
from core.store.statements import tokens
from core.store.tables import content, request
from core.window import Window

POOL_ROWS = 60_000
"""Judged answers, by dimension, that one draw looks at, the newest first."""
_R = request.c
_V = review.c
_T = review_turn.c
_PLANS_MAX = 500


def set_plan(
    connection: Connection,
    project_id: int,
    rubric_name: str,
    a_day: int | None,
    second_share: float | None,
    salt: str,
    who: str,
    now: datetime,
) -> None:
    """How many a day from now on, by a rubric of the project; what is None stays as it was. The salt of a rubric is the
    first one that was given, for ever."""
    check_rubric_name(rubric_name)
    if not connection.execute(select(exists().where(rubric.c.name == rubric_name))).scalar():
        raise NotFound(
            f"Nothing was judged by a rubric {rubric_name[:100]!r} in this project. Start a policy with it first."
        )
    known = next((plan for plan in plans(connection) if plan.rubric_name == rubric_name), None)
    if known and a_day is None and second_share is None:
        return
    values = dict(
        a_day=a_day if a_day is not None else known.a_day if known else 0,
        second_share=second_share
        if second_share is not None
        else known.second_share
        if known
        else SECOND_SHARE,
        set_at=now,
        set_by=who,
    )
    statement = insert(review_plan).values(
        project_id=project_id, rubric_name=rubric_name, salt=salt, **values
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["project_id", "rubric_name"], set_=values)
    )
    told = {name: values[name] for name in ("a_day", "second_share")}
    audit.note(connection, project_id, who, "review.plan", rubric_name, **told)


def plans(connection: Connection) -> list[Plan]:
    """The plans of the entered project."""
    rows = connection.execute(select(review_plan).order_by(review_plan.c.rubric_name).limit(_PLANS_MAX)).all()
    return [Plan(row.rubric_name, row.a_day, row.second_share, row.filled_on, row.set_by) for row in rows]


def judged_rubrics(connection: Connection) -> list[str]:
    """The names of the rubrics that answers of the last days were judged by."""
    scored = exists().where(
        judging.c.rubric_id == rubric.c.id,
        judging.c.state == "scored",
        judging.c.purpose.in_(SAMPLED),
    )
    return list(
        connection.execute(select(rubric.c.name).where(scored).distinct().order_by(rubric.c.name)).scalars()
    )


def fill_due(connection: Connection, project_id: int, now: datetime) -> list[Drawn]:
    """Draw what the plans want of today and was not drawn today; where there is nothing to draw from yet, later."""
    today = now.date()
    due = [
        plan
        for plan in plans(connection)
        if plan.a_day and (plan.filled_on is None or plan.filled_on < today)
    ]
    found = []
    for plan in due:
        drawn = draw_reviews(connection, project_id, plan.rubric_name, plan.a_day, now)
        found.append(drawn)
        if drawn.pool:
            connection.execute(
                update(review_plan)
                .where(review_plan.c.rubric_name == plan.rubric_name)
                .values(filled_on=today)
            )
    return found


def draw_reviews(
    connection: Connection, project_id: int, rubric_name: str, wanted: float, now: datetime
) -> Drawn:
    """Draw `wanted` more judged answers on average, each by its stored probability; deterministic but for the salt."""
    plan = connection.execute(
        select(review_plan).where(review_plan.c.rubric_name == rubric_name).with_for_update()
    ).one_or_none()
    if plan is None:
        raise NotFound(f"Nobody planned reviews for {rubric_name[:100]!r} yet. Set how many a day, or now.")
    found = _pool(connection, rubric_name, now)
    if not found:
        return Drawn(rubric_name, 0, 0)
    chances = label_chances(_of_pool(found), wanted)
    _raise(connection, found, [float(chance) for chance in chances])
    drawn = [
        dict(
            project_id=project_id,
            rubric_id=one.rubric_id,
            rubric_name=rubric_name,
            purpose="drawn",
            day=one.day,
            trace_id=one.trace_id,
            span_id=one.span_id,
            started_at=one.started_at,
            raters=2 if draw(one.trace_id, one.span_id, f"2:{plan.salt}") < plan.second_share else 1,
            place=draw(one.trace_id, one.span_id, f"place:{plan.salt}"),
            created_at=now,
        )
        for one, chance in zip(found, chances, strict=True)
        if draw(one.trace_id, one.span_id, plan.salt) < chance
    ]
    return Drawn(rubric_name, len(found), _put(connection, drawn))


def _put(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """The items, each once; one that was picked by hand and is drawn now stands for others too."""
    if not rows:
        return 0
    statement = insert(review)
    known = statement.on_conflict_do_update(
        index_elements=["project_id", "trace_id", "span_id", "day", "rubric_name"],
        set_={"purpose": "drawn"},
        where=_V.purpose == "asked",
    )
    return len(connection.execute(known.returning(_V.id), list(rows)).all())


@dataclass(slots=True)
class _Candidate:
    """A judged answer that people may be asked about, with what is known of it on each dimension."""

    trace_id: str
    span_id: str
    day: date
    rubric_id: int
    started_at: datetime
    judging_id: int
    before: float
    of: Judged
    values: list[float] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)


def _pool(connection: Connection, rubric_name: str, now: datetime) -> list[_Candidate]:
    since = now - timedelta(days=POOL_DAYS)
    window = Window(since, None)
    best = judged_by_name(window, None, rubric.c.name == rubric_name)
    labels = all_labels(connection, window)
    on = and_(_R.trace_id == best.c.trace_id, _R.span_id == best.c.span_id, _R.day == best.c.day)
    readable = exists().where(
        content.c.trace_id == best.c.trace_id,
        content.c.span_id == best.c.span_id,
        content.c.day == best.c.day,
    )
    statement = (
        select(best, tokens()["output_tokens"].label("length"))
        .select_from(best.join(request, on))
        .where(_R.counted, _R.day >= since.date(), readable)
        .order_by(best.c.started_at.desc(), best.c.trace_id, best.c.span_id, best.c.name)
        .limit(POOL_ROWS)
    )
    found: dict[tuple[str, str, date], _Candidate] = {}
    for row in connection.execute(statement):
        key = (row.trace_id, row.span_id, row.day)
        one = found.get(key)
        if one is None:
            of = Judged(
                "", (), "", row.value, row.chance, None, None, row.length, row.confidence, row.escalated
            )
            one = found[key] = _Candidate(
                *key, row.rubric_id, row.started_at, row.first_id, row.label_chance or 0.0, of
            )
        one.values.append(row.value)
        label = labels.get((row.trace_id, row.span_id, row.name))
        if label is not None:
            one.misses.append(abs(label - row.value))
    return list(found.values())


def _of_pool(found: Sequence[_Candidate]) -> Pool:
    return Pool(
        scores=np.array([float(np.mean(one.values)) for one in found]),
        features=features([one.of for one in found]),
        residuals=np.array([float(np.mean(one.misses)) if one.misses else np.nan for one in found]),
        folds=np.array([fold_of(one.trace_id) for one in found], dtype=np.int64),
        before=np.array([one.before for one in found]),
    )


def _raise(connection: Connection, found: Sequence[_Candidate], chances: Sequence[float]) -> None:
    """Store the probabilities, which are never lowered."""
    raised = [
        (one.judging_id, chance) for one, chance in zip(found, chances, strict=True) if chance > one.before
    ]
    if not raised:
        return
    new = (
        func.unnest(
            bindparam("ids", [id for id, _ in raised], ARRAY(BigInteger)),
            bindparam("chances", [chance for _, chance in raised], ARRAY(Double)),
        )
        .table_valued(column("id", BigInteger), column("chance", Double))
        .render_derived(name="raised")
    )
    connection.execute(update(judging).where(judging.c.id == new.c.id).values(label_chance=new.c.chance))


def ask_reviews(
    connection: Connection,
    project_id: int,
    rubric_name: str,
    requests: Sequence[tuple[str, str]],
    raters: int,
    who: str,
    now: datetime,
) -> int:
    """Put requests that somebody picked before all others; their labels enter no estimate. Returns how many are new."""
    of = connection.execute(
        select(rubric.c.id).where(rubric.c.name == rubric_name).order_by(rubric.c.id.desc()).limit(1)
    ).scalar()
    if of is None:
        raise NotFound(f"This project has no rubric {rubric_name[:100]!r}. Start a policy with it first.")
    found = {
        (row.trace_id, row.span_id): row
        for row in connection.execute(
            select(_R.trace_id, _R.span_id, _R.day, _R.started_at)
            .where(tuple_(_R.trace_id, _R.span_id).in_(requests))
            .order_by(_R.counted)
        )
    }
    if lost := [one for one in requests if one not in found]:
        trace_id, span_id = lost[0]
        raise NotFound(
            f"There is no request {span_id} in the trace {trace_id} of this project. Nothing was put."
        )
    rows = [
        dict(
            project_id=project_id,
            rubric_id=of,
            rubric_name=rubric_name,
            purpose="asked",
            day=row.day,
            trace_id=trace_id,
            span_id=span_id,
            started_at=row.started_at,
            raters=raters,
            # Before all that was drawn, whose places begin at 0.
            place=-1 + draw(trace_id, span_id, rubric_name),
            created_at=now,
            created_by=who,
        )
        for (trace_id, span_id), row in found.items()
    ]
    statement = insert(review).on_conflict_do_nothing().returning(_V.id)
    return len(connection.execute(statement, rows).all()) if rows else 0


def _of_others(rater: str, now: datetime) -> ColumnElement[int]:
    """How many other people labelled an item, or are at it."""
    at_it = or_(_T.outcome == "labelled", and_(_T.outcome == "leased", _T.leased_until > now))
    return (
        select(func.count())
        .where(_T.review_id == _V.id, _T.rater != rater, at_it)
        .correlate(review)
        .scalar_subquery()
    )


def _waits_for(rater: str, now: datetime) -> list[ColumnElement[bool]]:
    over = exists().where(_T.review_id == _V.id, _T.rater == rater, _T.outcome != "leased").correlate(review)
    return [_V.state == "open", ~over, _of_others(rater, now) < _V.raters]


def next_review(
    connection: Connection, project_id: int, rater: str, now: datetime, rubric_name: str | None = None
) -> Item | None:
    """The item that is this person's turn, leased to him for a quarter of an hour; the same one until he saves or
    skips it. None where nothing waits for him."""
    if rubric_name:
        check_rubric_name(rubric_name)
    _take_turns(connection, project_id)
    own = exists().where(_T.review_id == _V.id, _T.rater == rater, _T.outcome == "leased").correlate(review)
    statement = (
        select(review, rubric.c.body)
        .join(rubric, rubric.c.id == _V.rubric_id)
        .where(*_waits_for(rater, now), *([_V.rubric_name == rubric_name] if rubric_name else []))
        .order_by(own.desc(), _V.place, _V.id)
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    until = now + LEASE
    lease = insert(review_turn).values(
        project_id=project_id, review_id=row.id, rater=rater, leased_until=until, at=now
    )
    connection.execute(
        lease.on_conflict_do_update(index_elements=["review_id", "rater"], set_={"leased_until": until})
    )
    return _item(connection, row, until)


def own_review(connection: Connection, review_id: int, rater: str) -> Item:
    """An item that this person has had, so that a mind can be changed."""
    row = connection.execute(
        select(review, rubric.c.body, _T.leased_until)
        .join(rubric, rubric.c.id == _V.rubric_id)
        .join(review_turn, _T.review_id == _V.id)
        .where(_V.id == review_id, _T.rater == rater)
    ).one_or_none()
    if row is None:
        raise NotFound("You have not had this item. Take the next one from the queue.")
    return _item(connection, row, row.leased_until)


def _item(connection: Connection, row: Row[Any], until: datetime) -> Item:
    return Item(
        row.id,
        rubric_from_json(row.body),
        row.trace_id,
        row.span_id,
        row.started_at,
        _material(connection, row.trace_id, row.span_id, row.day),
        until,
        row.raters,
    )


def _material(connection: Connection, trace_id: str, span_id: str, day: date) -> Material:
    key = (trace_id, span_id, day)
    return material_of(*contents(connection, [key]).get(key, (None, None, None)))


def _take_turns(connection: Connection, project_id: int) -> None:
    """Whoever takes an item or gives one back waits for the one before, in his project alone."""
    wait_for(connection, Lock.REVIEW, project_id)


def save_labels(
    connection: Connection,
    project_id: int,
    review_id: int,
    rater: str,
    levels: Mapping[str, int],
    now: datetime,
    comment: str | None = None,
) -> None:
    """What a person thinks of an item, on every dimension of its rubric; saved again, it is a changed mind."""
    row, turn = _turn_at(connection, project_id, review_id, rater)
    of = rubric_from_json(row.body)
    chosen = check_levels(of, levels)
    if row.state == "done" and turn is None:
        raise BadQuestion("Others have labelled this item already. Take the next one.")
    write_scores(
        connection,
        project_id,
        [
            _label(row, of, name, level, rater, now, comment, again=turn == "labelled")
            for name, level in chosen.items()
        ],
    )
    _end_turn(connection, project_id, review_id, rater, "labelled", None, now)
    close(connection, [review_id])


def skip_review(
    connection: Connection, project_id: int, review_id: int, rater: str, reason: str, now: datetime
) -> None:
    """Leave an item to others, for a reason that is kept."""
    words = check_reason(reason)
    _, turn = _turn_at(connection, project_id, review_id, rater)
    if turn == "labelled":
        raise BadQuestion("You labelled this item already, so it cannot be skipped.")
    _end_turn(connection, project_id, review_id, rater, "skipped", words, now)


def _turn_at(
    connection: Connection, project_id: int, review_id: int, rater: str
) -> tuple[Row[Any], str | None]:
    """An item, and what the person did with it before."""
    _take_turns(connection, project_id)
    row = connection.execute(
        select(review, rubric.c.body).join(rubric, rubric.c.id == _V.rubric_id).where(_V.id == review_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such item in the review queue.")
    turn = connection.execute(select(_T.outcome).where(_T.review_id == review_id, _T.rater == rater)).scalar()
    return row, turn


def _end_turn(
    connection: Connection,
    project_id: int,
    review_id: int,
    rater: str,
    outcome: str,
    reason: str | None,
    now: datetime,
) -> None:
    values = dict(outcome=outcome, reason=reason, at=now)
    statement = insert(review_turn).values(
        project_id=project_id, review_id=review_id, rater=rater, leased_until=now, **values
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["review_id", "rater"], set_=values))


def close(connection: Connection, review_ids: Sequence[int]) -> None:
    """Mark as done whatever enough people have labelled."""
    labelled = (
        select(func.count())
        .where(_T.review_id == _V.id, _T.outcome == "labelled")
        .correlate(review)
        .scalar_subquery()
    )
    connection.execute(
        update(review)
        .where(_V.id.in_(review_ids), _V.state == "open", labelled >= _V.raters)
        .values(state="done")
    )


def _label(
    row: Row[Any],
    of: Rubric,
    dimension: str,
    level: int,
    rater: str,
    now: datetime,
    comment: str | None,
    *,
    again: bool,
) -> Score:
    chosen = next(one for one in of.dimensions if one.name == dimension).levels[level - 1]
    who = hashlib.sha256(rater.encode()).hexdigest()[:12]
    # The first answer has one id however often its form is sent; a changed mind is a new row.
    later = f"-{int(now.timestamp() * 1e6)}" if again else ""
    return Score(
        trace_id=row.trace_id,
        span_id=row.span_id,
        name=of.score_name(dimension),
        value=chosen.score,
        recorded_at=now,
        id=f"label-{row.id}-{who}-{dimension}{later}",
        source="label",
        label=chosen.words[:200],
        author=rater,
        comment=comment,
    )


def queue(connection: Connection, rater: str, now: datetime) -> Queue:
    """The plans and how far along everybody is, in two statements."""
    mine = (
        select(_T.outcome).where(_T.review_id == _V.id, _T.rater == rater).correlate(review).scalar_subquery()
    )
    waits = and_(*_waits_for(rater, now))
    each = select(
        _V.rubric_name,
        _V.state,
        _V.purpose,
        mine.label("mine"),
        case((_V.state == "open", waits), else_=False).label("waits"),
    ).subquery()
    rows = connection.execute(
        select(
            each.c.rubric_name,
            func.count().filter(each.c.state == "open").label("open"),
            func.count().filter(each.c.state == "done").label("done"),
            func.count().filter(each.c.purpose == "asked").label("asked"),
            func.count().filter(each.c.waits).label("for_you"),
            func.count().filter(each.c.mine == "labelled").label("by_you"),
            func.count().filter(each.c.mine == "skipped").label("skipped_by_you"),
        )
        .group_by(each.c.rubric_name)
        .order_by(each.c.rubric_name)
    ).all()
    return Queue(plans(connection), [Progress(*row) for row in rows])
