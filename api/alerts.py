"""Alerts and the streams that they are about, for programs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from api import drift_examples as examples
from core.access import Access
from core.errors import BadQuestion
from core.stats.stream import REFERENCE_MIN, Terms, changed
from core.store import alerts, audit, deliveries, watches
from core.store.session import tenant

METHOD = (
    "Each stream's first scores are its reference. A betting e-process in either direction then watches for a mean"
    " beyond the reference's own bound by the least effect; it may be looked at after every score. evidence at the"
    " threshold would be an alarm of the stream alone, false with a probability of alpha at most, ever; among all"
    " streams those with moved=true are chosen by e-BH, of which a share of alpha at most is expected to be false."
    " signal is the sooner evidence for dashboards: false ones come signal_threshold scores apart on average."
)
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class TermsBody(BaseModel):
    """What a project asks of its watches. A stream that has a reference keeps the terms that it was learnt with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.TERMS})

    alpha: float = Field(0.01, gt=0, le=0.2, description="the chance of a false alarm that is borne")
    reference: int = Field(200, ge=REFERENCE_MIN, le=5000, description="scores that make a reference")
    least_effect: float = Field(0.02, ge=0, lt=1, description="the least change of a mean worth an alarm")
    run_length: int = Field(
        10_000, ge=100, le=10**9, description="how many scores apart a dashboard's false signals may come"
    )


class ReferenceOut(BaseModel):
    """What a stream is compared with: an alarm says that its mean is below `low` or above `high`."""

    count: int
    mean: float
    low: float
    high: float
    least_effect: float


class StreamOut(BaseModel):
    """One watch. While it learns, what needs a reference is null."""

    id: int
    feature: str | None
    tier: str | None
    model: str | None
    rubric: str
    rubric_version: str
    dimension: str
    score_name: str
    judge: str | None
    strong_judge: str | None
    status: Literal["learning", "watching"]
    count: int = Field(description="scores since the reference, or of it so far")
    reference: ReferenceOut | None
    evidence: float | None
    threshold: float | None
    side: Literal["fall", "rise"] | None
    signal: float | None
    signal_threshold: int | None
    noticed: bool = Field(description="the dashboard's signal is at its threshold now")
    moved: bool = Field(description="has moved, judged among all streams")
    alert_id: int | None = Field(description="the alert that is open about it")
    updated_at: datetime


class StreamsOut(BaseModel):
    """Every stream that is watched."""

    model_config = ConfigDict(json_schema_extra={"example": examples.STREAMS})

    terms: TermsBody
    method: str
    watched: int = Field(description="streams that have a reference: what e-BH chooses among")
    left_out: int = Field(
        description=f"judged requests of streams beyond the {watches.STREAMS_MAX} that are watched"
    )
    items: list[StreamOut]


class AlertLine(BaseModel):
    """An alert without what was found."""

    id: int
    kind: str
    severity: Literal["page", "notice"]
    state: Literal["open", "acknowledged", "resolved"]
    title: str
    verdict: str = Field(description="who moved, as far as was known when it opened")
    who: str = Field(description="who moved, as far as is known by now: system, judge, both or undetermined")
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None


class DeliveryOut(BaseModel):
    """What became of a message about an alert."""

    channel: str
    kind: str
    event: str
    state: str
    attempts: int
    last_error: str | None
    sent_at: datetime | None
    not_before: datetime


class AlertOut(AlertLine):
    """An alert with all that was found when it was opened; `body` never changes."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ALERT})

    body: dict[str, Any]
    later: dict[str, Any] | None = Field(
        description="who moved, where that became clear only after anchors were judged again"
    )
    deliveries: list[DeliveryOut]


class AlertPage(BaseModel):
    """Alerts, newest first, and the cursor of the older ones."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ALERTS})

    items: list[AlertLine]
    next: str | None


