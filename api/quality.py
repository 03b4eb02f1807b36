"""Quality for programs: the mean of the scores that requests were given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from api import examples
from api.asking import (
    FILTER_DOCS,
    From,
    GroupBy,
    Groups,
    Interval,
    To,
    Zone,
    quality_question,
)
from api.schema import JudgingOut, judging_out
from core.access import Access
from core.errors import BadQuestion
from core.quality import METHOD, Mean, QualityAnswer, QualityRow
from core.score import NAME_MAX
from core.store.quality import measure

_OURS = {"from", "to", "zone", "group_by", "interval", "name", "limit"}


class MeanOut(BaseModel):
    """The mean score on one dimension with its 95 % interval; what is null has its `reason`."""

    name: str
    mean: float | None
    low: float | None
    high: float | None
    scored: int = Field(description="requests with a score: what the mean stands on")
    sessions: int = Field(description="sessions that they are of")
    requests: int = Field(description="all counted requests")
    coverage: float | None = Field(description="scored / requests")
    sources: dict[str, int] = Field(description="scored requests by who scored: feedback, evaluation, api")
    reason: str | None


class QualityOut(BaseModel):
    """One row a group (and interval) and dimension of quality: its dimensions' values, `start` where an interval was
    asked for, and what `total` has."""

    model_config = ConfigDict(json_schema_extra={"example": examples.QUALITY})

    as_of: datetime
    start: datetime | None = Field(alias="from", description="first moment of the window, null for no limit")
    end: datetime | None = Field(alias="to", description="first moment after the window, null for no limit")
    method: str = Field(description="how the means were made and what they stand for")
    groups: int = Field(description="how many groups there are in all, whatever `limit`")
    judging: JudgingOut
    total: list[MeanOut] = Field(description="over all groups, those cut off by `limit` included")
    rows: list[dict[str, Any]]


def add_quality(routes: APIRouter, engine: Engine, reader: Any) -> None:
    """`GET /quality`, for whom the dependency `reader` lets in."""

    @routes.get(
        "/quality",
        response_model=QualityOut,
        summary="What answers were worth: mean scores by any dimension",
        openapi_extra=FILTER_DOCS,
    )
    def list_quality(
        request: Request,
        access: Access = reader,
        group_by: GroupBy = None,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        interval: Interval = None,
        name: Annotated[
            str | None, Query(description="the dimension of quality; left out, all that were scored")
        ] = None,
        limit: Groups = None,
    ) -> QualityOut:
        if name is not None and ("\0" in name or not 0 < len(name) <= NAME_MAX):
            raise BadQuestion(f"name is the dimension of a score, 1 to {NAME_MAX} characters.")
        question = quality_question(request, _OURS, group_by, start, end, zone, interval, limit)
        return _quality_out(measure(engine, access.project_id, question, name))


def _quality_out(answer: QualityAnswer) -> QualityOut:
    window = answer.question.window
    return QualityOut(
        as_of=answer.as_of,
        **{"from": window.start, "to": window.end},
        method=METHOD,
        groups=answer.groups,
        judging=judging_out(answer.judging),
        total=[_mean_out(mean) for mean in answer.total],
        rows=[_row(answer, row) for row in answer.rows],
    )


def _row(answer: QualityAnswer, row: QualityRow) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(answer.question.group_by, row.group, strict=True))
    if answer.question.interval:
        shown["start"] = row.start
    return shown | _mean_out(row.mean).model_dump()


def _mean_out(mean: Mean) -> MeanOut:
    return MeanOut(
        name=mean.name,
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        scored=mean.scored,
        sessions=mean.sessions,
        requests=mean.requests,
        coverage=mean.coverage,
        sources=dict(mean.sources),
        reason=mean.reason,
    )
