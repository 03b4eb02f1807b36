"""Scores for programs: sent here, and read by their trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt
from sqlalchemy import Engine

from api import examples
from api.body import limited_to
from core.access import Access
from core.errors import BadQuestion
from core.ledger import is_hex, parse_trace_id
from core.score import BODY_SCORES_MAX, Score, check_score
from core.store.scores import SCORES_MAX, find_scores, store_scores
from core.store.session import tenant

_BODY_MAX_BYTES = 4 * 1024 * 1024


class NewScore(BaseModel):
    """One score. Without `span_id` it is of the whole trace; the same `id` in the same trace counts once."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(description="32 hex digits")
    span_id: str | None = Field(None, description="16 hex digits: the request, or a span around it")
    name: str = Field(description="the dimension", examples=["helpfulness"])
    value: StrictBool | StrictInt | StrictFloat = Field(
        description="0 (worst) to 1 (best), or true or false", json_schema_extra={"minimum": 0, "maximum": 1}
    )
    label: str | None = Field(None, description="the score in a word")
    source: Literal["api", "feedback", "evaluation"] = Field(
        "api", description="who scores: feedback is a user"
    )
    author: str | None = Field(None, description="who scored; of each author the newest score counts")
    comment: str | None = Field(None, description="up to 2,000 characters")
    recorded_at: datetime | None = Field(None, description="when it was given; left out, on arrival")
    id: str | None = Field(
        None, description="your own key; left out, the whole score with its time is the key"
    )


class NewScores(BaseModel):
    """Up to 1,000 scores; all are stored or, where one is refused, none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_SCORES})

    scores: list[NewScore] = Field(min_length=1, max_length=BODY_SCORES_MAX)


class Stored(BaseModel):
    """How many scores are new, and how many were known before."""

    model_config = ConfigDict(json_schema_extra={"example": examples.STORED})

    stored: int
    known: int


class ScoreOut(BaseModel):
    """One score; `span_id` is null where it is of the whole trace."""

    id: str
    trace_id: str
    span_id: str | None
    name: str
    value: float
    label: str | None
    source: str
    author: str | None
    comment: str | None
    recorded_at: datetime


class ScoresOut(BaseModel):
    """The scores of a trace, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": examples.SCORES})

    items: list[ScoreOut]
    complete: bool = Field(description=f"false where there are more than {SCORES_MAX}")


def score_out(score: Score) -> ScoreOut:
    """A score as JSON."""
    return ScoreOut(
        id=score.id,
        trace_id=score.trace_id,
        span_id=score.span_id,
        name=score.name,
        value=score.value,
        label=score.label,
        source=score.source,
        author=score.author,
        comment=score.comment,
        recorded_at=score.recorded_at,
    )


def add_scores(
    routes: APIRouter,
    engine: Engine,
    clock: Callable[[], datetime],
    reader: Any,
    scorer: Callable[[Request], Access],
) -> None:
    """`POST /scores` for whom `scorer` lets in, `GET /scores` for whom the dependency `reader` does."""

    admitted = Depends(scorer)

    def send_scores(given: NewScores, access: Access = admitted) -> Stored:
        scores = _checked(given.scores, clock())
        stored = store_scores(engine, access.project_id, scores)
        return Stored(stored=stored, known=len(scores) - stored)

    routes.add_api_route(
        "/scores",
        send_scores,
        methods=["POST"],
        response_model=Stored,
        summary="Send scores of answers: from users, evaluators or programs",
        description="With an ingest, review or admin key. All are stored, or none and the first bad one is named.",
        route_class_override=limited_to(_BODY_MAX_BYTES, scorer),
    )

    @routes.get("/scores", response_model=ScoresOut, summary="The scores of a trace, newest first")
    def list_scores(
        request: Request,
        trace_id: Annotated[str, Query(description="32 hex digits")],
        span_id: Annotated[str | None, Query(description="16 hex digits: those of this span alone")] = None,
        access: Access = reader,
    ) -> ScoresOut:
        if strange := sorted(set(request.query_params) - {"trace_id", "span_id"}):
            raise BadQuestion(f"There is no parameter {strange[0][:60]!r} here. Use trace_id and span_id.")
        if span_id is not None and not is_hex(span_id.lower(), 16):
            raise BadQuestion("A span id is 16 hex digits.")
        trace = parse_trace_id(trace_id)
        with tenant(engine, access.project_id) as connection:
            found = find_scores(connection, trace, span_id.lower() if span_id else None)
        return ScoresOut(items=[score_out(score) for score in found.items], complete=found.complete)


def _checked(given: list[NewScore], now: datetime) -> list[Score]:
    scores = []
    for at, one in enumerate(given):
        try:
            scores.append(check_score(**one.model_dump(), now=now))
        except BadQuestion as error:
            raise BadQuestion(f"scores.{at}: {error} None of these scores was stored.") from None
    return scores
