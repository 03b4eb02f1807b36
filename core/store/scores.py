"""Scores: written by `append` like all that comes in, read here by their trace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from core.score import Score, ScoreList
from core.store.intake import Batch, append
from core.store.tables import score, user_name

_S = score.c
# A trace shows so many at most.
SCORES_MAX = 1000


def store_scores(engine: Engine, project_id: int, scores: Sequence[Score]) -> int:
    """Write all of them or, where this raises, none; returns how many are new."""
    return append(engine, [Batch(project_id, (), scores=scores)]) if scores else 0


def write_scores(connection: Connection, project_id: int, scores: Sequence[Score]) -> int:
    """Write scores in the entered project's own transaction; those of a known trace and id are left as they are. Their
    days must have partitions (`ensure_days`). Returns how many are new."""
    names = {one.author for one in scores if one.author}
    return insert_scores(connection, project_id, scores, author_keys(connection, project_id, names))


def author_keys(connection: Connection, project_id: int, names: Collection[str]) -> dict[str, int]:
    """The keys under which these names stand beside scores, made where they are new."""
    if not names:
        return {}
    given = [dict(project_id=project_id, name=name) for name in sorted(names)]
    connection.execute(insert(user_name).on_conflict_do_nothing(), given)
    known = connection.execute(select(user_name.c.name, user_name.c.key).where(user_name.c.name.in_(names)))
    return {row.name: row.key for row in known}


def insert_scores(
    connection: Connection, project_id: int, scores: Sequence[Score], keys: Mapping[str, int]
) -> int:
    """`write_scores` where the keys of the authors are known."""
    if not scores:
        return 0
    rows = [
        dict(
            project_id=project_id,
            day=one.recorded_at.date(),
            trace_id=one.trace_id,
            span_id=one.span_id,
            id=one.id,
            name=one.name,
            value=one.value,
            label=one.label,
            source=one.source,
            author_key=keys.get(one.author or ""),
            comment=one.comment,
            recorded_at=one.recorded_at,
        )
        for one in scores
    ]
    made = connection.execute(insert(score).on_conflict_do_nothing().returning(_S.id), rows)
    return len(made.all())


def find_scores(connection: Connection, trace_id: str, span_id: str | None = None) -> ScoreList:
    """The scores of a trace of the entered project, or of one of its spans, newest first."""
    statement = (
        select(score, user_name.c.name.label("author"))
        .outerjoin(user_name, user_name.c.key == _S.author_key)
        .where(_S.trace_id == trace_id)
        .order_by(_S.recorded_at.desc(), _S.received_at.desc(), _S.id)
        .limit(SCORES_MAX + 1)
    )
    if span_id is not None:
        statement = statement.where(_S.span_id == span_id)
    rows = connection.execute(statement).all()
    found = [
        Score(
            trace_id=row.trace_id,
            span_id=row.span_id,
            name=row.name,
            value=row.value,
            recorded_at=row.recorded_at,
            id=row.id,
            source=row.source,
            label=row.label,
            author=row.author,
            comment=row.comment,
        )
        for row in rows[:SCORES_MAX]
    ]
    return ScoreList(found, len(rows) <= SCORES_MAX)
