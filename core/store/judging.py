"""What is owed to the judges: claimed with a lease, paid for from the budget before it is asked, written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import orjson
import zstandard
from sqlalchemy import Connection, and_, case, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or

from core.pricing.price import Priced
from core.request import RequestRecord
from core.store.intake import price_values
from core.store.judge_tables import judge, judge_spend, judging
from core.store.locks import Lock, wait_for
from core.store.rows import first_as_sent, request_values
from core.store.tables import content, request
from core.usage import UNKNOWN

EXPIRES_AFTER = timedelta(days=7)
"""What waited for so long is given up, with its reason."""
REFERENCE_TAG = "reference"
"""The tag under which an application sends the right answer, where it knows it."""

_J = judging.c


@dataclass(frozen=True, slots=True)
class Task:
    """A claimed judgement. `material` is the frozen text where no stored request is judged; else `input` and `output`
    are what was stored of it, None where that is gone."""

    id: int
    rubric_id: int
    policy_id: int | None
    round_id: int | None
    purpose: str
    occasion: str
    repeat: int
    day: date
    trace_id: str
    span_id: str
    started_at: datetime
    stratum: str | None
    chance: float
    turn: float
    attempts: int
    unreadable: int
    material: Mapping[str, Any] | None
    input: str | None
    output: str | None
    reference: str | None


def owed_to(connection: Connection, now: datetime) -> list[int | None]:
    """The judges (None: scorers) that something may be asked now."""
    found = (
        select(_J.judge_id)
        .outerjoin(judge, judge.c.id == _J.judge_id)
        .where(*_ready(now), (judge.c.open_until.is_(None)) | (judge.c.open_until <= now))
        .group_by(_J.judge_id)
    )
    return list(connection.execute(found).scalars())


def _ready(now: datetime) -> list[Any]:
    """Waiting and due, or asked by somebody who never came back."""
    return [
        _J.state.in_(["waiting", "asked"]),
        case((_J.state == "waiting", _J.not_before <= now), else_=_J.leased_until < now),
    ]


def claim(
    connection: Connection, judge_id: int | None, at_once: int, most: int, now: datetime, lease: timedelta
) -> list[Task]:
    """Up to `most` judgements, leased, as far as no more than `at_once` are under way with this judge in all workers.

    One that was asked and whose lease has run out is claimed again; what it may have cost counts as spent in full.
    """
    wait_for(connection, Lock.ASK, judge_id or 0)
    if judge_id is not None and _paused(connection, judge_id, now):
        return []
    under_way = connection.execute(
        select(func.count())
        .select_from(judging)
        .where(_J.judge_id == judge_id, _J.state == "asked", _J.leased_until >= now)
    ).scalar_one()
    free = min(most, at_once - under_way)
    if free <= 0:
        return []
    mine = _J.judge_id.is_(None) if judge_id is None else _J.judge_id == judge_id
    rows = [
        dict(row)
        for row in connection.execute(
            select(judging)
            .where(mine, *_ready(now))
            .order_by(_J.turn, _J.id)
            .limit(free)
            .with_for_update(skip_locked=True)
        ).mappings()
    ]
    if not rows:
        return []
    for row in rows:
        if row["reserved_pico"]:
            _settle(connection, row["reserved_on"], row["reserved_pico"], row["reserved_pico"])
    connection.execute(
        update(judging)
        .where(_J.id.in_([row["id"] for row in rows]))
        .values(
            state="asked",
            leased_until=now + lease,
            attempts=_J.attempts + 1,
            reserved_pico=0,
            reserved_on=None,
            reason=None,
        )
    )
    stored = [(row["trace_id"], row["span_id"], row["day"]) for row in rows if row["material"] is None]
    texts = contents(connection, stored)
    return [_task(row, texts) for row in rows]


def _paused(connection: Connection, judge_id: int, now: datetime) -> bool:
    """Whether the judge said when to come back, or failed too often, and that time has not come."""
    until = connection.execute(select(judge.c.open_until).where(judge.c.id == judge_id)).scalar()
    return until is not None and until > now


Stored = tuple[str | None, str | None, str | None]
"""Input, output and reference of a request, as they were sent."""


def contents(
    connection: Connection, wanted: Sequence[tuple[str, str, date]]
) -> dict[tuple[str, str, date], Stored]:
    """What was stored of these requests (trace, span, day), in one statement; the reference is a tag of that name."""
    if not wanted:
        return {}
    of, tags = content.c, request.c.tags
    same = and_(of.trace_id == request.c.trace_id, of.span_id == request.c.span_id, of.day == request.c.day)
    found = connection.execute(
        select(of.trace_id, of.span_id, of.day, of.body, tags.op("->>")(REFERENCE_TAG).label("reference"))
        .select_from(content.outerjoin(request, same))
        .where(
            tuple_(of.trace_id, of.span_id, of.day).in_(wanted),
            of.day >= min(day for _, _, day in wanted),
            of.day <= max(day for _, _, day in wanted),
        )
    )
    reader = zstandard.ZstdDecompressor()
    bodies: dict[tuple[str, str, date], Stored] = {}
    for row in found:
        body = orjson.loads(reader.decompress(row.body))
        bodies[row.trace_id, row.span_id, row.day] = (body.get("input"), body.get("output"), row.reference)
    return bodies


_TASK_COLUMNS = [field.name for field in fields(Task) if field.name in _J]


def _task(row: Mapping[str, Any], texts: Mapping[tuple[str, str, date], Stored]) -> Task:
    key = (row["trace_id"], row["span_id"], row["day"])
    asked, answered, reference = texts.get(key, (None, None, None))
    known = {name: row[name] for name in _TASK_COLUMNS} | {"attempts": row["attempts"] + 1}
    return Task(**known, input=asked, output=answered, reference=reference)


def reserve(connection: Connection, project_id: int, amounts: Mapping[int, int], now: datetime) -> set[int]:
    """Set aside the dearest that each judgement (number → pico-dollars) may cost, in their order, as far as today's
    budget goes. Returns those that may be asked now; the others wait for the next day."""
    today = now.astimezone(UTC).date()
    row = dict(project_id=project_id, day=today)
    connection.execute(insert_or(judge_spend).values(row).on_conflict_do_nothing())
    limit = connection.exec_driver_sql("SELECT day_pico FROM judge_budget").scalar() or 0
    here = connection.execute(select(judge_spend).where(judge_spend.c.day == today).with_for_update()).one()
    left = limit - here.spent_pico - here.reserved_pico
    granted: dict[int, int] = {}
    for number, amount in amounts.items():
        if amount <= left:
            granted[number] = amount
            left -= amount
    if granted:
        connection.execute(
            update(judge_spend)
            .where(judge_spend.c.day == today)
            .values(reserved_pico=judge_spend.c.reserved_pico + sum(granted.values()))
        )
        connection.execute(
            update(judging)
            .where(_J.id.in_(granted))
            .values(
                reserved_pico=case(granted, value=_J.id),
                reserved_on=today,
            )
        )
    if refused := [number for number in amounts if number not in granted]:
        tomorrow = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
        _put_back(connection, refused, tomorrow, "what judging may cost today is spent or set aside")
    return set(granted)


def _put_back(connection: Connection, ids: Sequence[int], not_before: datetime, reason: str) -> None:
    connection.execute(
        update(judging)
        .where(_J.id.in_(ids))
        .values(
            state="waiting",
            not_before=not_before,
            leased_until=None,
            attempts=_J.attempts - 1,
            reason=reason,
        )
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A call to a judge as it becomes a request of the project, with what it cost; `charged_pico` is what counts
    against the budget: the cost, or the dearest it can have been where that is unknown."""

    record: RequestRecord
    priced: Priced
    charged_pico: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a claimed judgement. waiting: ask again, not before a time; an attempt that was put off rather than
    made does not count (`counts`). `unreadable` says that an answer came which nobody can read."""

    state: Literal["scored", "failed", "waiting"]
    reason: str | None = None
    not_before: datetime | None = None
    counts: bool = True
    unreadable: bool = False
    scores: Mapping[str, float] | None = None
    said: Mapping[str, str] | None = None
    confidence: float | None = None


def record(
    connection: Connection, project_id: int, task: Task, call: Call | None, outcome: Outcome, now: datetime
) -> bool:
    """Write the call as a request, settle what was set aside for it, and let the judgement stand as it came out.

    False where the lease had run out and somebody else has it: then what may have been paid is written off already,
    and only the call is kept.
    """
    usage = call.record.usage if call else UNKNOWN
    if call is not None:
        connection.execute(_INSERT_REQUEST, _request_row(project_id, call))
    kept = connection.execute(
        _RECORD,
        {
            "id": task.id,
            "attempt": task.attempts,
            "state": outcome.state,
            "reason": outcome.reason[:500] if outcome.reason else None,
            "not_before": outcome.not_before,
            "uncounted": 0 if outcome.counts else 1,
            "unreadable": 1 if outcome.unreadable else 0,
            "scores": _json(outcome.scores),
            "said": _json(outcome.said),
            "confidence": outcome.confidence,
            "done_at": None if outcome.state == "waiting" else now,
            "charged": call.charged_pico if call else 0,
            "asked": usage.input_tokens,
            "answered": usage.output_tokens,
        },
    ).one_or_none()
    if kept is not None and kept.reserved_on is not None:
        _settle(connection, kept.reserved_on, kept.reserved_pico, call.charged_pico if call else 0)
    return kept is not None


# What a row was before an update PostgreSQL tells from version 18 on; hence the part that is locked and read first.
_RECORD = text("""
    UPDATE judging j SET
        state = :state, reason = :reason, not_before = coalesce(:not_before, j.not_before), leased_until = NULL,
        attempts = j.attempts - :uncounted, unreadable = j.unreadable + :unreadable,
        scores = CAST(:scores AS jsonb), said = CAST(:said AS jsonb), confidence = :confidence, done_at = :done_at,
        reserved_pico = 0, reserved_on = NULL, cost_pico = j.cost_pico + :charged,
        input_tokens = coalesce(j.input_tokens + CAST(:asked AS bigint), CAST(:asked AS bigint), j.input_tokens),
        output_tokens =
            coalesce(j.output_tokens + CAST(:answered AS bigint), CAST(:answered AS bigint), j.output_tokens)
    FROM (
        SELECT id, reserved_pico, reserved_on FROM judging
        WHERE id = :id AND state = 'asked' AND attempts = :attempt FOR UPDATE
    ) AS old
    WHERE j.id = old.id RETURNING old.reserved_pico, old.reserved_on
