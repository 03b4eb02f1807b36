"""Judging for programs: rubrics, judges, policies, the budget, trials, and why a request was judged or not."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from api import examples
from core.access import Access
from core.judging.budget import budget_pico
from core.judging.judge import judge_from_json, judge_to_json
from core.judging.policy import policy_from_json, policy_to_json
from core.judging.rubric import Rubric, rubric_from_json, rubric_to_json
from core.ledger import parse_request_id
from core.money import to_decimal_string
from core.store import judges, requests, sampling, trials
from core.store.judge_health import health
from core.store.judges import StoredJudge, StoredPolicy, StoredRubric
from core.store.rows import instant
from core.store.session import tenant
from core.store.trials import TRIAL_MAX

_BACK_DAYS_MAX = 90


class LevelOut(BaseModel):
    """One step of a dimension."""

    score: float
    words: str


class DimensionOut(BaseModel):
    """One thing that a rubric asks; its levels go from the worst to the best."""

    name: str
    question: str
    levels: list[LevelOut]


class RubricOut(BaseModel):
    """A version of a rubric. Scores by it are called `score_names`."""

    model_config = ConfigDict(json_schema_extra={"example": examples.RUBRIC})

    name: str
    version: str
    title: str
    instructions: str
    inputs: list[str]
    dimensions: list[DimensionOut]
    scorer: str | None
    options: dict[str, Any] | None
    score_names: list[str]
    built_in: bool
    created_at: datetime | None
    created_by: str


class JudgeOut(BaseModel):
    """A judge, and how its circuit breaker stands: nobody asks it before `open_until`."""

    model_config = ConfigDict(json_schema_extra={"example": examples.JUDGE})

    name: str
    kind: str
    model: str
    base_url: str
    provider: str
    key_variable: str | None
    max_output_tokens: int
    temperature: float | None
    timeout_s: float
    at_once: int
    structured: bool
    input_usd_per_million: str | None
    output_usd_per_million: str | None
    created_at: datetime
    retired_at: datetime | None
    failures: int
    open_until: datetime | None
    last_error: str | None


class PolicyOut(BaseModel):
    """A policy; in force for requests that started at `starts_at` or later, until `ended_at`."""

    model_config = ConfigDict(json_schema_extra={"example": examples.POLICY})

    id: int
    rubric: str
    version: str
    judge: str | None
    strong_judge: str | None
    method: str
    strata: list[str]
    wanted_a_day: int
    floor: int
    least: float
    repeats: int
    escalate_below: float
    audit: float
    filters: dict[str, list[str | None]]
    starts_at: datetime
    created_at: datetime
    created_by: str
    ended_at: datetime | None


class NewPolicy(BaseModel):
    """A policy to put in force, in place of the one before for the same rubric."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_POLICY})

    rubric: str
    version: str | None = Field(None, description="left out, the newest")
    judge: str | None = Field(None, description="by its name; a scorer needs none")
    strong_judge: str | None = Field(None, description="asked too where the first one is in doubt")
    back_days: int = Field(0, ge=0, le=_BACK_DAYS_MAX, description="days of past requests to judge as well")
    method: str = Field("uniform", description="uniform, stratified or neyman")
    strata: list[str] | None = Field(None, description="any of feature, tier, model, latency")
    wanted_a_day: int = 200
    floor: int = 10
    least: float = 0.01
    repeats: int = 1
    escalate_below: float = 0.5
    audit: float = 0.05
    filters: dict[str, Any] | None = None


class BudgetOut(BaseModel):
    """What judging may cost a UTC day in US dollars, and how today stands; None where nobody has said."""

    model_config = ConfigDict(json_schema_extra={"example": examples.BUDGET})

    day: str
    limit: str | None
    spent: str
    reserved: str
    calls: int
    currency: str = "USD"


