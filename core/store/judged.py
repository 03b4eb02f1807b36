"""Judged requests as an investigation reads them: one row a request, with its final score on a dimension."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from core.judging.investigation import Scored
from core.store.watches import Watched

_VALUES = ("feature", "tier", "model", "release", "tenant", "plan")

# The strong judge's answer where it was asked again, else the mean of the repeats; one row a request.
_SCORED = """
SELECT k.trace_id, k.span_id, k.started_at, k.chance, s.value, s.reason, s.judged_at,
    r.feature, r.tier, r.model, r.release, r.tenant, r.plan
FROM (
    SELECT DISTINCT ON (j.started_at, j.trace_id, j.span_id)
        j.project_id, j.trace_id, j.span_id, j.day, j.started_at, j.chance, j.rubric_id, j.policy_id
    FROM judging j {joined}
    WHERE {where} AND j.state = 'scored' AND j.purpose IN ('sample', 'escalated')
    ORDER BY j.started_at {direction}, j.trace_id {direction}, j.span_id {direction}, j.id
    LIMIT :most
) k
JOIN LATERAL (
    SELECT coalesce(
            avg((o.scores->>:dimension)::float) FILTER (WHERE o.purpose = 'escalated'),
            avg((o.scores->>:dimension)::float) FILTER (WHERE o.purpose = 'sample')
        ) AS value,
        (array_agg(o.said->>:dimension ORDER BY o.purpose = 'escalated' DESC, o.repeat))[1] AS reason,
        max(o.done_at) AS judged_at
    FROM judging o
    WHERE o.project_id = k.project_id AND o.trace_id = k.trace_id AND o.span_id = k.span_id AND o.day = k.day
        AND o.rubric_id = k.rubric_id AND o.policy_id IS NOT DISTINCT FROM k.policy_id AND o.state = 'scored'
        AND o.purpose IN ('sample', 'escalated')
) s ON s.value IS NOT NULL
LEFT JOIN LATERAL (
    SELECT q.feature, q.tier, coalesce(q.response_model, q.request_model) AS model, q.release, q.tenant, q.plan
    FROM request q WHERE q.trace_id = k.trace_id AND q.span_id = k.span_id AND q.day = k.day LIMIT 1
) r ON true
ORDER BY k.started_at, k.trace_id, k.span_id
"""
_HISTORY = text(
    _SCORED.format(joined="", where="j.stream_id = :stream AND j.watched_at > :since", direction="DESC")
)
_JUDGES = "LEFT JOIN judge_policy p ON p.id = j.policy_id JOIN stream w ON w.id = :stream"
_SAME = (
    "j.rubric_id = w.rubric_id AND coalesce(p.judge_id, j.judge_id) IS NOT DISTINCT FROM w.judge_id"
    " AND p.strong_judge_id IS NOT DISTINCT FROM w.strong_judge_id"
)
_BEFORE = text(
    _SCORED.format(
        joined=_JUDGES,
        where=f"{_SAME} AND j.started_at >= :start AND j.started_at < :cut",
        direction="DESC",
    )
)
_AFTER = text(
    _SCORED.format(
        joined=_JUDGES, where=f"{_SAME} AND j.started_at >= :cut AND j.started_at <= :end", direction="ASC"
    )
)


def history(connection: Connection, watch: Watched, most: int) -> list[Scored]:
    """The newest scores that this watch was fed since its reference began, in order of time."""
    named = {
        "stream": watch.stream_id,
        "dimension": watch.dimension,
        "since": watch.since or "-infinity",
        "most": most,
    }
    return [_scored(row) for row in connection.execute(_HISTORY, named)]


def around(
    connection: Connection, watch: Watched, start: datetime, cut: datetime, end: datetime, most: int
) -> tuple[list[Scored], list[Scored]]:
    """All that the same judges scored by the same rubric, in any stream: up to `most` before the cut, the latest, and
    as many from it on, the earliest; each with the chance it was drawn with."""
    named = {
        "stream": watch.stream_id,
        "dimension": watch.dimension,
        "start": start,
        "cut": cut,
        "end": end,
        "most": most,
    }
    before, after = (
        [_scored(row) for row in connection.execute(statement, named)] for statement in (_BEFORE, _AFTER)
    )
    return before, after


def _scored(row: Any) -> Scored:
    return Scored(
        trace_id=row.trace_id,
        span_id=row.span_id,
        started_at=row.started_at,
        score=min(1.0, max(0.0, float(row.value))),
        chance=row.chance,
        reason=row.reason,
        values={name: getattr(row, name) for name in _VALUES},
        judged_at=row.judged_at,
    )
