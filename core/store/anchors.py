"""Anchors: labelled answers that are frozen and judged again on schedule, and the watch over their scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import orjson
import zstandard
from sqlalchemy import Connection, text, update

from core.errors import BadQuestion, NotFound
from core.judging.material import Material, material_of, missing
from core.judging.rubric import Rubric, rubric_from_json
from core.judging.storable import made_storable
from core.stats.anchors import AnchorWatch, anchors_from_json, anchors_to_json
from core.stats.verdict import ANCHORS_MIN
from core.store import audit
from core.store.drift_tables import anchor_set
from core.store.judging import REFERENCE_TAG

Every = Literal["hour", "day"]
ITEMS_MAX = 500
_LABELLED_MAX = 5000
_CONTENT_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Anchors:
    """A set of frozen answers for one version of a rubric; `judged` is how often any of them was judged, `last_at` the
    newest time."""

    id: int
    name: str
    rubric_id: int
    rubric: str
    version: str
    every: Every
    size: int
    created_at: datetime
    created_by: str
    retired_at: datetime | None
    judged: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """An answer that may become an anchor: what is shown to the judge, and its mean label by dimension."""

    trace_id: str
    span_id: str
    day: date
    started_at: datetime
    material: Material
    labels: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A judgement of an anchor that no watch has seen. `set_id` is None where its set is retired, `first` where this is
    the first time that the judge scored it."""

    id: int
    set_id: int | None
    size: int
    judge_id: int
    place: int
    scores: Mapping[str, float]
    first: Mapping[str, float] | None
    done_at: datetime


@dataclass(frozen=True, slots=True)
class Judging:
    """One judge's watch on one dimension of a set."""

    id: int
    set_id: int
    set_name: str
    rubric: str
    judge_id: int
    judge: str
    dimension: str
    alpha: float
    updated_at: datetime
    state: AnchorWatch

    @property
    def score_name(self) -> str:
        """How scores on the dimension are called elsewhere."""
        return self.rubric if self.dimension == self.rubric else f"{self.rubric}.{self.dimension}"

    @property
    def alarms(self) -> bool:
        """Whether the judge has moved."""
        return self.state.alarms(self.alpha)


# The newest label of each author counts, as everywhere; a request's is their mean.
_LABELLED = text("""
WITH newest AS (
    SELECT DISTINCT ON (trace_id, span_id, name, author_key) trace_id, span_id, name, value, recorded_at
    FROM score WHERE source = 'label' AND span_id IS NOT NULL AND name = ANY(:names)
    ORDER BY trace_id, span_id, name, author_key, recorded_at DESC, received_at DESC, id DESC
), means AS (
    SELECT trace_id, span_id, name, avg(value) AS value, max(recorded_at) AS at
    FROM newest GROUP BY trace_id, span_id, name
), labelled AS (
    SELECT trace_id, span_id, jsonb_object_agg(name, value) AS labels, max(at) AS at
    FROM means GROUP BY trace_id, span_id ORDER BY max(at) DESC, trace_id, span_id LIMIT :labelled
)
SELECT l.trace_id, l.span_id, l.labels, r.day, r.started_at, c.body, r.tags->>CAST(:reference AS text) AS reference
FROM labelled l
JOIN request r ON r.trace_id = l.trace_id AND r.span_id = l.span_id AND r.counted
JOIN content c ON c.trace_id = r.trace_id AND c.span_id = r.span_id AND c.day = r.day
ORDER BY l.at DESC, l.trace_id, l.span_id
""")