""")
_SETTLE = text("""
    UPDATE judge_spend SET
        reserved_pico = reserved_pico - :reserved, spent_pico = spent_pico + :charged, calls = calls + 1
    WHERE day = :day
""")
_JSON = {column.name for column in request.columns if isinstance(column.type, JSONB)}
_INSERTED = [
    column.name for column in request.columns if column.name not in ("xid", "received_at", "user_key")
]
_INSERT_REQUEST = text(
    f"INSERT INTO request ({', '.join(_INSERTED)}) VALUES ("
    + ", ".join(f"CAST(:{name} AS jsonb)" if name in _JSON else f":{name}" for name in _INSERTED)
    + ") ON CONFLICT DO NOTHING"
)


def _request_row(project_id: int, call: Call) -> dict[str, Any]:
    values = {
        **request_values(call.record),
        **price_values(call.priced),
        "project_id": project_id,
        "as_sent": first_as_sent(call.record),
        "state": "settled",
        "counted": True,
        "duplicate_of": None,
    }
    return {name: _json(values[name]) if name in _JSON else values[name] for name in _INSERTED}


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _settle(connection: Connection, day: date, reserved: int, charged: int) -> None:
    connection.execute(_SETTLE, {"day": day, "reserved": reserved, "charged": charged})


def expire(connection: Connection, now: datetime) -> int:
    """Give up what has waited for too long."""
    done = connection.execute(
        update(judging)
        .where(_J.state == "waiting", _J.created_at < now - EXPIRES_AFTER)
        .values(
            state="failed",
            done_at=now,
            reason=func.concat("it waited for a week: ", func.coalesce(_J.reason, "its judge was not asked")),
        )
    )
    return done.rowcount


def escalate(
    connection: Connection, project_id: int, task: Task, strong_id: int, purpose: str, now: datetime
) -> None:
    """Owe the strong judge's answer on the same request."""
    row = dict(
        project_id=project_id,
        rubric_id=task.rubric_id,
        judge_id=strong_id,
        policy_id=task.policy_id,
        round_id=task.round_id,
        purpose=purpose,
        day=task.day,
        trace_id=task.trace_id,
        span_id=task.span_id,
        started_at=task.started_at,
        stratum=task.stratum,
        chance=task.chance,
        turn=task.turn,
        not_before=now,
    )
    made = insert_or(judging).values(row)
    if purpose == "escalated":
        # A later repeat may show what its audit was to look for.
        key = ["project_id", "trace_id", "span_id", "day", "rubric_id", "judge_id", "repeat", "occasion"]
        made = made.on_conflict_do_update(index_elements=key, set_={"purpose": purpose})
    connection.execute(made.on_conflict_do_nothing() if purpose != "escalated" else made)