class NewBudget(BaseModel):
    """US dollars a UTC day."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"limit": "5.00"}})

    limit: str


class WhyOut(BaseModel):
    """What one policy made of a request."""

    rubric: str
    policy: int
    state: str | None
    why: str
    probability: float | None
    number: float | None


class WhyList(BaseModel):
    """One entry a policy, those in force first: these, and those that were in force when the request started."""

    model_config = ConfigDict(json_schema_extra={"example": examples.WHY})

    items: list[WhyOut]


class NewTrial(BaseModel):
    """Judge some past requests by a rubric before it goes live: the given ones, or the newest that have content."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_TRIAL})

    rubric: dict[str, Any] | str = Field(
        description="the name of a rubric, or a whole one that is not saved yet"
    )
    judge: str | None = None
    requests: list[str] | None = Field(
        None, max_length=TRIAL_MAX, description="ids; left out, the newest ten"
    )


class JudgingOut(BaseModel):
    """One judgement: `scores` from 0 to 1 by dimension once it is scored, or the `reason` why it waits or failed."""

    id: int
    request: str
    state: str
    judge: str | None
    repeat: int
    scores: dict[str, float] | None
    said: dict[str, str] | None
    confidence: float | None
    reason: str | None
    cost: str
    done_at: datetime | None


class TrialOut(BaseModel):
    """A trial, and its judgements as far as they are."""

    model_config = ConfigDict(json_schema_extra={"example": examples.TRIAL})

    trial: str
    rubric: str
    version: str
    items: list[JudgingOut]


class HealthOut(BaseModel):
    """How judging stands."""

    model_config = ConfigDict(json_schema_extra={"example": examples.JUDGING_HEALTH})

    budget: BudgetOut
    hits_limit_at: datetime | None
    settled_not_looked_at: int
    waiting: int
    asked: int
    judges: list[dict[str, Any]]
    failed: list[dict[str, Any]]


def rubric_out(one: StoredRubric) -> RubricOut:
    """A rubric as the API shows it."""
    value = rubric_to_json(one.rubric)
    return RubricOut(
        **({"scorer": None, "options": None} | value),
        version=one.rubric.version,
        score_names=list(one.rubric.score_names),
        built_in=one.built_in,
        created_at=one.created_at,
        created_by=one.created_by,
    )


def judge_out(one: StoredJudge) -> JudgeOut:
    """A judge as the API shows it; the name of its key's variable, never the key."""
    return JudgeOut(
        **judge_to_json(one.judge),
        created_at=one.created_at,
        retired_at=one.retired_at,
        failures=one.failures,
        open_until=one.open_until,
        last_error=one.last_error,
    )


def policy_out(one: StoredPolicy) -> PolicyOut:
    """A policy as the API shows it."""
    return PolicyOut(
        **policy_to_json(one.policy),
        id=one.id,
        rubric=one.rubric.name,
        version=one.rubric.version,
        judge=one.judge and one.judge.name,
        strong_judge=one.strong and one.strong.name,
        starts_at=one.starts_at,
        created_at=one.created_at,
        created_by=one.created_by,
        ended_at=one.ended_at,
    )


def budget_out(one: judges.Budget) -> BudgetOut:
    """The budget as the API shows it."""
    return BudgetOut(
        day=one.day.isoformat(),
        limit=None if one.limit_pico is None else to_decimal_string(one.limit_pico),
        spent=to_decimal_string(one.spent_pico),
        reserved=to_decimal_string(one.reserved_pico),
        calls=one.calls,
    )