def labelled(connection: Connection, rubric: Rubric, most: int) -> list[Frozen]:
    """Up to `most` labelled answers whose text is stored and has all that the rubric needs, the last labelled first."""
    names = {rubric.score_name(one.name): one.name for one in rubric.dimensions}
    rows = connection.execute(
        _LABELLED.execution_options(yield_per=50),
        {"names": list(names), "labelled": _LABELLED_MAX, "reference": REFERENCE_TAG},
    )
    reader, room, found = zstandard.ZstdDecompressor(), _CONTENT_MAX, list[Frozen]()
    for row in rows:
        room -= zstandard.frame_content_size(row.body)
        if len(found) == most or room < 0:
            break
        body = orjson.loads(reader.decompress(row.body))
        material = material_of(body.get("input"), body.get("output"), row.reference)
        if missing(material, rubric) is None:
            labels = {names[name]: float(value) for name, value in row.labels.items()}
            found.append(Frozen(row.trace_id, row.span_id, row.day, row.started_at, material, labels))
    rows.close()
    return found


def freeze(
    connection: Connection,
    project_id: int,
    name: str,
    rubric_id: int,
    items: Sequence[Frozen],
    every: Every,
    who: str,
    now: datetime,
) -> int:
    """A new set of these answers, in place of the one before of the same rubric version."""
    if not 0 < len(name.strip()) <= 100 or "\0" in name:
        raise BadQuestion("name says what the set is, in up to 100 characters.")
    if len(items) < ANCHORS_MIN:
        raise BadQuestion(
            f"Only {len(items)} labelled answers with stored text are there for this rubric; a set needs"
            f" {ANCHORS_MIN} at least. Label more first."
        )
    connection.execute(
        update(anchor_set)
        .where(anchor_set.c.rubric_id == rubric_id, anchor_set.c.retired_at.is_(None))
        .values(retired_at=now)
    )
    number = int(
        connection.execute(
            anchor_set.insert()
            .values(
                project_id=project_id,
                rubric_id=rubric_id,
                name=name.strip(),
                every=every,
                size=len(items),
                created_at=now,
                created_by=who,
            )
            .returning(anchor_set.c.id)
        ).scalar_one()
    )
    connection.execute(
        text("""
            INSERT INTO anchor_item (project_id, set_id, place, trace_id, span_id, day, started_at, material, labels)
            VALUES (:project, :set, :place, :trace, :span, :day, :started, CAST(:material AS jsonb),
                CAST(:labels AS jsonb))
        """),
        [
            {
                "project": project_id,
                "set": number,
                "place": place,
                "trace": one.trace_id,
                "span": one.span_id,
                "day": one.day,
                "started": one.started_at,
                "material": _json(
                    {name: said and made_storable(said) for name, said in asdict(one.material).items()}
                ),
                "labels": _json(one.labels),
            }
            for place, one in enumerate(items)
        ],
    )
    audit.note(connection, project_id, who, "anchors.freeze", name.strip(), size=len(items))
    return number


def rubric_by_name(connection: Connection, name: str) -> tuple[int, Rubric]:
    """The version of a rubric that is judged by now, else its newest; `NotFound` where the project has none."""
    row = connection.execute(
        text("""
            SELECT r.id, r.body FROM rubric r
            LEFT JOIN judge_policy p ON p.rubric_id = r.id AND p.ended_at IS NULL
            WHERE r.name = :name ORDER BY p.id IS NULL, r.id DESC LIMIT 1
        """),
        {"name": name},
    ).one_or_none()
    if row is None:
        raise NotFound(f"No rubric {name[:60]!r} is in use here. Start judging by it first.")
    return row.id, rubric_from_json(row.body)


_SETS = """
SELECT s.*, r.name AS rubric, r.version, coalesce(j.judged, 0) AS judged, j.last_at
FROM anchor_set s
JOIN rubric r ON r.id = s.rubric_id
LEFT JOIN LATERAL (
    SELECT count(*) AS judged, max(g.done_at) AS last_at
    FROM anchor_item i
    JOIN judging g ON g.project_id = i.project_id AND g.trace_id = i.trace_id AND g.span_id = i.span_id
        AND g.day = i.day AND g.rubric_id = s.rubric_id AND g.purpose = 'anchor' AND g.state = 'scored'
    WHERE i.set_id = s.id
) j ON true
"""


