"""Judged requests and labels for tests, written as the judge's worker and the review queue write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert, null

from core.judging.rubric import Dimension, Level, Rubric, rubric_to_json
from core.request import RequestRecord
from core.score import Score
from core.store.intake import Batch, append
from core.store.judge_tables import judging, rubric
from core.store.review_tables import review
from core.store.rows import instant
from core.store.session import tenant
from tests.conftest import Project

TONE = Rubric(
    "tone",
    "Tone of voice",
    (
        Dimension("tone", "Is it polite?", (Level(0.0, "rude"), Level(0.5, "cool"), Level(1.0, "warm"))),
        Dimension("brevity", "Is it short?", (Level(0.0, "rambles"), Level(1.0, "short"))),
    ),
)


def keep_rubric(engine: Engine, project: Project, of: Rubric = TONE) -> int:
    """The id of the project's rubric."""
    with tenant(engine, project.id) as connection:
        values = {
            "project_id": project.id,
            "name": of.name,
            "version": of.version,
            "body": rubric_to_json(of),
        }
        return int(connection.execute(insert(rubric).values(values).returning(rubric.c.id)).scalar_one())


def judged(
    project: Project, rubric_id: int, record: RequestRecord, scores: Mapping[str, float], **fields: Any
) -> dict[str, Any]:
    """One row of `judging`, scored a minute after the request."""
    at = instant(record.started_ns)
    return {
        "project_id": project.id,
        "rubric_id": rubric_id,
        "purpose": "sample",
        "day": at.date(),
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "started_at": at,
        "chance": 1.0,
        "turn": 0.5,
        "state": "scored",
        "scores": dict(scores),
        "done_at": at + timedelta(minutes=1),
        # All rows of one insert name the same columns.
        "label_chance": None,
        "repeat": 0,
        "occasion": "",
        "confidence": None,
        "material": null(),
        "said": null(),
        **fields,
    }


def keep_judged(engine: Engine, project: Project, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of `judging`."""
    with tenant(engine, project.id) as connection:
        connection.execute(insert(judging), list(rows))


def keep_drawn(
    engine: Engine,
    project: Project,
    rubric_id: int,
    records: Sequence[RequestRecord],
    *,
    purpose: str = "drawn",
    rubric_name: str = "tone",
    state: str = "done",
) -> None:
    """Items of the review queue, as if drawn for people (or asked for) and done."""
    with tenant(engine, project.id) as connection:
        connection.execute(
            insert(review),
            [
                {
                    "project_id": project.id,
                    "rubric_id": rubric_id,
                    "rubric_name": rubric_name,
                    "purpose": purpose,
                    "day": instant(record.started_ns).date(),
                    "trace_id": record.trace_id,
                    "span_id": record.span_id,
                    "started_at": instant(record.started_ns),
                    "place": 0.5,
                    "state": state,
                }
                for record in records
            ],
        )


def a_label(record: RequestRecord, value: float, name: str = "tone", author: str = "ann") -> Score:
    """What a person says of a request."""
    at = datetime.now(UTC)
    return Score(
        record.trace_id,
        record.span_id,
        name,
        value,
        at,
        f"{author}-{record.span_id}-{name}",
        "label",
        author=author,
    )


def keep_scores(engine: Engine, project: Project, scores: Sequence[Score]) -> None:
    """Write scores of any source."""
    append(engine, [Batch(project.id, (), scores=scores)])
