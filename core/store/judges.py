"""Rubrics, judges, policies and the budget of the entered project."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from core.errors import BadQuestion, NotFound
from core.judging.builtin import BUILT_IN
from core.judging.judge import Judge, judge_from_json, judge_to_json
from core.judging.policy import Policy, policy_from_json, policy_to_json
from core.judging.rubric import Rubric, rubric_from_json, rubric_to_json
from core.judging.storable import is_storable
from core.store import audit
from core.store.judge_tables import judge, judge_budget, judge_spend, policy, rubric, unsampled
from core.store.tables import request

NO_BUDGET = "Set first what judging may cost a day: on the page Judging, or by PUT /api/v1/judging/budget."
LIST_MAX = 500
"""Rubrics, judges or policies that a project may have; lists show so many."""


@dataclass(frozen=True, slots=True)
class StoredRubric:
    """A version of a rubric; `id` and `created_at` are None of a built-in one that the project never used."""

    rubric: Rubric
    id: int | None
    created_at: datetime | None
    created_by: str

    @property
    def built_in(self) -> bool:
        return any(one.name == self.rubric.name for one in BUILT_IN)


@dataclass(frozen=True, slots=True)
class StoredJudge:
    """A judge, and how its circuit breaker stands."""

    judge: Judge
    created_at: datetime
    retired_at: datetime | None
    failures: int
    open_until: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy in force since `starts_at` (of the requests' own start) until `ended_at`."""

    id: int
    policy: Policy
    rubric: Rubric
    rubric_id: int
    judge: Judge | None
    strong: Judge | None
    salt: str
    starts_at: datetime
    created_at: datetime
    created_by: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What judging may cost a UTC day in pico-dollars, None where nobody said; what of it is spent on `day`, and what
    is set aside for calls under way."""

    day: date
    limit_pico: int | None
    spent_pico: int
    reserved_pico: int
    calls: int

    @property
    def left_pico(self) -> int:
        """What may still be reserved."""
        return max(0, (self.limit_pico or 0) - self.spent_pico - self.reserved_pico)


def save_rubric(connection: Connection, project_id: int, value: Rubric, who: str) -> int:
    """The number of this version, made where it is new."""
    known = select(rubric.c.id).where(rubric.c.name == value.name, rubric.c.version == value.version)
    if (number := connection.execute(known).scalar()) is not None:
        return int(number)
    if (connection.execute(select(func.count()).select_from(rubric)).scalar() or 0) >= LIST_MAX:
        raise BadQuestion(f"A project has {LIST_MAX} versions of rubrics at most.")
    row = dict(
        project_id=project_id,
        name=value.name,
        version=value.version,
        body=rubric_to_json(value),
        created_by=who,
    )
    connection.execute(insert(rubric).values(row).on_conflict_do_nothing())
    audit.note(connection, project_id, who, "rubric.create", value.name, version=value.version)
    return int(connection.execute(known).scalar_one())


def list_rubrics(connection: Connection) -> list[StoredRubric]:
    """Every version of the project, newest first, after the built-in ones that it has not used."""
    rows = connection.execute(select(rubric).order_by(rubric.c.id.desc()).limit(LIST_MAX)).all()
    stored = [
        StoredRubric(rubric_from_json(row.body), row.id, row.created_at, row.created_by) for row in rows
    ]
    used = {(one.rubric.name, one.rubric.version) for one in stored}
    fresh = [one for one in BUILT_IN if (one.name, one.version) not in used]
    return [*stored, *(StoredRubric(one, None, None, "Tripoint") for one in fresh)]


def find_rubric(connection: Connection, name: str, version: str | None = None) -> StoredRubric:
    """A rubric by name, its newest version unless one is named; built-in ones included."""
    for one in list_rubrics(connection):
        if one.rubric.name == name and version in (None, one.rubric.version):
            return one
    of = f" in version {version[:20]}" if version else ""
    raise NotFound(f"There is no rubric {name[:60]!r}{of}. GET /api/v1/rubrics lists them.")


def save_judge(connection: Connection, project_id: int, value: Judge, who: str) -> Judge:
    """Make a judge; its name must be new, for what a judge said stays with the judge that said it."""
    if (connection.execute(select(func.count()).select_from(judge)).scalar() or 0) >= LIST_MAX:
        raise BadQuestion(f"A project has {LIST_MAX} judges at most.")
    made = insert(judge).values(
        project_id=project_id, name=value.name, body=judge_to_json(value), created_by=who
    )
    number = connection.execute(made.on_conflict_do_nothing().returning(judge.c.id)).scalar()
    if number is None:
        raise BadQuestion(
            f"There is a judge {value.name!r} already, and judges never change. Choose another name."
        )
    audit.note(connection, project_id, who, "judge.create", value.name, model=value.model)
    return replace(value, id=int(number))


def list_judges(connection: Connection) -> list[StoredJudge]:
    """The project's judges, newest first."""
    return [
        _judge(row) for row in connection.execute(select(judge).order_by(judge.c.id.desc()).limit(LIST_MAX))
    ]


