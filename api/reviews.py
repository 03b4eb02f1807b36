"""The review queue for programs: how many a day, the next item, what people think of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from sqlalchemy import Engine

from api import examples
from core.access import Access
from core.errors import BadQuestion
from core.ledger import is_hex
from core.review import (
    A_DAY_MAX,
    COMMENT_MAX,
    NOW_MAX,
    REASON_MAX,
    SECOND_SHARE,
    Item,
    Queue,
    check_words,
)
from core.store.partitions import ensure_days
from core.store.reviews import (
    ask_reviews,
    draw_reviews,
    next_review,
    queue,
    save_labels,
    set_plan,
    skip_review,
)
from core.store.session import tenant

_REQUESTS_MAX = 200
_Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Picked(BaseModel):
    """A request that somebody picked by hand."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(description="32 hex digits")
    span_id: str = Field(description="16 hex digits")


class NewReviews(BaseModel):
    """What people are to label by a rubric: so many a day from now on, so many now, or these requests."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_REVIEWS})

    rubric: str = Field(min_length=1, max_length=100, description="the rubric's name")
    a_day: StrictInt | None = Field(
        None, ge=0, le=A_DAY_MAX, description="drawn each day; left out, as before"
    )
    second_share: float | None = Field(
        None, ge=0, le=1, description=f"of the drawn, how many two people label; {SECOND_SHARE} at first"
    )
    now: StrictInt | None = Field(None, ge=1, le=NOW_MAX, description="drawn at once, on average")
    requests: list[Picked] = Field(
        default_factory=list,
        max_length=_REQUESTS_MAX,
        description="picked by hand; their labels enter no estimate",
    )
    raters: StrictInt = Field(1, ge=1, le=2, description="people that label each picked request")


class Put(BaseModel):
    """What the queue got."""

    model_config = ConfigDict(json_schema_extra={"example": examples.PUT})

    pool: int | None = Field(
        description="judged answers that were drawn from, null where none was to be drawn"
    )
    drawn: int = Field(description="new items that were drawn; chance makes it a few more or less")
    asked: int = Field(description="new items that were picked by hand")


class PlanOut(BaseModel):
    """How many a day, and which share of them twice."""

    rubric: str
    a_day: int
    second_share: float
    filled_on: date | None = Field(description="the UTC day that was last drawn for")


class ProgressOut(BaseModel):
    """How far along the queue of a rubric is."""

    rubric: str
    open: int
    done: int
    asked: int = Field(description="items of all that were picked by hand")
    for_you: int = Field(description="items that wait for the caller")
    by_you: int
    skipped_by_you: int


class QueueOut(BaseModel):
    """Plans and progress."""

    model_config = ConfigDict(json_schema_extra={"example": examples.QUEUE})

    plans: list[PlanOut]
    progress: list[ProgressOut]


class LevelOut(BaseModel):
    """One level; they are numbered from 1, the worst."""

    score: float
    words: str


class DimensionOut(BaseModel):
    """One thing to decide, apart from the others."""

    name: str
    question: str
    levels: list[LevelOut]


class ItemOut(BaseModel):
    """An answer to be labelled. What a judge thought of it is not told."""

    id: int
    rubric: str
    version: str
    title: str
    instructions: str
    dimensions: list[DimensionOut]
    trace_id: str
    span_id: str
    question: str | None
    context: str | None
    answer: str | None
    leased_until: datetime = Field(description="until then nobody else gets it")


class NextOut(BaseModel):
    """The item whose turn it is, null where none waits for the caller."""

    model_config = ConfigDict(json_schema_extra={"example": examples.NEXT})

    item: ItemOut | None


class Answer(BaseModel):
    """What the caller thinks: `levels`, or why he skips."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.ANSWER})

    levels: dict[str, StrictInt] | None = Field(
        None, description="dimension → number of its level, 1 the worst; all dimensions of the rubric"
    )
    comment: str | None = Field(None, max_length=COMMENT_MAX)
    skip: str | None = Field(None, max_length=REASON_MAX, description="why it is left to others")