def other_repeats(connection: Connection, task: Task) -> list[Mapping[str, float]]:
    """What the same judge said in its other repeats of this question, those that are there."""
    found = select(_J.scores).where(
        _J.trace_id == task.trace_id,
        _J.span_id == task.span_id,
        _J.day == task.day,
        _J.rubric_id == task.rubric_id,
        _J.occasion == task.occasion,
        _J.purpose == task.purpose,
        _J.repeat != task.repeat,
        _J.state == "scored",
    )
    return list(connection.execute(found).scalars())


def note_success(connection: Connection, judge_id: int) -> None:
    """The judge answers: its circuit is closed."""
    connection.execute(
        update(judge)
        .where(judge.c.id == judge_id, (judge.c.failures > 0) | judge.c.open_until.is_not(None))
        .values(failures=0, open_until=None)
    )


def note_failure(
    connection: Connection, judge_id: int, error: str, pause_until: datetime | None, now: datetime
) -> None:
    """The judge did not answer. Where it said when to come back nobody asks before; from the fifth failure in a row on
    nobody asks for a while either, twice as long each time."""
    wait_s = func.least(600, 15 * func.power(2, func.least(judge.c.failures - 4, 6)))
    tripped = case(
        (judge.c.failures >= 4, now + wait_s * literal(timedelta(seconds=1))), else_=judge.c.open_until
    )
    values: dict[str, Any] = {"last_error": error[:500]}
    if pause_until is None:
        values |= {"failures": judge.c.failures + 1, "open_until": tripped}
    else:
        values |= {"open_until": func.greatest(judge.c.open_until, pause_until)}
    connection.execute(update(judge).where(judge.c.id == judge_id).values(values))


def mean_cost(connection: Connection, rubric_id: int) -> int | None:
    """What a judgement of one answer by this rubric has cost lately, in pico-dollars; None where none was paid."""
    last = (
        select(_J.cost_pico)
        .where(_J.rubric_id == rubric_id, _J.state == "scored", _J.cost_pico > 0, _J.judge_id.is_not(None))
        .where(_J.purpose != "pair")
        .order_by(_J.started_at.desc())
        .limit(200)
        .subquery()
    )
    found = connection.execute(select(func.avg(last.c.cost_pico))).scalar()
    return None if found is None else int(found)
