"""Comparisons for programs: pairs of answers to the same questions, which a judge reads in both orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Engine

from api import examples
from api.body import limited_to
from core.access import Access
from core.errors import BadQuestion
from core.judging.pairing import PAIRS_MAX, RequestId, Wanted
from core.judging.pairs import METHOD, compare
from core.judging.rubric import Rubric
from core.money import to_decimal_string
from core.stats.pairwise import WinRate
from core.store import comparisons, judges
from core.store.session import tenant

BODY_MAX_BYTES = 8 * 1024 * 1024
_PAGE_MAX = 100
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class RequestIn(BaseModel):
    """A stored request whose answer is compared."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(description="32 hex digits")
    span_id: str = Field(description="16 hex digits")


class PairIn(BaseModel):
    """Two stored requests that asked the same, or two answers as text with the question of both."""

    model_config = ConfigDict(extra="forbid")

    first: RequestIn | str = Field(description="a stored request, or the text of an answer")
    second: RequestIn | str = Field(description="another one of the same kind")
    question: str | None = Field(None, description="what both texts answer; of stored requests it is stored")
    context: str | None = Field(None, description="what both were given besides; likewise")
    reference: str | None = Field(None, description="the right answer, where the rubric judges by it")
    cluster: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="pairs of one cluster are not independent; left out, the first request's session, or each text"
        " by itself",
    )


class NewComparison(BaseModel):
    """Up to 500 pairs; all are compared or, where one cannot be, none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_COMPARISON})

    name: str = Field(min_length=1, max_length=100)
    rubric: str = Field(max_length=100)
    version: str | None = Field(None, max_length=100, description="left out, the newest")
    judge: str = Field(max_length=100, description="by its name")
    first_label: str = Field(
        "first", min_length=1, max_length=60, description="what the first answers are of"
    )
    second_label: str = Field("second", min_length=1, max_length=60)
    pairs: list[PairIn] = Field(min_length=1, max_length=PAIRS_MAX)


class ComparisonLine(BaseModel):
    """A comparison, and how many of its judgements, two a pair, are how far."""

    id: int
    name: str
    rubric: str
    version: str
    judge: str
    first_label: str
    second_label: str
    pairs: int
    done: bool = Field(description="whether nothing waits any more")
    waiting: int
    scored: int
    failed: int
    cost: str
    currency: str = "USD"
    created_at: datetime
    created_by: str


class RateOut(BaseModel):
    """A share with its 95 % interval, or the reason why one of them is not there."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


class OnDimension(BaseModel):
    """How the first answers fare against the second on one dimension, by the `n` pairs judged in both orders."""

    dimension: str
    n: int
    sessions: int
    win_rate: RateOut
    flip_rate: RateOut
    ties: int
    win_rate_at_equal_length: RateOut


class ReasonOut(BaseModel):
    """Why judgements failed, or wait for longer; `pair` is the place of one of theirs, from 0."""

    state: str
    reason: str
    judgements: int
    pair: int


class ComparisonOut(ComparisonLine):
    """A comparison with what came of it so far. `reasons` are the twenty most frequent."""

    model_config = ConfigDict(json_schema_extra={"example": examples.COMPARISON})

    method: str
    dimensions: list[OnDimension]
    reasons: list[ReasonOut]


class ComparisonPage(BaseModel):
    """Comparisons, newest first, and the cursor of the older ones."""

    model_config = ConfigDict(json_schema_extra={"example": examples.COMPARISONS})

    items: list[ComparisonLine]
    next: str | None


def add_comparisons(
    routes: APIRouter,
    engine: Engine,
    clock: Callable[[], datetime],
    reader: Any,
    administrator: Callable[[Request], Access],
) -> None:
    """`/comparisons`: reading for whom `reader` lets in; starting one, which costs the judge's price, for whom
    `administrator` does."""
    admitted = Depends(administrator)

    def start_comparison(given: NewComparison, access: Access = admitted) -> ComparisonOut:
        with tenant(engine, access.project_id) as connection:
            number = comparisons.start(
                connection,
                access.project_id,
                given.name,
                judges.find_rubric(connection, given.rubric, given.version).rubric,
                given.judge,
                (given.first_label, given.second_label),
                [_wanted(one) for one in given.pairs],
                access.who,
                clock(),
            )
            return _out(connection, number)

    routes.add_api_route(
        "/comparisons",
        start_comparison,
        methods=["POST"],
        response_model=ComparisonOut,
        status_code=202,
        summary="Have a judge compare pairs of answers, each in both orders",
        description="With an admin key. The judge is asked in the background and paid from the budget. All pairs are"
        " taken, or none and the first bad one is named.",
        route_class_override=limited_to(BODY_MAX_BYTES, administrator),
    )

    @routes.get("/comparisons", response_model=ComparisonPage, summary="Comparisons, newest first")
    def list_comparisons(
        access: Access = reader,
        limit: Annotated[int, Query(description=f"items at the most, 1 to {_PAGE_MAX}")] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    ) -> ComparisonPage:
        if not 1 <= limit <= _PAGE_MAX:
            raise BadQuestion(f"limit must be between 1 and {_PAGE_MAX}.")
        with tenant(engine, access.project_id) as connection:
            page = comparisons.list_comparisons(connection, cursor, limit)
        return ComparisonPage(items=[ComparisonLine(**_line(one)) for one in page.items], next=page.next)

    @routes.get(
        "/comparisons/{comparison_id}",
        response_model=ComparisonOut,
        summary="One comparison: who wins, how often order turned the verdict, and at equal length",
    )
    def show_comparison(comparison_id: Number, access: Access = reader) -> ComparisonOut:
        with tenant(engine, access.project_id) as connection:
            return _out(connection, comparison_id)


def _wanted(one: PairIn) -> Wanted:
    return Wanted(_side(one.first), _side(one.second), one.question, one.context, one.reference, one.cluster)


def _side(one: RequestIn | str) -> RequestId | str:
    return one if isinstance(one, str) else RequestId(one.trace_id, one.span_id)


def _line(one: comparisons.Line) -> dict[str, Any]:
    shown = {name: getattr(one, name) for name in ComparisonLine.model_fields if hasattr(one, name)}
    return shown | {"done": one.waiting == 0, "cost": to_decimal_string(one.cost_pico)}


def _out(connection: Connection, number: int) -> ComparisonOut:
    found = comparisons.one_comparison(connection, number)
    names = ReasonOut.model_fields
    return ComparisonOut(
        **_line(found.line),
        method=METHOD,
        dimensions=_dimensions(found, found.rubric),
        reasons=[ReasonOut(**{name: getattr(one, name) for name in names}) for one in found.reasons],
    )


def _dimensions(found: comparisons.Found, rubric: Rubric) -> list[OnDimension]:
    shown = []
    for dimension in rubric.dimensions:
        told = compare(found.on(dimension.name))
        flips = told.flips
        shown.append(
            OnDimension(
                dimension=dimension.name,
                n=told.both,
                sessions=told.sessions,
                win_rate=_rate(told.wins),
                flip_rate=RateOut(value=flips.flips, low=flips.flips_low, high=flips.flips_high, reason=None)
                if flips
                else RateOut(
                    value=None, low=None, high=None, reason="No pair has a verdict in both orders yet."
                ),
                ties=told.ties,
                win_rate_at_equal_length=_rate(told.controlled),
            )
        )
    return shown


def _rate(one: WinRate) -> RateOut:
    return RateOut(value=one.value, low=one.low, high=one.high, reason=one.reason)