def add_judging(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    """All routes of judging, for whom these dependencies let in."""
    _add_rubrics(routes, engine, clock, reader, administrator)
    _add_judges(routes, engine, clock, reader, administrator)
    _add_policies(routes, engine, clock, reader, administrator)
    _add_state(routes, engine, clock, reader, administrator)


def _add_rubrics(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    @routes.get("/rubrics", response_model=list[RubricOut], summary="Rubrics, the project's own and built-in")
    def list_rubrics(access: Access = reader) -> list[RubricOut]:
        with tenant(engine, access.project_id) as connection:
            return [rubric_out(one) for one in judges.list_rubrics(connection)]

    @routes.post(
        "/rubrics",
        response_model=RubricOut,
        status_code=201,
        summary="Save a rubric: another word makes another version",
        openapi_extra={"requestBody": {"content": {"application/json": {"example": examples.NEW_RUBRIC}}}},
    )
    def save_rubric(given: dict[str, Any], access: Access = administrator) -> RubricOut:
        rubric = rubric_from_json(given)
        with tenant(engine, access.project_id) as connection:
            judges.save_rubric(connection, access.project_id, rubric, access.who)
            return rubric_out(judges.find_rubric(connection, rubric.name, rubric.version))

    @routes.post(
        "/trials",
        response_model=TrialOut,
        status_code=202,
        summary="Try a rubric on past requests; the budget pays for it, no score is kept with them",
    )
    def start_trial(wanted: NewTrial, access: Access = administrator) -> TrialOut:
        with tenant(engine, access.project_id) as connection:
            rubric = _wanted_rubric(connection, wanted.rubric)
            trial = f"trial-{secrets.token_hex(6)}"
            trials.start_trial(
                connection,
                access.project_id,
                rubric,
                wanted.judge,
                wanted.requests,
                trial,
                access.who,
                clock(),
            )
            return _trial_out(connection, trial, rubric)

    @routes.get("/trials/{trial}", response_model=TrialOut, summary="How a trial stands")
    def show_trial(trial: str, access: Access = reader) -> TrialOut:
        with tenant(engine, access.project_id) as connection:
            return _trial_out(connection, trial[:40], None)


def _wanted_rubric(connection: Any, wanted: dict[str, Any] | str) -> Rubric:
    if isinstance(wanted, str):
        return judges.find_rubric(connection, wanted).rubric
    return rubric_from_json(wanted)


def _trial_out(connection: Any, trial: str, rubric: Rubric | None) -> TrialOut:
    of, rows = trials.find_trial(connection, trial)
    shown = rubric or of
    return TrialOut(
        trial=trial,
        rubric=shown.name,
        version=shown.version,
        items=[
            JudgingOut(
                id=one.id,
                request=f"{one.trace_id}-{one.span_id}",
                state=one.state,
                judge=one.judge,
                repeat=one.repeat,
                scores=one.scores,
                said=one.said,
                confidence=one.confidence,
                reason=one.reason,
                cost=to_decimal_string(one.cost_pico),
                done_at=one.done_at,
            )
            for one in rows
        ],
    )


def _add_judges(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    @routes.get(
        "/judges", response_model=list[JudgeOut], summary="The models that may be asked, newest first"
    )
    def list_judges(access: Access = reader) -> list[JudgeOut]:
        with tenant(engine, access.project_id) as connection:
            return [judge_out(one) for one in judges.list_judges(connection)]

    @routes.post(
        "/judges",
        response_model=JudgeOut,
        status_code=201,
        summary="Make a judge; it never changes, since what it said stays with it",
        openapi_extra={"requestBody": {"content": {"application/json": {"example": examples.NEW_JUDGE}}}},
    )
    def make_judge(given: dict[str, Any], access: Access = administrator) -> JudgeOut:
        judge = judge_from_json(given)
        with tenant(engine, access.project_id) as connection:
            judges.save_judge(connection, access.project_id, judge, access.who)
            return judge_out(judges.find_judge(connection, judge.name))

    @routes.delete("/judges/{name}", status_code=204, summary="Ask this judge nothing more")
    def retire_judge(name: str, access: Access = administrator) -> Response:
        with tenant(engine, access.project_id) as connection:
            judges.retire_judge(connection, access.project_id, name[:200], access.who, clock())
        return Response(status_code=204)


def _add_policies(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    @routes.get("/policies", response_model=list[PolicyOut], summary="What is judged, newest first")
    def list_policies(access: Access = reader) -> list[PolicyOut]:
        with tenant(engine, access.project_id) as connection:
            return [policy_out(one) for one in judges.list_policies(connection)]

    @routes.post(
        "/policies",
        response_model=PolicyOut,
        status_code=201,
        summary="Judge a sample of the requests by a rubric from now on",
    )
    def start_policy(given: NewPolicy, access: Access = administrator) -> PolicyOut:
        rest = given.model_dump(exclude={"rubric", "version", "judge", "strong_judge", "back_days"})
        policy, now = policy_from_json(rest), clock()
        with tenant(engine, access.project_id) as connection:
            rubric = judges.find_rubric(connection, given.rubric, given.version).rubric
            number = judges.start_policy(
                connection,
                access.project_id,
                policy,
                rubric,
                given.judge,
                given.strong_judge,
                now - timedelta(days=given.back_days),
                secrets.token_hex(16),
                access.who,
                now,
            )
            return next(policy_out(one) for one in judges.list_policies(connection) if one.id == number)

    @routes.delete("/policies/{rubric}", status_code=204, summary="Draw no more requests for this rubric")
    def end_policy(rubric: str, access: Access = administrator) -> Response:
        with tenant(engine, access.project_id) as connection:
            judges.end_policy(connection, access.project_id, rubric[:200], access.who, clock())
        return Response(status_code=204)


def _add_state(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    @routes.get("/judging", response_model=HealthOut, summary="How judging stands: spend, backlog, errors")
    def show_health(
        access: Access = reader,
        days: Annotated[
            int, Query(ge=1, le=90, description="UTC days, with today, over which judges are counted")
        ] = 7,
    ) -> HealthOut:
        with tenant(engine, access.project_id) as connection:
            found = health(connection, clock(), days)
        return HealthOut(
            budget=budget_out(found.budget),
            hits_limit_at=found.hits_limit_at,
            settled_not_looked_at=found.unsampled,
            waiting=found.waiting,
            asked=found.asked,
            judges=[
                {
                    "judge": one.name,
                    "scored": one.scored,
                    "failed": one.failed,
                    "waiting": one.waiting,
                    "unreadable": one.unreadable,
                    "calls": one.calls,
                    "errors": one.errors,
                    "cost": to_decimal_string(one.cost_pico),
                    "latency_p50_ms": one.latency_p50_ms,
                    "latency_p95_ms": one.latency_p95_ms,
                    "paused_until": one.open_until,
                    "last_error": one.last_error,
                }
                for one in found.judges
            ],
            failed=[
                {
                    "reason": one.reason,
                    "judgements": one.count,
                    "example": one.example and "-".join(one.example),
                }
                for one in found.failed
            ],
        )

    @routes.get("/judging/budget", response_model=BudgetOut, summary="What judging may cost a day")
    def show_budget(access: Access = reader) -> BudgetOut:
        with tenant(engine, access.project_id) as connection:
            return budget_out(judges.budget(connection, clock().date()))

    @routes.put("/judging/budget", response_model=BudgetOut, summary="Set what judging may cost a day")
    def set_budget(given: NewBudget, access: Access = administrator) -> BudgetOut:
        with tenant(engine, access.project_id) as connection:
            now = clock()
            judges.set_budget(connection, access.project_id, budget_pico(given.limit), access.who, now)
            return budget_out(judges.budget(connection, now.date()))

    @routes.get(
        "/requests/{request_id}/judging",
        response_model=WhyList,
        summary="Why a request was judged or not, by each policy",
    )
    def show_why(request_id: str, access: Access = reader) -> WhyList:
        with tenant(engine, access.project_id) as connection:
            trace, span = parse_request_id(request_id)
            record = requests.one_request(connection, trace, span).record
            policies = sampling.concerning(judges.list_policies(connection), instant(record.started_ns))
            found = sampling.why(connection, policies, trace, span)
        return WhyList(
            items=[
                WhyOut(
                    rubric=one.rubric,
                    policy=one.policy_id,
                    state=one.state,
                    why=one.words,
                    probability=one.chance,
                    number=one.number,
                )
                for one in found
            ]
        )