def find_judge(connection: Connection, name: str) -> StoredJudge:
    """A judge by its name, retired or not."""
    found = select(judge).where(judge.c.name == name)
    if is_storable(name) and (row := connection.execute(found).one_or_none()):
        return _judge(row)
    raise NotFound(f"There is no judge {name[:100]!r}. GET /api/v1/judges lists them.")


def _judge(row: Row[tuple[object, ...]]) -> StoredJudge:
    return StoredJudge(
        replace(judge_from_json(row.body), id=row.id),
        row.created_at,
        row.retired_at,
        row.failures,
        row.open_until,
        row.last_error,
    )


def retire_judge(connection: Connection, project_id: int, name: str, who: str, now: datetime) -> None:
    """Ask this judge nothing more: what waits for it ends with that reason. Refused while a policy in force asks it."""
    found = find_judge(connection, name)
    for one in list_policies(connection):
        if one.ended_at is None and found.judge.id in (
            one.judge and one.judge.id,
            one.strong and one.strong.id,
        ):
            raise BadQuestion(f"The policy for {one.rubric.name} asks this judge. End it, or start another.")
    connection.execute(update(judge).where(judge.c.name == name).values(retired_at=now))
    audit.note(connection, project_id, who, "judge.retire", name)


def start_policy(
    connection: Connection,
    project_id: int,
    wanted: Policy,
    of: Rubric,
    judge_name: str | None,
    strong_name: str | None,
    starts_at: datetime,
    salt: str,
    who: str,
    now: datetime,
) -> int:
    """Put a policy in force for a rubric, in place of the one before; requests that started before `starts_at` are
    none of its business. What is stored already and started later is queued to be looked at."""
    asked = judge_for(connection, of, judge_name, now)
    strong = askable(connection, strong_name) if strong_name else None
    if strong and not asked:
        raise BadQuestion(f"The rubric {of.name} is a scorer and needs no judge. Leave strong_judge out.")
    if strong and asked and strong.id == asked.id:
        raise BadQuestion("The strong judge is the same as the first one. Name another, or leave it out.")
    number = save_rubric(connection, project_id, of, who)
    end_policy(connection, project_id, of.name, who, now, quietly=True)
    try:
        made = connection.execute(
            insert(policy)
            .values(
                project_id=project_id,
                rubric_id=number,
                rubric_name=of.name,
                judge_id=asked and asked.id,
                strong_judge_id=strong and strong.id,
                body=policy_to_json(wanted),
                salt=salt,
                starts_at=starts_at,
                created_by=who,
            )
            .returning(policy.c.id)
        ).scalar_one()
    except IntegrityError:
        raise BadQuestion(
            f"Somebody else has just started a policy for {of.name}. Look at it first."
        ) from None
    queue_since(connection, project_id, starts_at)
    audit.note(connection, project_id, who, "policy.start", of.name, method=wanted.method, judge=judge_name)
    return int(made)


def judge_for(connection: Connection, of: Rubric, name: str | None, now: datetime) -> Judge | None:
    """The judge of this name, who may be asked by the rubric and paid from a budget; None for a scorer, which needs
    none."""
    asked = askable(connection, name) if name else None
    if of.scorer is not None:
        if asked:
            raise BadQuestion(f"The rubric {of.name} is a scorer and needs no judge. Leave judge out.")
        return None
    if asked is None:
        raise BadQuestion(f"The rubric {of.name} needs a judge. Name one with judge.")
    if budget(connection, now.astimezone(UTC).date()).limit_pico is None:
        raise BadQuestion(NO_BUDGET)
    return asked


