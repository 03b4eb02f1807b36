"""Streams of judged requests and their watches: what no watch has seen yet, and where each watch stands.

A judgement that was seen is marked in the row itself, in the transaction that moves the watches on. A cursor over
`done_at` would be smaller, but rows become visible in the order of their commits, not of their times, and one that
commits late would be passed over for ever. Rows are fed in order of (started_at, id) among those that wait; one that is
scored after younger ones is fed when it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, text

from core.stats.stream import Stream, Terms, stream_from_json, stream_to_json
from core.store import drift_tables
from core.store.locks import Lock, wait_or_take

STREAMS_MAX = 2000
"""Streams of one project; judgements of further ones are counted and not watched."""


Place = tuple[int, int | None, int | None, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One request's final scores under a rubric: the strong judge's where it was asked again, the mean of repeats.

    `place` is the stream: rubric, judge, strong judge, feature, tier, model. `rows` are the judgements that are seen
    with it; `scores` is empty where it must not be fed: it was already, or its request is gone.
    """

    place: Place
    rows: tuple[int, ...]
    trace_id: str
    span_id: str
    started_at: datetime
    chance: float
    round_id: int | None
    stratum: str | None
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Source:
    """A stream's row: the strata of its requests so far, and the least chance of those without any."""

    id: int
    strata: tuple[str, ...]
    least: float


@dataclass(frozen=True, slots=True)
class Watched:
    """One watch as a reader sees it."""

    id: int
    stream_id: int
    rubric_id: int
    judge_id: int | None
    strong_judge_id: int | None
    rubric: str
    version: str
    title: str
    judge: str | None
    strong_judge: str | None
    feature: str | None
    tier: str | None
    model: str | None
    dimension: str
    since: datetime | None
    updated_at: datetime
    state: Stream

    @property
    def score_name(self) -> str:
        """How scores on the dimension are called elsewhere."""
        return self.rubric if self.dimension == self.rubric else f"{self.rubric}.{self.dimension}"


def terms_of(connection: Connection) -> Terms:
    """What the entered project asks of its watches."""
    row = connection.execute(select(drift_tables.drift_setting)).one_or_none()
    return Terms(row.alpha, row.reference, row.least_effect, row.run_length) if row else Terms()


def set_terms(connection: Connection, project_id: int, terms: Terms) -> None:
    """Ask something else of the watches; those that have a reference keep its terms until they learn another."""
    connection.execute(
        text("""
            INSERT INTO drift_setting (project_id, alpha, reference, least_effect, run_length)
            VALUES (:project, :alpha, :reference, :least_effect, :run_length)
            ON CONFLICT (project_id) DO UPDATE SET alpha = EXCLUDED.alpha, reference = EXCLUDED.reference,
                least_effect = EXCLUDED.least_effect, run_length = EXCLUDED.run_length
        """),
        {
            "project": project_id,
            "alpha": terms.alpha,
            "reference": terms.reference,
            "least_effect": terms.least_effect,
            "run_length": terms.run_length,
        },
    )


def lock(connection: Connection, project_id: int, *, wait: bool = False) -> bool:
    """True where nobody else moves this project's watches on, until the transaction ends."""
    return wait_or_take(connection, Lock.WATCH, project_id, wait)


# A request is ready when no judgement of it is owed any more: repeats and the strong judge's answer are awaited.
_READY = text("""
WITH ready AS (
    SELECT trace_id, span_id, day, rubric_id, policy_id
    FROM judging j
    WHERE state = 'scored' AND watched_at IS NULL AND purpose IN ('sample', 'escalated')
        AND NOT EXISTS (
            SELECT 1 FROM judging o
            WHERE o.project_id = j.project_id AND o.trace_id = j.trace_id AND o.span_id = j.span_id
                AND o.day = j.day AND o.rubric_id = j.rubric_id AND o.policy_id IS NOT DISTINCT FROM j.policy_id
                AND o.purpose IN ('sample', 'escalated') AND o.state IN ('waiting', 'asked')
        )
    ORDER BY started_at, id
    LIMIT :most
), wanted AS (SELECT DISTINCT * FROM ready)
SELECT j.id, j.trace_id, j.span_id, j.day, j.started_at, j.purpose, j.rubric_id, j.policy_id, j.chance, j.round_id,
    j.stratum, j.scores, j.watched_at, coalesce(p.judge_id, j.judge_id) AS judge_id, p.strong_judge_id,
    r.feature, r.tier, r.model, r.day IS NOT NULL AS known
FROM wanted w
JOIN judging j ON j.trace_id = w.trace_id AND j.span_id = w.span_id AND j.day = w.day
    AND j.rubric_id = w.rubric_id AND j.policy_id IS NOT DISTINCT FROM w.policy_id
LEFT JOIN judge_policy p ON p.id = j.policy_id
LEFT JOIN LATERAL (
    SELECT q.day, q.feature, q.tier, coalesce(q.response_model, q.request_model) AS model
    FROM request q WHERE q.trace_id = j.trace_id AND q.span_id = j.span_id AND q.day = j.day LIMIT 1
) r ON true
WHERE j.purpose IN ('sample', 'escalated') AND j.state = 'scored'
ORDER BY j.started_at, j.id
""")