def sets(connection: Connection, ids: Collection[int] | None = None) -> list[Anchors]:
    """The newest hundred sets of the entered project, or those of `ids`, newest first."""
    where = "" if ids is None else "WHERE s.id = ANY(:ids)"
    rows = connection.execute(
        text(f"{_SETS} {where} ORDER BY s.id DESC LIMIT 100"), {"ids": list(ids)} if ids is not None else {}
    )
    names = Anchors.__dataclass_fields__
    return [Anchors(**{name: getattr(row, name) for name in names}) for row in rows]


def one_set(connection: Connection, set_id: int) -> Anchors:
    """One set of the entered project."""
    found = sets(connection, [set_id])
    if not found:
        raise NotFound(f"There is no set of anchors {set_id} in this project.")
    return found[0]


def retire(connection: Connection, project_id: int, set_id: int, who: str, now: datetime) -> None:
    """Judge a set no more; what was judged stays."""
    found = one_set(connection, set_id)
    connection.execute(
        update(anchor_set)
        .where(anchor_set.c.id == set_id, anchor_set.c.retired_at.is_(None))
        .values(retired_at=now)
    )
    audit.note(connection, project_id, who, "anchors.retire", found.name)


# Before all requests, however many wait: they are few, and whoever looks at an alarm waits for them.
_TURN = 1.0

# Every judge of the policies in force for the set's rubric. Where one still owes the last round's answers it gets no
# further one for these: what is not paid for must not pile up.
_SCHEDULE = text("""
INSERT INTO judging (project_id, rubric_id, judge_id, purpose, occasion, day, trace_id, span_id, started_at, chance,
    turn, material, not_before)
SELECT i.project_id, s.rubric_id, b.judge_id, 'anchor',
    coalesce(CAST(:occasion AS text), to_char(CAST(:now AS timestamptz) AT TIME ZONE 'UTC',
        CASE s.every WHEN 'hour' THEN 'YYYY-MM-DD"T"HH24' ELSE 'YYYY-MM-DD' END)),
    i.day, i.trace_id, i.span_id, i.started_at, 1, :turn + i.place / 1e6, i.material, :now
FROM anchor_set s
JOIN anchor_item i ON i.set_id = s.id
JOIN (
    SELECT DISTINCT p.rubric_id, j.judge_id
    FROM judge_policy p CROSS JOIN LATERAL (VALUES (p.judge_id), (p.strong_judge_id)) AS j (judge_id)
    WHERE p.ended_at IS NULL AND j.judge_id IS NOT NULL
) b ON b.rubric_id = s.rubric_id
WHERE s.retired_at IS NULL AND (CAST(:set AS bigint) IS NULL OR s.id = :set)
    AND (CAST(:rubric AS bigint) IS NULL OR s.rubric_id = :rubric)
    AND NOT EXISTS (
        SELECT 1 FROM judging o
        WHERE o.project_id = i.project_id AND o.trace_id = i.trace_id AND o.span_id = i.span_id AND o.day = i.day
            AND o.rubric_id = s.rubric_id AND o.judge_id = b.judge_id AND o.purpose = 'anchor'
            AND o.state IN ('waiting', 'asked')
    )
ON CONFLICT DO NOTHING
""")


def schedule(
    connection: Connection,
    now: datetime,
    set_id: int | None = None,
    occasion: str | None = None,
    rubric_id: int | None = None,
) -> int:
    """Owe a judgement of each anchor by each live judge, once a day or hour of UTC (or `occasion`), of all sets, one,
    or those of a rubric version; returns how many are new."""
    done = connection.execute(
        _SCHEDULE,
        {
            "now": now,
            "turn": _TURN,
            "set": set_id,
            "occasion": occasion,
            "rubric": rubric_id,
        },
    )
    return done.rowcount