def add_alerts(
    routes: APIRouter,
    engine: Engine,
    clock: Callable[[], datetime],
    reader: Any,
    reviewer: Any,
    administrator: Any,
) -> None:
    """`/streams`, `/drift` and `/alerts`, each for whom its dependency lets in."""
    _add_streams(routes, engine, reader, administrator)

    @routes.get("/alerts", response_model=AlertPage, summary="Alerts, newest first")
    def list_alerts(
        access: Access = reader,
        state: Annotated[str | None, Query(description="open, acknowledged or resolved")] = None,
        limit: Annotated[int, Query(description="items at the most, 1 to 500")] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    ) -> AlertPage:
        if not 1 <= limit <= 500:
            raise BadQuestion("limit must be between 1 and 500.")
        with tenant(engine, access.project_id) as connection:
            page = alerts.list_alerts(connection, state, cursor, limit)
        return AlertPage(items=[AlertLine(**_line(one)) for one in page.items], next=page.next)

    @routes.get("/alerts/{alert_id}", response_model=AlertOut, summary="One alert, with all that was found")
    def show_alert(alert_id: Number, access: Access = reader) -> AlertOut:
        with tenant(engine, access.project_id) as connection:
            return _out(connection, alerts.one_alert(connection, alert_id))

    @routes.post(
        "/alerts/{alert_id}/acknowledge",
        response_model=AlertOut,
        summary="Say that you are looking at an alert",
    )
    def acknowledge(alert_id: Number, access: Access = reviewer) -> AlertOut:
        with tenant(engine, access.project_id) as connection:
            return _out(
                connection,
                alerts.acknowledge(connection, access.project_id, alert_id, access.who, clock()),
            )

    @routes.post(
        "/alerts/{alert_id}/resolve",
        response_model=AlertOut,
        summary="Say that it is over: what comes from now on is the new normal",
    )
    def resolve(alert_id: Number, access: Access = reviewer) -> AlertOut:
        with tenant(engine, access.project_id) as connection:
            return _out(
                connection, alerts.resolve(connection, access.project_id, alert_id, access.who, clock())
            )


def _add_streams(routes: APIRouter, engine: Engine, reader: Any, administrator: Any) -> None:
    @routes.get("/streams", response_model=StreamsOut, summary="What is watched for drift, and how it stands")
    def list_streams(
        access: Access = reader,
        limit: Annotated[
            int, Query(description="items at the most, 1 to 5000; the most evidence comes first")
        ] = 500,
    ) -> StreamsOut:
        if not 1 <= limit <= 5000:
            raise BadQuestion("limit must be between 1 and 5000.")
        with tenant(engine, access.project_id) as connection:
            terms = watches.terms_of(connection)
            found = watches.watched(connection, limit=limit)
            known = {str(number): value for number, value in watches.evidence(connection).items()}
            left_out = watches.left_out(connection)
            about = alerts.open_about(connection)
        moved = changed(known, terms.alpha)
        return StreamsOut(
            terms=_terms(terms),
            method=METHOD,
            watched=len(known),
            left_out=left_out,
            items=[_stream(one, str(one.id) in moved, about.get(alerts.key_of(one.id))) for one in found],
        )

    @routes.put("/drift", response_model=TermsBody, summary="Change what the watches are asked")
    def set_terms(given: TermsBody, access: Access = administrator) -> TermsBody:
        with tenant(engine, access.project_id) as connection:
            watches.set_terms(connection, access.project_id, Terms(**given.model_dump()))
            audit.note(connection, access.project_id, access.who, "drift.set", **given.model_dump())
        return given


def _terms(terms: Terms) -> TermsBody:
    return TermsBody(
        alpha=terms.alpha,
        reference=terms.reference,
        least_effect=terms.least_effect,
        run_length=terms.run_length,
    )


def _stream(one: watches.Watched, moved: bool, alert_id: int | None) -> StreamOut:
    state, reference = one.state, one.state.reference
    return StreamOut(
        id=one.id,
        feature=one.feature,
        tier=one.tier,
        model=one.model,
        rubric=one.rubric,
        rubric_version=one.version,
        dimension=one.dimension,
        score_name=one.score_name,
        judge=one.judge,
        strong_judge=one.strong_judge,
        status=state.status,
        count=state.count,
        reference=reference
        and ReferenceOut(
            count=reference.count,
            mean=reference.mean,
            low=reference.low,
            high=reference.high,
            least_effect=reference.least_effect,
        ),
        evidence=state.evidence,
        threshold=state.threshold,
        side=state.side,
        signal=state.signal,
        signal_threshold=reference and reference.run_length,
        noticed=state.noticed,
        moved=moved,
        alert_id=alert_id,
        updated_at=one.updated_at,
    )


def _line(one: alerts.Alert) -> dict[str, Any]:
    return {name: getattr(one, name) for name in AlertLine.model_fields}


def _out(connection: Any, one: alerts.Alert) -> AlertOut:
    sent = [
        DeliveryOut(**{name: getattr(row, name) for name in DeliveryOut.model_fields})
        for row in deliveries.of_alert(connection, one.id)
    ]
    return AlertOut(**_line(one), body=dict(one.body), later=one.later and dict(one.later), deliveries=sent)
