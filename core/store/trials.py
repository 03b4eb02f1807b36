"""Trying a rubric on past requests before it goes live: started, and shown with the texts that were judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from core.errors import BadQuestion
from core.judging.judge import Judge
from core.judging.material import Material, material_of
from core.judging.rubric import Rubric
from core.ledger import parse_request_id
from core.request import RequestRecord
from core.store import judges, judging, requests

TRIAL_MAX = 10
"""Requests that one trial judges."""


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
    judge = _judge(connection, rubric, judge_name, now)
    found = _requests(connection, ids)
    number = judges.save_rubric(connection, project_id, rubric, who)
    judging.trial(connection, project_id, number, judge.id if judge else None, trial, found, now)


def _judge(connection: Connection, rubric: Rubric, name: str | None, now: datetime) -> Judge | None:
    if rubric.scorer is not None:
        if name:
            raise BadQuestion(f"The rubric {rubric.name} is a scorer and needs no judge. Leave judge out.")
        return None
    if not name:
        raise BadQuestion(f"The rubric {rubric.name} needs a judge. Name one with judge.")
    if judges.budget(connection, now.date()).limit_pico is None:
        raise BadQuestion(judges.NO_BUDGET)
    return judges.askable(connection, name)


def _requests(connection: Connection, ids: Sequence[str] | None) -> list[RequestRecord]:
    if ids:
        return [requests.one_request(connection, *parse_request_id(one)).record for one in ids[:TRIAL_MAX]]
    found = requests.with_content(connection, TRIAL_MAX)
    if not found:
        raise BadQuestion("No request with a stored prompt and answer is here. Send some with content first.")
    return found


def trial_material(connection: Connection, rows: Sequence[judging.Trialled]) -> Mapping[int, Material]:
    """What a judge sees of each judgement's request, by the judgement's number; nothing where the content is gone."""
    bodies = judging.contents(connection, [(one.trace_id, one.span_id, one.day) for one in rows])
    return {
        one.id: material_of(*bodies[one.trace_id, one.span_id, one.day])
        for one in rows
        if (one.trace_id, one.span_id, one.day) in bodies
    }