def askable(connection: Connection, name: str) -> Judge:
    """A judge by its name, refused where it is retired."""
    found = find_judge(connection, name)
    if found.retired_at is not None:
        raise BadQuestion(f"The judge {name!r} is retired. Name another.")
    return found.judge


def queue_since(connection: Connection, project_id: int, starts_at: datetime) -> None:
    """Let the sampler look at every settled trace with a request since then."""
    found = (
        select(
            request.c.project_id,
            request.c.trace_id,
            func.min(request.c.day).label("first_day"),
            func.max(request.c.day).label("last_day"),
        )
        .where(
            request.c.started_at >= starts_at,
            request.c.day >= starts_at.date(),
            request.c.state == "settled",
            request.c.counted,
        )
        .group_by(request.c.project_id, request.c.trace_id)
    )
    names = ["project_id", "trace_id", "first_day", "last_day"]
    connection.execute(insert(unsampled).from_select(names, found).on_conflict_do_nothing())


def end_policy(
    connection: Connection, project_id: int, name: str, who: str, now: datetime, *, quietly: bool = False
) -> None:
    """Draw no more requests for this rubric; what was drawn is still judged."""
    over = update(policy).where(policy.c.rubric_name == name, policy.c.ended_at.is_(None))
    ended = is_storable(name) and connection.execute(over.values(ended_at=now).returning(policy.c.id)).all()
    if ended:
        audit.note(connection, project_id, who, "policy.end", name)
    elif not quietly:
        raise NotFound(f"No policy is in force for {name[:60]!r}. GET /api/v1/policies lists them.")


def list_policies(connection: Connection, *, live: bool = False) -> list[StoredPolicy]:
    """The project's policies, newest first; with `live` those in force alone."""
    statement = select(policy, rubric.c.body.label("rubric_body")).join(
        rubric, rubric.c.id == policy.c.rubric_id
    )
    if live:
        statement = statement.where(policy.c.ended_at.is_(None))
    judges = {one.judge.id: one.judge for one in list_judges(connection)}
    rows: Sequence[Row[tuple[object, ...]]] = connection.execute(
        statement.order_by(policy.c.id.desc()).limit(LIST_MAX)
    ).all()
    return [
        StoredPolicy(
            id=row.id,
            policy=policy_from_json(row.body),
            rubric=rubric_from_json(row.rubric_body),
            rubric_id=row.rubric_id,
            judge=judges.get(row.judge_id),
            strong=judges.get(row.strong_judge_id),
            salt=row.salt,
            starts_at=row.starts_at,
            created_at=row.created_at,
            created_by=row.created_by,
            ended_at=row.ended_at,
        )
        for row in rows
    ]


def any_policy(connection: Connection) -> bool:
    """Whether the project ever had a policy."""
    return connection.execute(select(policy.c.id).limit(1)).first() is not None


def set_budget(connection: Connection, project_id: int, day_pico: int, who: str, now: datetime) -> None:
    """What judging may cost a UTC day from now on, today included."""
    row = dict(project_id=project_id, day_pico=day_pico, set_at=now, set_by=who)
    connection.execute(
        insert(judge_budget).values(row).on_conflict_do_update(index_elements=["project_id"], set_=row)
    )
    audit.note(connection, project_id, who, "judge_budget.set", "", pico=day_pico)


def budget(connection: Connection, day: date) -> Budget:
    """The budget as it stands on a UTC day."""
    limit = connection.execute(select(judge_budget.c.day_pico)).scalar()
    row = connection.execute(select(judge_spend).where(judge_spend.c.day == day)).one_or_none()
    if row is None:
        return Budget(day, limit, 0, 0, 0)
    return Budget(day, limit, row.spent_pico, row.reserved_pico, row.calls)


def rubrics_by_id(connection: Connection, numbers: Collection[int]) -> dict[int, Rubric]:
    """Versions by their numbers, those that are the project's."""
    rows = connection.execute(select(rubric.c.id, rubric.c.body).where(rubric.c.id.in_(numbers)))
    return {row.id: rubric_from_json(row.body) for row in rows}