class Answered(BaseModel):
    """What became of the item for the caller."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ANSWERED})

    outcome: str = Field(description="labelled or skipped")


def add_reviews(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, reviewer: Any
) -> None:
    """The routes under `/reviews`; who labels comes through `reviewer`."""
    _add_queue(routes, engine, clock, reader, reviewer)
    _add_items(routes, engine, clock, reviewer)


def _add_queue(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reader: Any, reviewer: Any
) -> None:

    @routes.get("/reviews", response_model=QueueOut, summary="The review queue: plans and progress")
    def show_queue(request: Request, access: Access = reader) -> QueueOut:
        if strange := sorted(request.query_params):
            raise BadQuestion(f"There is no parameter {strange[0][:60]!r} here. It takes none.")
        with tenant(engine, access.project_id) as connection:
            return _queue_out(queue(connection, access.who, clock()))

    @routes.post("/reviews", response_model=Put, summary="Choose what people label: a day, now, or these")
    def put_reviews(wanted: NewReviews, access: Access = reviewer) -> Put:
        if (
            wanted.a_day is None
            and wanted.now is None
            and not wanted.requests
            and wanted.second_share is None
        ):
            raise BadQuestion("Say how many: a_day, now, or requests.")
        now, pool, drawn = clock(), None, 0
        with tenant(engine, access.project_id) as connection:
            set_plan(
                connection,
                access.project_id,
                wanted.rubric,
                wanted.a_day,
                wanted.second_share,
                os.urandom(16).hex(),
                access.who,
                now,
            )
            picked = [_ids(one, f"requests.{at}") for at, one in enumerate(wanted.requests)]
            asked = (
                ask_reviews(
                    connection, access.project_id, wanted.rubric, picked, wanted.raters, access.who, now
                )
                if picked
                else 0
            )
            if wanted.now:
                found = draw_reviews(connection, access.project_id, wanted.rubric, wanted.now, now)
                pool, drawn = found.pool, found.new
        return Put(pool=pool, drawn=drawn, asked=asked)


def _add_items(routes: APIRouter, engine: Engine, clock: Callable[[], datetime], reviewer: Any) -> None:
    @routes.post("/reviews/next", response_model=NextOut, summary="Take the next item, or the one held")
    def take_next(
        access: Access = reviewer,
        rubric: Annotated[str | None, Query(max_length=100, description="of this rubric alone")] = None,
    ) -> NextOut:
        with tenant(engine, access.project_id) as connection:
            item = next_review(connection, access.project_id, access.who, clock(), rubric)
        return NextOut(item=item and _item_out(item))

    @routes.post("/reviews/{review_id}", response_model=Answered, summary="Label an item, or skip it")
    def answer_review(review_id: _Number, given: Answer, access: Access = reviewer) -> Answered:
        if (given.levels is None) == (given.skip is None):
            raise BadQuestion("Give either levels or skip.")
        comment = check_words("comment", given.comment or "", COMMENT_MAX) or None
        now = clock()
        ensure_days(engine, [now.date()])
        with tenant(engine, access.project_id) as connection:
            at = (connection, access.project_id, review_id, access.who)
            if given.levels is not None:
                save_labels(*at, given.levels, now, comment)
                return Answered(outcome="labelled")
            skip_review(*at, given.skip or "", now)
            return Answered(outcome="skipped")


def _ids(one: Picked, where: str) -> tuple[str, str]:
    trace_id, span_id = one.trace_id.lower(), one.span_id.lower()
    if not is_hex(trace_id, 32) or not is_hex(span_id, 16):
        raise BadQuestion(f"{where}: trace_id is 32 hex digits, span_id 16. Nothing was put.")
    return trace_id, span_id


def _queue_out(found: Queue) -> QueueOut:
    return QueueOut(
        plans=[
            PlanOut(
                rubric=one.rubric_name,
                a_day=one.a_day,
                second_share=one.second_share,
                filled_on=one.filled_on,
            )
            for one in found.plans
        ],
        progress=[
            ProgressOut(
                rubric=one.rubric_name,
                open=one.open,
                done=one.done,
                asked=one.asked,
                for_you=one.for_you,
                by_you=one.by_you,
                skipped_by_you=one.skipped_by_you,
            )
            for one in found.progress
        ],
    )


def _item_out(item: Item) -> ItemOut:
    return ItemOut(
        id=item.id,
        rubric=item.rubric.name,
        version=item.rubric.version,
        title=item.rubric.title,
        instructions=item.rubric.instructions,
        dimensions=[
            DimensionOut(
                name=one.name,
                question=one.question,
                levels=[LevelOut(score=level.score, words=level.words) for level in one.levels],
            )
            for one in item.rubric.dimensions
        ],
        trace_id=item.trace_id,
        span_id=item.span_id,
        question=item.material.question,
        context=item.material.context,
        answer=item.material.answer,
        leased_until=item.leased_until,
    )
