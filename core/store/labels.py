"""People's labels: given out with what the judge said, taken in, and compared with the judge's and each other's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on, insert

from core.agreeing import Rated
from core.errors import BadQuestion
from core.judged import JUDGED_MAX
from core.judging.rubric import Rubric
from core.label import EXPORT_MAX, Given, Label
from core.review import check_rubric_name
from core.store import audit
from core.store.estimates import judged_by_name
from core.store.judge_tables import judging
from core.store.judges import list_rubrics
from core.store.review_tables import review, review_turn
from core.store.reviews import close
from core.store.scores import write_scores
from core.store.session import tenant
from core.store.tables import request, score, user_name
from core.window import EVER, Window

_S = score.c
_R = request.c
_V = review.c
# Ids that one statement asks for.
_AT_ONCE = 5000
# Labels of a part of a long file.
_PART = 5000


def find_labels(
    connection: Connection,
    window: Window,
    rubric_name: str | None = None,
    cursor: str | None = None,
    limit: int = 1000,
) -> tuple[list[Label], str | None]:
    """The labels that were given in a window, the oldest first, and the cursor of those after them; three statements
    however many they are."""
    conditions = [_S.source == "label", _S.span_id.is_not(None), *_given_in(window)]
    if rubric_name:
        check_rubric_name(rubric_name)
        conditions.append(func.split_part(_S.name, ".", 1) == rubric_name)
    if cursor:
        at, id = _read_cursor(cursor)
        conditions += [_S.day >= at.date(), tuple_(_S.recorded_at, _S.id) > tuple_(at, id)]
    rows = connection.execute(
        select(score, user_name.c.name.label("rater"))
        .outerjoin(user_name, user_name.c.key == _S.author_key)
        .where(*conditions)
        .order_by(_S.recorded_at, _S.id)
        .limit(limit + 1)
    ).all()
    shown = rows[:limit]
    beside = _Beside.of(connection, sorted({row.trace_id for row in shown}))
    more = len(rows) > limit
    after = f"{shown[-1].recorded_at.isoformat()}~{shown[-1].id}" if more else None
    return [beside.label(row) for row in shown], after


def all_labels(
    engine: Engine, project_id: int, window: Window, rubric_name: str | None = None, cursor: str | None = None
) -> Iterator[Sequence[Label] | str]:
    """The same at one moment, a part of them in memory at a time; where there are more than `EXPORT_MAX`, the cursor of
    the rest comes last."""
    count = 0
    with tenant(engine, project_id) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        while True:
            found, cursor = find_labels(connection, window, rubric_name, cursor, _PART)
            yield found
            count += len(found)
            if cursor is None:
                return
            if count >= EXPORT_MAX:
                yield cursor
                return


def _read_cursor(text: str) -> tuple[datetime, str]:
    at, _, id = text.partition("~")
    try:
        # A '+' in a query string that nobody escaped arrives as a space.
        moment = datetime.fromisoformat(at.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not id or "\0" in id:
        raise BadQuestion("This cursor is not one that a page of labels gave. Start again without it.")
    return moment, id


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is known of the requests of some traces beside their labels."""

    judged: dict[tuple[str, str, str], Row[Any]]
    reviews: dict[tuple[str, str, str], Row[Any]]
    versions: dict[int, str]
    newest: dict[str, str]

    @classmethod
    def of(cls, connection: Connection, traces: Sequence[str]) -> _Beside:
        if not traces:
            return cls({}, {}, {}, {})
        best = judged_by_name(EVER, None, judging.c.trace_id.in_(traces))
        judged = connection.execute(select(best)).all()
        queued = connection.execute(select(review).where(_V.trace_id.in_(traces))).all()
        rubrics = list_rubrics(connection)
        newest: dict[str, str] = {}
        for one in rubrics:
            newest.setdefault(one.rubric.name, one.rubric.version)
        return cls(
            {(row.trace_id, row.span_id, row.name): row for row in judged},
            {(row.trace_id, row.span_id, row.rubric_name): row for row in queued},
            {one.id: one.rubric.version for one in rubrics if one.id is not None},
            newest,
        )

    def label(self, row: Row[Any]) -> Label:
        name, _, dimension = row.name.partition(".")
        judge = self.judged.get((row.trace_id, row.span_id, row.name))
        queued = self.reviews.get((row.trace_id, row.span_id, name))
        rubric_id = queued.rubric_id if queued else judge.rubric_id if judge else None
        # Who is still to label it might read the judge's answer here.
        blind = queued is not None and queued.state == "open"
        return Label(
            trace_id=row.trace_id,
            span_id=row.span_id,
            rubric=name,
            version=self.versions.get(rubric_id or 0) or self.newest.get(name, ""),
            dimension=dimension or name,
            value=row.value,
            level=row.label,
            rater=row.rater or "",
            time=row.recorded_at,
            comment=row.comment,
            drawn=queued is not None and queued.purpose == "drawn",
            judge=judge.value if judge and not blind else None,
            judge_chance=judge.chance if judge else None,
            label_chance=judge.label_chance if judge else None,
        )


def rubrics_for(connection: Connection) -> list[Rubric]:
    """Every version of the project's rubrics, the newest of a name first."""
    return [one.rubric for one in list_rubrics(connection)]