def unwatched(connection: Connection, most: int) -> list[Judged]:
    """Up to `most` judgements' requests that no watch has seen and that nothing is owed for any more, in order of
    (started_at, id)."""
    found: dict[tuple[str, str, date, int, int | None], list[Any]] = {}
    for row in connection.execute(_READY, {"most": most}):
        key = (row.trace_id, row.span_id, row.day, row.rubric_id, row.policy_id)
        found.setdefault(key, []).append(row)
    return [_judged(rows) for rows in found.values()]


def _judged(rows: Sequence[Any]) -> Judged:
    first = next((row for row in rows if row.purpose == "sample"), rows[0])
    strong = [row for row in rows if row.purpose == "escalated"]
    seen = any(row.watched_at is not None for row in rows)
    return Judged(
        place=(
            first.rubric_id,
            first.judge_id,
            first.strong_judge_id,
            first.feature,
            first.tier,
            first.model,
        ),
        rows=tuple(row.id for row in rows if row.watched_at is None),
        trace_id=first.trace_id,
        span_id=first.span_id,
        started_at=first.started_at,
        chance=first.chance,
        round_id=first.round_id,
        stratum=first.stratum,
        scores={} if seen or not first.known else _means([row.scores or {} for row in strong or rows]),
    )


def _means(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Dimension → the mean over the repeats that have it."""
    names = dict.fromkeys(name for one in scores for name in one)
    means = {}
    for name in names:
        given = [float(one[name]) for one in scores if isinstance(one.get(name), int | float)]
        if given:
            means[name] = min(1.0, max(0.0, sum(given) / len(given)))
    return means


def chances(connection: Connection, rounds: Collection[int]) -> dict[int, tuple[float, dict[str, float]]]:
    """Round → the chance of whatever is in no stratum, and of each stratum."""
    found: dict[int, tuple[float, dict[str, float]]] = {}
    statement = text("""
        SELECT r.id, r.base, s.key, s.chance FROM judge_round r LEFT JOIN judge_stratum s ON s.round_id = r.id
        WHERE r.id = ANY(:rounds)
    """)
    for row in connection.execute(statement, {"rounds": list(rounds)}):
        strata = found.setdefault(row.id, (row.base, {}))[1]
        if row.key is not None:
            strata[row.key] = row.chance
    return found


_PLACES = """
SELECT * FROM unnest(
    CAST(:rubric AS bigint[]), CAST(:judge AS bigint[]), CAST(:strong AS bigint[]),
    CAST(:feature AS text[]), CAST(:tier AS text[]), CAST(:model AS text[])
) AS p (rubric_id, judge_id, strong_judge_id, feature, tier, model)
"""
_ADD_STREAMS = text(f"""
INSERT INTO stream (project_id, rubric_id, judge_id, strong_judge_id, feature, tier, model)
SELECT :project, p.* FROM ({_PLACES}) p
WHERE NOT EXISTS (
    SELECT 1 FROM stream s
    WHERE s.rubric_id = p.rubric_id AND s.judge_id IS NOT DISTINCT FROM p.judge_id
        AND s.strong_judge_id IS NOT DISTINCT FROM p.strong_judge_id AND s.feature IS NOT DISTINCT FROM p.feature
        AND s.tier IS NOT DISTINCT FROM p.tier AND s.model IS NOT DISTINCT FROM p.model
)
LIMIT greatest(0, :most - (SELECT count(*) FROM stream))
ON CONFLICT DO NOTHING
""")
_STREAMS = text(f"""
SELECT s.* FROM ({_PLACES}) p
JOIN stream s ON s.rubric_id = p.rubric_id AND s.judge_id IS NOT DISTINCT FROM p.judge_id
    AND s.strong_judge_id IS NOT DISTINCT FROM p.strong_judge_id AND s.feature IS NOT DISTINCT FROM p.feature
    AND s.tier IS NOT DISTINCT FROM p.tier AND s.model IS NOT DISTINCT FROM p.model
ORDER BY s.id FOR UPDATE OF s
""")


def sources(connection: Connection, project_id: int, places: Sequence[Place]) -> dict[Place, Source]:
    """The streams at these places, made where there are none; a place beyond `STREAMS_MAX` has none."""
    columns = zip(*dict.fromkeys(places), strict=True)
    named = dict(
        zip(("rubric", "judge", "strong", "feature", "tier", "model"), map(list, columns), strict=True)
    )
    connection.execute(_ADD_STREAMS, {"project": project_id, "most": STREAMS_MAX, **named})
    return {
        (row.rubric_id, row.judge_id, row.strong_judge_id, row.feature, row.tier, row.model): Source(
            row.id, tuple(row.strata), row.least
        )
        for row in connection.execute(_STREAMS, named)
    }


def states(connection: Connection, stream_ids: Collection[int]) -> dict[tuple[int, str], Stream]:
    """Stream and dimension → where its watch stands, locked until the transaction ends."""
    rows = connection.execute(
        text(
            "SELECT stream_id, dimension, state FROM watch WHERE stream_id = ANY(:ids) ORDER BY id FOR UPDATE"
        ),
        {"ids": list(stream_ids)},
    )
    return {(row.stream_id, row.dimension): stream_from_json(row.state) for row in rows}


def save(
    connection: Connection,
    project_id: int,
    now: datetime,
    moved: Mapping[tuple[int, str], Stream],
    learnt: Sequence[Source],
    seen: Mapping[int, int | None],
    left_out: int,
) -> None:
    """Store where watches stand now, the strata that their streams have learnt of, and which judgements were seen,
    each with the stream that it counted in."""
    if moved:
        connection.execute(
            text("""
                INSERT INTO watch (project_id, stream_id, dimension, state, evidence, updated_at)
                VALUES (:project, :stream, :dimension, CAST(:state AS jsonb), :evidence, :now)
                ON CONFLICT (stream_id, dimension) DO UPDATE
                SET state = EXCLUDED.state, evidence = EXCLUDED.evidence, updated_at = EXCLUDED.updated_at
            """),
            [
                {
                    "project": project_id,
                    "stream": at,
                    "dimension": name,
                    "state": _json(state),
                    "evidence": state.evidence,
                    "now": now,
                }
                for (at, name), state in moved.items()
            ],
        )
    if learnt:
        connection.execute(
            text("UPDATE stream SET strata = CAST(:strata AS jsonb), least = :least WHERE id = :id"),
            [{"id": one.id, "strata": _json(list(one.strata)), "least": one.least} for one in learnt],
        )
    connection.execute(
        text("""
            UPDATE judging j SET watched_at = :now, stream_id = s.stream_id
            FROM unnest(CAST(:ids AS bigint[]), CAST(:streams AS bigint[])) AS s (id, stream_id) WHERE j.id = s.id
        """),
        {"now": now, "ids": list(seen), "streams": list(seen.values())},
    )
    if left_out:
        connection.execute(
            text("""
                INSERT INTO drift_setting (project_id, left_out) VALUES (:project, :n)
                ON CONFLICT (project_id) DO UPDATE SET left_out = drift_setting.left_out + EXCLUDED.left_out
            """),
            {"project": project_id, "n": left_out},
        )


def _json(value: Any) -> str:
    return orjson.dumps(stream_to_json(value) if isinstance(value, Stream) else value).decode()


_WATCHED = """
SELECT w.id, w.stream_id, w.dimension, nullif(w.since, '-infinity') AS since, w.updated_at, w.state, s.rubric_id,
    s.judge_id, s.strong_judge_id, s.feature, s.tier, s.model, r.name AS rubric, r.version, r.body->>'title' AS title,
    j.name AS judge, b.name AS strong_judge
FROM watch w
JOIN stream s ON s.id = w.stream_id
JOIN rubric r ON r.id = s.rubric_id
LEFT JOIN judge j ON j.id = s.judge_id
LEFT JOIN judge b ON b.id = s.strong_judge_id
"""


def watched(
    connection: Connection, ids: Collection[int] | None = None, limit: int | None = None
) -> list[Watched]:
    """The watches of the entered project, or those of `ids`: the most evidence first, then by rubric, dimension,
    feature, tier and model."""
    where = "" if ids is None else "WHERE w.id = ANY(:ids)"
    order = (
        "ORDER BY w.evidence DESC NULLS LAST, r.name, w.dimension, s.feature NULLS LAST, s.tier NULLS LAST,"
        " s.model NULLS LAST, w.id"
    )
    named = {"ids": list(ids) if ids is not None else [], "limit": limit}
    rows = connection.execute(text(f"{_WATCHED} {where} {order} LIMIT CAST(:limit AS integer)"), named)
    return [
        Watched(
            id=row.id,
            stream_id=row.stream_id,
            rubric_id=row.rubric_id,
            judge_id=row.judge_id,
            strong_judge_id=row.strong_judge_id,
            rubric=row.rubric,
            version=row.version,
            title=row.title or row.rubric,
            judge=row.judge,
            strong_judge=row.strong_judge,
            feature=row.feature,
            tier=row.tier,
            model=row.model,
            dimension=row.dimension,
            since=row.since,
            updated_at=row.updated_at,
            state=stream_from_json(row.state),
        )
        for row in rows
    ]


def evidence(connection: Connection) -> dict[int, float]:
    """Watch → its e-value, of all of the entered project that have a reference."""
    rows = connection.execute(text("SELECT id, evidence FROM watch WHERE evidence IS NOT NULL"))
    return {row.id: row.evidence for row in rows}


def left_out(connection: Connection) -> int:
    """Judgements that no watch saw, since their streams were too many."""
    return int(connection.execute(text("SELECT coalesce(max(left_out), 0) FROM drift_setting")).scalar_one())


def renew(connection: Connection, watch_id: int, now: datetime) -> None:
    """Let a watch learn a new reference from the scores that come from now on."""
    connection.execute(
        text(
            "UPDATE watch SET state = '{}', evidence = NULL, since = :now, updated_at = :now WHERE id = :id"
        ),
        {"id": watch_id, "now": now},
    )