_REJUDGED = text("""
SELECT j.id, i.set_id, coalesce(s.size, 0) AS size, j.judge_id, coalesce(i.place, 0) AS place, j.scores,
    j.done_at, f.scores AS first
FROM (
    SELECT * FROM judging
    WHERE state = 'scored' AND watched_at IS NULL AND purpose = 'anchor'
    ORDER BY started_at, id LIMIT :most
) j
LEFT JOIN anchor_set s ON s.rubric_id = j.rubric_id AND s.retired_at IS NULL
LEFT JOIN anchor_item i ON i.set_id = s.id AND i.trace_id = j.trace_id AND i.span_id = j.span_id AND i.day = j.day
LEFT JOIN anchor_reference f ON f.set_id = s.id AND f.judge_id = j.judge_id AND f.place = i.place
ORDER BY j.done_at, j.id
""")


def rejudged(connection: Connection, most: int) -> list[Rejudged]:
    """Up to `most` judgements of anchors that no watch has seen, in order of (done_at, id)."""
    return [
        Rejudged(
            row.id, row.set_id, row.size, row.judge_id, row.place, row.scores or {}, row.first, row.done_at
        )
        for row in connection.execute(_REJUDGED, {"most": most})
    ]


def states(connection: Connection, set_ids: Collection[int]) -> dict[tuple[int, int, str], AnchorWatch]:
    """Set, judge and dimension → where the watch stands, locked until the transaction ends."""
    rows = connection.execute(
        text("SELECT * FROM anchor_watch WHERE set_id = ANY(:ids) ORDER BY id FOR UPDATE"),
        {"ids": list(set_ids)},
    )
    return {(row.set_id, row.judge_id, row.dimension): anchors_from_json(row.state) for row in rows}


def save(
    connection: Connection,
    project_id: int,
    now: datetime,
    first: Sequence[Rejudged],
    moved: Mapping[tuple[int, int, str], AnchorWatch],
    alpha: float,
    seen: Sequence[int],
) -> None:
    """Store first scores, where watches stand, and which judgements were seen."""
    if first:
        connection.execute(
            text("""
                INSERT INTO anchor_reference (project_id, set_id, judge_id, place, scores, scored_at)
                VALUES (:project, :set, :judge, :place, CAST(:scores AS jsonb), :at) ON CONFLICT DO NOTHING
            """),
            [
                {
                    "project": project_id,
                    "set": one.set_id,
                    "judge": one.judge_id,
                    "place": one.place,
                    "scores": _json(one.scores),
                    "at": one.done_at,
                }
                for one in first
            ],
        )
    if moved:
        connection.execute(
            text("""
                INSERT INTO anchor_watch (project_id, set_id, judge_id, dimension, alpha, state, updated_at)
                VALUES (:project, :set, :judge, :dimension, :alpha, CAST(:state AS jsonb), :now)
                ON CONFLICT (set_id, judge_id, dimension) DO UPDATE
                SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at,
                    alpha = CASE WHEN anchor_watch.state ? 'margin' THEN anchor_watch.alpha ELSE EXCLUDED.alpha END
            """),
            [
                {
                    "project": project_id,
                    "set": key[0],
                    "judge": key[1],
                    "dimension": key[2],
                    "alpha": alpha,
                    "state": _json(anchors_to_json(state)),
                    "now": now,
                }
                for key, state in moved.items()
            ],
        )
    connection.execute(
        text("UPDATE judging SET watched_at = :now WHERE id = ANY(:ids)"), {"now": now, "ids": list(seen)}
    )


def alphas(connection: Connection, set_ids: Collection[int]) -> dict[tuple[int, int, str], float]:
    """The α of watches that have begun: it holds until they begin again."""
    rows = connection.execute(
        text("SELECT * FROM anchor_watch WHERE set_id = ANY(:ids) AND state ? 'margin'"),
        {"ids": list(set_ids)},
    )
    return {(row.set_id, row.judge_id, row.dimension): row.alpha for row in rows}


