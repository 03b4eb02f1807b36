"""Sets of anchors for programs: frozen from labels, judged on schedule, read with what their watches say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Engine

from api import drift_examples as examples
from core.access import Access
from core.errors import BadQuestion
from core.stats.verdict import ANCHORS_MIN
from core.store import anchors, audit
from core.store.session import tenant

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class NewAnchors(BaseModel):
    """A set of the last labelled answers of a rubric. It takes the place of the one before."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_ANCHORS})

    name: str = Field(min_length=1, max_length=100)
    rubric: str = Field(
        min_length=1, max_length=60, description="the rubric's name; its version in force is taken"
    )
    every: Literal["hour", "day"] = Field("day", description="how often it is judged, by the clocks of UTC")
    size: int = Field(100, ge=ANCHORS_MIN, le=anchors.ITEMS_MAX, description="answers at the most")


class AnchorWatchOut(BaseModel):
    """One judge on one dimension of a set. `margin` is how far its mean must move to be noticed."""

    judge: str
    dimension: str
    status: Literal["learning", "watching"]
    count: int
    margin: float | None
    evidence: float | None
    threshold: float
    alarms: bool


class AnchorSet(BaseModel):
    """A frozen set, how often its answers were judged, and what its watches say."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ANCHOR_SET})

    id: int
    name: str
    rubric: str
    rubric_version: str
    every: Literal["hour", "day"]
    size: int
    created_at: datetime
    created_by: str
    retired_at: datetime | None
    judged: int
    last_at: datetime | None
    watches: list[AnchorWatchOut]


class AnchorSets(BaseModel):
    """The newest hundred sets, retired ones included, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ANCHORS})

    items: list[AnchorSet]


class AnchorItem(BaseModel):
    """One frozen answer: which it was, and its mean label by dimension."""

    place: int
    trace_id: str
    span_id: str
    started_at: datetime
    labels: dict[str, float]


class AnchorItems(BaseModel):
    """The answers of a set."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ANCHOR_ITEMS})

    items: list[AnchorItem]


class Owed(BaseModel):
    """How many judgements are owed that were not before."""

    model_config = ConfigDict(json_schema_extra={"example": examples.OWED})

    owed: int


def add_anchors(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, administrator: Any
) -> None:
    """`/anchors`: reading for whom `reader` lets in, the rest for administrators, since it costs the judges' price."""

    @routes.get(
        "/anchors", response_model=AnchorSets, summary="Sets of anchors, and whether a judge has moved"
    )
    def list_anchors(access: Access = reader) -> AnchorSets:
        with tenant(engine, access.project_id) as connection:
            return AnchorSets(items=_out(connection, anchors.sets(connection)))

    @routes.get("/anchors/{set_id}", response_model=AnchorItems, summary="The frozen answers of a set")
    def show_anchors(set_id: Number, access: Access = reader) -> AnchorItems:
        with tenant(engine, access.project_id) as connection:
            anchors.one_set(connection, set_id)
            found = anchors.items(connection, set_id)
        names = AnchorItem.model_fields
        return AnchorItems(items=[AnchorItem(**{n: getattr(one, n) for n in names}) for one in found])

    @routes.post(
        "/anchors",
        response_model=AnchorSet,
        status_code=201,
        summary="Freeze the last labelled answers of a rubric as anchors",
    )
    def freeze(given: NewAnchors, access: Access = administrator) -> AnchorSet:
        with tenant(engine, access.project_id) as connection:
            number, rubric = anchors.rubric_by_name(connection, given.rubric)
            if rubric.scorer:
                raise BadQuestion(f"The rubric {rubric.name} is a scorer, a fixed rule. It needs no anchors.")
            found = anchors.labelled(connection, rubric, given.size)
            made = anchors.freeze(
                connection, access.project_id, given.name, number, found, given.every, access.who, clock()
            )
            (shown,) = _out(connection, [anchors.one_set(connection, made)])
        return shown

    @routes.post(
        "/anchors/{set_id}/run",
        response_model=Owed,
        summary="Have a set judged now, whatever its schedule",
    )
    def run(set_id: Number, access: Access = administrator) -> Owed:
        now = clock()
        with tenant(engine, access.project_id) as connection:
            found = anchors.one_set(connection, set_id)
            if found.retired_at is not None:
                raise BadQuestion("This set is retired. Freeze another.")
            owed = anchors.schedule(connection, now, set_id, f"{now:%Y-%m-%dT%H:%M:%S}")
            audit.note(connection, access.project_id, access.who, "anchors.run", found.name, owed=owed)
        return Owed(owed=owed)

    @routes.delete("/anchors/{set_id}", status_code=204, summary="Retire a set of anchors")
    def retire(set_id: Number, access: Access = administrator) -> None:
        with tenant(engine, access.project_id) as connection:
            anchors.retire(connection, access.project_id, set_id, access.who, clock())


def _out(connection: Connection, found: Sequence[anchors.Anchors]) -> list[AnchorSet]:
    watched: dict[int, list[AnchorWatchOut]] = {}
    for one in anchors.watched(connection, set_ids=[one.id for one in found]):
        watched.setdefault(one.set_id, []).append(
            AnchorWatchOut(
                judge=one.judge,
                dimension=one.score_name,
                status="learning" if one.state.margin is None else "watching",
                count=one.state.count,
                margin=one.state.margin,
                evidence=one.state.evidence,
                threshold=2 / one.alpha,
                alarms=one.alarms,
            )
        )
    return [
        AnchorSet(
            id=one.id,
            name=one.name,
            rubric=one.rubric,
            rubric_version=one.version,
            every=one.every,
            size=one.size,
            created_at=one.created_at,
            created_by=one.created_by,
            retired_at=one.retired_at,
            judged=one.judged,
            last_at=one.last_at,
            watches=watched.get(one.id, []),
        )
        for one in found
    ]
