"""Trying a rubric on past requests before it goes live: started, and shown with the texts that were judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from core.errors import BadQuestion, NotFound
from core.judging.material import Material, material_of
from core.judging.rubric import Rubric, rubric_from_json
from core.judging.storable import is_storable
from core.ledger import parse_request_id
from core.request import RequestRecord
from core.store import judges, requests
from core.store.judge_tables import judge, judging, rubric
from core.store.judging import contents
from core.store.rows import request_values

TRIAL_MAX = 10
"""Requests that one trial judges."""
# Before all else that waits: somebody sits and looks.
_TURN = 0.0


def start_trial(
    connection: Connection,
    project_id: int,
    rubric: Rubric,
    judge_name: str | None,
    ids: Sequence[str] | None,
    trial: str,
    who: str,
    now: datetime,
) -> None:
    """Owe judgements of these requests, or of the newest that have content, under the name `trial`; the rubric is saved
    where it is new."""
    asked = judges.judge_for(connection, rubric, judge_name, now)
    found = _requests(connection, ids)
    number = judges.save_rubric(connection, project_id, rubric, who)
    rows = [
        dict(
            project_id=project_id,
            rubric_id=number,
            judge_id=asked.id if asked else None,
            purpose="trial",
            occasion=trial,
            day=values["day"],
            trace_id=values["trace_id"],
            span_id=values["span_id"],
            started_at=values["started_at"],
            chance=1.0,
            not_before=now,
            turn=_TURN,
        )
        for values in map(request_values, found)
    ]
    connection.execute(insert(judging).on_conflict_do_nothing(), rows)


def _requests(connection: Connection, ids: Sequence[str] | None) -> list[RequestRecord]:
    if ids:
        return [requests.one_request(connection, *parse_request_id(one)).record for one in ids[:TRIAL_MAX]]
    found = requests.with_content(connection, TRIAL_MAX)
    if not found:
        raise BadQuestion("No request with a stored prompt and answer is here. Send some with content first.")
    return found


@dataclass(frozen=True, slots=True)
class Trialled:
    """A judgement of a trial, as far as it is."""

    id: int
    trace_id: str
    span_id: str
    day: date
    state: str
    judge: str | None
    repeat: int
    scores: Mapping[str, float] | None
    said: Mapping[str, str] | None
    confidence: float | None
    reason: str | None
    cost_pico: int
    done_at: datetime | None


def find_trial(connection: Connection, trial: str) -> tuple[Rubric, list[Trialled]]:
    """The rubric that a trial tries, and its judgements, the newest request first."""
    if not is_storable(trial):
        raise NotFound("There is no such trial in this project.")
    of = judging.c
    rows = connection.execute(
        select(judging, judge.c.name.label("judge"), rubric.c.body)
        .join(rubric, rubric.c.id == of.rubric_id)
        .outerjoin(judge, judge.c.id == of.judge_id)
        # As the index of occasions has it, or it would not be used.
        .where(of.purpose == "trial", of.occasion == trial, text("judging.occasion <> ''"))
        .order_by(of.started_at.desc(), of.id)
    ).all()
    if not rows:
        raise NotFound(f"There is no trial {trial!r} in this project.")
    names = [field.name for field in fields(Trialled)]
    return rubric_from_json(rows[0].body), [
        Trialled(**{name: getattr(row, name) for name in names}) for row in rows
    ]


def trial_material(connection: Connection, rows: Sequence[Trialled]) -> Mapping[int, Material]:
    """What a judge sees of each judgement's request, by the judgement's number; nothing where the content is gone."""
    bodies = contents(connection, [(one.trace_id, one.span_id, one.day) for one in rows])
    return {
        one.id: material_of(*bodies[one.trace_id, one.span_id, one.day])
        for one in rows
        if (one.trace_id, one.span_id, one.day) in bodies
    }