def watched(
    connection: Connection,
    *,
    set_ids: Collection[int] | None = None,
    rubric_id: int | None = None,
    judge_ids: Collection[int] | None = None,
) -> list[Judging]:
    """The watches of live sets, or those that are asked for."""
    rows = connection.execute(
        text("""
            SELECT w.*, s.name AS set_name, r.name AS rubric, j.name AS judge
            FROM anchor_watch w
            JOIN anchor_set s ON s.id = w.set_id
            JOIN rubric r ON r.id = s.rubric_id
            JOIN judge j ON j.id = w.judge_id
            WHERE (s.retired_at IS NULL OR w.set_id = ANY(:sets))
                AND (CAST(:named AS boolean) IS FALSE OR w.set_id = ANY(:sets))
                AND (CAST(:rubric AS bigint) IS NULL OR s.rubric_id = :rubric)
                AND (CAST(:judged AS boolean) IS FALSE OR w.judge_id = ANY(:judges))
            ORDER BY w.set_id DESC, j.name, w.dimension
        """),
        {
            "sets": list(set_ids or ()),
            "named": set_ids is not None,
            "rubric": rubric_id,
            "judged": judge_ids is not None,
            "judges": list(judge_ids or ()),
        },
    )
    return [
        Judging(
            row.id,
            row.set_id,
            row.set_name,
            row.rubric,
            row.judge_id,
            row.judge,
            row.dimension,
            row.alpha,
            row.updated_at,
            anchors_from_json(row.state),
        )
        for row in rows
    ]


_DIFFERENCES = text("""
SELECT i.place, j.done_at, (j.scores->>:dimension)::float - (f.scores->>:dimension)::float AS difference
FROM anchor_item i
JOIN anchor_reference f ON f.set_id = i.set_id AND f.judge_id = :judge AND f.place = i.place
JOIN judging j ON j.project_id = i.project_id AND j.trace_id = i.trace_id AND j.span_id = i.span_id AND j.day = i.day
    AND j.judge_id = :judge AND j.purpose = 'anchor' AND j.state = 'scored' AND j.rubric_id = :rubric
WHERE i.set_id = :set AND j.done_at > f.scored_at AND j.done_at >= :since
    AND j.scores ? :dimension AND f.scores ? :dimension
ORDER BY j.done_at DESC, j.id DESC LIMIT :most
""")


def differences(
    connection: Connection, watch: Judging, rubric_id: int, since: datetime | None, most: int = 5000
) -> list[tuple[str, datetime, float]]:
    """Anchor, time, and how much its score was off the first, of the newest judgements since a time, oldest first."""
    rows = connection.execute(
        _DIFFERENCES,
        {
            "dimension": watch.dimension,
            "judge": watch.judge_id,
            "rubric": rubric_id,
            "set": watch.set_id,
            "since": since or "-infinity",
            "most": most,
        },
    ).all()
    return [(str(row.place), row.done_at, row.difference) for row in reversed(rows)]


def renew(connection: Connection, watch_id: int, now: datetime) -> None:
    """What this judge says from now on is what later scores are compared with, on every dimension of the set."""
    row = connection.execute(
        text("SELECT set_id, judge_id FROM anchor_watch WHERE id = :id"), {"id": watch_id}
    ).one_or_none()
    if row is None:
        return
    named = {"set": row.set_id, "judge": row.judge_id, "now": now}
    connection.execute(text("DELETE FROM anchor_reference WHERE set_id = :set AND judge_id = :judge"), named)
    connection.execute(
        text(
            "UPDATE anchor_watch SET state = '{}', updated_at = :now WHERE set_id = :set AND judge_id = :judge"
        ),
        named,
    )


@dataclass(frozen=True, slots=True)
class Item:
    """An anchor: which answer it was, and its labels."""

    place: int
    trace_id: str
    span_id: str
    started_at: datetime
    labels: Mapping[str, float]


def items(connection: Connection, set_id: int) -> list[Item]:
    """The anchors of a set in their order."""
    rows = connection.execute(
        text("""
            SELECT place, trace_id, span_id, started_at, labels FROM anchor_item WHERE set_id = :set ORDER BY place
        """),
        {"set": set_id},
    )
    return [Item(row.place, row.trace_id, row.span_id, row.started_at, row.labels) for row in rows]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
