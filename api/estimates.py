"""Estimates for programs: what judges think of a slice, and the same corrected by people's labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

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
from core.access import Access
from core.errors import BadQuestion
from core.judged import CELLS_MAX, METHOD, EstimateRow, Quality, Slice, rows, total
from core.question import CostQuestion
from core.score import NAME_MAX
from core.stats.estimate import Estimate
from core.store.estimates import read_judged

_OURS = {"from", "to", "zone", "group_by", "interval", "name", "corrected", "limit"}


class MeanOut(BaseModel):
    """A mean with its 95 % interval; what is null has its `reason`."""

    mean: float | None
    low: float | None
    high: float | None
    reason: str | None


class CorrectedOut(MeanOut):
    """The mean corrected by labels."""

    method: Literal["judge", "labels", "ppi++", "cross-fitted"] = Field(description="how it was corrected")
    labels: int = Field(
        description="labels of requests that were drawn for people: what the correction stands on"
    )
    gain: float | None = Field(
        description="the judge's weight: 0 is the labels alone, 1 is a judge that is trusted fully"
    )


class EstimateOut(BaseModel):
    """One dimension of quality of one group."""

    name: str
    requests: int = Field(description="all counted requests, but for calls to our own judges")
    judged: int = Field(description="requests that were judged: what the judge's mean stands on")
    coverage: float | None = Field(description="judged / requests")
    sessions: int = Field(description="sessions that the judged are of")
    escalated: int = Field(description="judged requests whose answer is the strong judge's")
    open_to_labels: int = Field(description="judged requests that could have been drawn for people")
    judge: MeanOut = Field(description="what the judge thinks on average")
    corrected: CorrectedOut | None = Field(
        description="the same corrected by labels; null where not asked for"
    )
    at_length: MeanOut = Field(description="the judge's mean at the answer length common to all rows")


class EstimatesOut(BaseModel):
    """One row a group (and interval) and dimension of quality: its dimensions' values, `start` where an interval was
    asked for, and what `total` has."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ESTIMATES})

    as_of: datetime
    start: datetime | None = Field(alias="from", description="first moment of the window, null for no limit")
    end: datetime | None = Field(alias="to", description="first moment after the window, null for no limit")
    method: str = Field(description="how the means were made and what they stand for")
    groups: int = Field(description="how many groups there are in all, whatever `limit`")
    total: list[EstimateOut] = Field(description="over all groups, those cut off by `limit` included")
    rows: list[dict[str, Any]]


def add_estimates(routes: APIRouter, engine: Engine, reader: Any) -> None:
    """`GET /estimates`, for whom the dependency `reader` lets in."""

    @routes.get(
        "/estimates",
        response_model=EstimatesOut,
        summary="What judges think of the answers, corrected by people, by any dimension",
        openapi_extra=FILTER_DOCS,
    )
    def list_estimates(
        request: Request,
        access: Access = reader,
        group_by: GroupBy = None,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        interval: Interval = None,
        name: Annotated[
            str | None,
            Query(
                description="the dimension of quality, as its scores are called; left out, all that were judged"
            ),
        ] = None,
        corrected: Annotated[
            bool | None, Query(description="false leaves the correction out, which is quicker")
        ] = None,
        limit: Groups = None,
    ) -> EstimatesOut:
        question = quality_question(request, _OURS, group_by, start, end, zone, interval, limit)
        found = read_judged(engine, access.project_id, question, check_name(name))
        names = [name] if name else found.names
        check_cells(found, names)
        correct = corrected is not False
        return EstimatesOut(
            as_of=found.as_of,
            **{"from": question.window.start, "to": question.window.end},
            method=METHOD,
            groups=found.groups,
            total=[_out(quality) for quality in total(found, names, correct=correct)],
            rows=[_row(question, row) for row in rows(found, names, correct=correct)],
        )


def check_name(name: str | None) -> str | None:
    """The name where it can be a score's."""
    if name is not None and ("\0" in name or not 0 < len(name) <= NAME_MAX):
        raise BadQuestion(f"name is the dimension of a score, 1 to {NAME_MAX} characters.")
    return name


def check_cells(found: Slice, names: list[str]) -> None:
    """Refuses more rows than one answer holds."""
    if len(found.cells) * len(names) > CELLS_MAX:
        raise BadQuestion(
            f"This would be {len(found.cells)} groups of {len(names)} dimensions. Name one with name=, or lower limit."
        )


def _row(question: CostQuestion, row: EstimateRow) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(question.group_by, row.group, strict=True))
    if question.interval:
        shown["start"] = row.start
    return shown | _out(row.quality).model_dump()


def _out(quality: Quality) -> EstimateOut:
    corrected, length = quality.corrected, quality.at_length
    return EstimateOut(
        name=quality.name,
        requests=quality.requests,
        judged=quality.judged,
        coverage=quality.coverage,
        sessions=quality.sessions,
        escalated=quality.escalated,
        open_to_labels=quality.open_to_labels,
        judge=MeanOut(**_mean(quality.judge)),
        corrected=corrected
        and CorrectedOut(
            **_mean(corrected), method=corrected.method, labels=corrected.labels, gain=corrected.gain
        ),
        at_length=MeanOut(mean=length.value, low=length.low, high=length.high, reason=length.reason),
    )


def _mean(estimate: Estimate) -> dict[str, Any]:
    return {
        "mean": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "reason": estimate.reason,
    }