def keep_labels(
    connection: Connection, project_id: int, given: Sequence[Given], who: str, now: datetime
) -> int:
    """Store labels that came from elsewhere, all or none; where they answer what waits in the queue, it waits no more.
    Returns how many are new."""
    known = _known(connection, sorted({(one.score.trace_id, one.score.span_id or "") for one in given}))
    for at, one in enumerate(given, 1):
        if (one.score.trace_id, one.score.span_id) not in known:
            raise BadQuestion(
                f"Row {at}: this project has no request {one.score.span_id} in the trace {one.score.trace_id}."
                " None of these labels was stored."
            )
    new = write_scores(connection, project_id, [one.score for one in given])
    _answer(connection, project_id, given, now)
    audit.note(connection, project_id, who, "label.import", labels=len(given), new=new)
    return new


def _known(connection: Connection, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        rows = connection.execute(
            select(_R.trace_id, _R.span_id).where(tuple_(_R.trace_id, _R.span_id).in_(some))
        )
        found |= {(row.trace_id, row.span_id) for row in rows}
    return found


def _answer(connection: Connection, project_id: int, given: Sequence[Given], now: datetime) -> None:
    """Note as labelled what a rater labelled on every dimension of its rubric."""
    said: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for one in given:
        key = (one.score.trace_id, one.score.span_id or "", one.rubric, one.score.author or "")
        said[key].add(one.dimension)
    asked = {one.id: one.rubric for one in list_rubrics(connection) if one.id is not None}
    ids = sorted({key[:3] for key in said})
    turns = []
    for at in range(0, len(ids), _AT_ONCE):
        rows = connection.execute(
            select(_V.id, _V.trace_id, _V.span_id, _V.rubric_name, _V.rubric_id).where(
                tuple_(_V.trace_id, _V.span_id, _V.rubric_name).in_(ids[at : at + _AT_ONCE])
            )
        ).all()
        here = {(row.trace_id, row.span_id, row.rubric_name): row for row in rows}
        turns += [
            (here[key[:3]].id, key[3])
            for key, dimensions in said.items()
            if key[:3] in here
            and here[key[:3]].rubric_id in asked
            and {one.name for one in asked[here[key[:3]].rubric_id].dimensions} <= dimensions
        ]
    if not turns:
        return
    values = [
        dict(project_id=project_id, review_id=id, rater=rater, outcome="labelled", leased_until=now, at=now)
        for id, rater in turns
    ]
    connection.execute(
        insert(review_turn).on_conflict_do_update(
            index_elements=["review_id", "rater"], set_={"outcome": "labelled", "at": now}
        ),
        values,
    )
    close(connection, sorted({id for id, _ in turns}))


def read_rated(
    connection: Connection, window: Window, name: str | None = None, *, asked: bool = False
) -> list[Rated]:
    """What the judge and the first two people say of the labelled requests of a window that were drawn for people, or
    with `asked` of those too that were picked by hand or labelled elsewhere."""
    best = judged_by_name(window, name)
    rater = [_S.trace_id, _S.span_id, _S.name, _S.author_key]
    newest = (
        select(*rater, _S.value, func.min(_S.recorded_at).over(partition_by=rater).label("began"))
        .where(
            _S.source == "label",
            _S.span_id.is_not(None),
            *([_S.name == name] if name else []),
            *([] if window.start is None else [_S.day >= window.start.date() - timedelta(days=1)]),
        )
        .ext(distinct_on(*rater))
        .order_by(*rater, _S.recorded_at.desc(), _S.received_at.desc(), _S.id.desc())
        .cte("newest_label")
    )
    of = newest.c
    on = [of.trace_id, of.span_id, of.name]
    # Who came first stays first, also where he changed his mind later.
    in_turn = aggregate_order_by(of.value, of.began, of.author_key)
    statement = select(*on, func.array_agg(in_turn).label("people")).group_by(*on).limit(JUDGED_MAX + 1)
    people = {(row.trace_id, row.span_id, row.name): row.people for row in connection.execute(statement)}
    drawn = {
        (row.trace_id, row.span_id, row.rubric_name)
        for row in connection.execute(
            select(_V.trace_id, _V.span_id, _V.rubric_name).where(_V.purpose == "drawn").limit(JUDGED_MAX)
        )
    }
    if len(people) > JUDGED_MAX:
        raise BadQuestion(
            f"More than {JUDGED_MAX} labelled requests pass. Ask for a shorter time or one name."
        )
    best = judged_by_name(window, name)
    judged = select(best.c.trace_id, best.c.span_id, best.c.name, best.c.rubric_name, best.c.value)
    found = []
    # The bootstrap draws rows by their place, so they have one.
    for row in connection.execute(judged.order_by(best.c.name, best.c.trace_id, best.c.span_id)):
        said = people.get((row.trace_id, row.span_id, row.name))
        if said and (asked or (row.trace_id, row.span_id, row.rubric_name) in drawn):
            found.append(Rated(row.name, row.value, said[0], said[1] if len(said) > 1 else None))
    return found


def _given_in(window: Window) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if window.start is not None:
        found += [_S.recorded_at >= window.start, _S.day >= window.start.date()]
    if window.end is not None:
        found += [_S.recorded_at < window.end, _S.day <= window.end.date()]
    return found
