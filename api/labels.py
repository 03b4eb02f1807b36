"""Labels for programs: given out, taken in, and how far people and judges agree."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from api import examples
from api.asking import From, To, Zone, window_of
from api.body import limited_to
from api.estimates import check_name
from core import csv_text
from core.access import Access
from core.agreeing import METHOD, agreements
from core.errors import BadQuestion
from core.label import COLUMNS, EXPORT_MAX, IMPORT_MAX, Label, check_labels
from core.stats.agreement import Agreement
from core.store.labels import all_labels, find_labels, keep_labels, read_rated, rubrics_for
from core.store.partitions import ensure_days
from core.store.session import tenant

_BODY_MAX_BYTES = 8 * 1024 * 1024
_PAGE_MAX = 10_000


class LabelOut(BaseModel):
    """What one person thinks of one request on one dimension, beside what the judge said."""

    trace_id: str
    span_id: str
    rubric: str
    version: str
    dimension: str
    value: float = Field(description="0 (worst) to 1 (best)")
    level: str | None = Field(description="the level's words")
    rater: str
    time: datetime
    comment: str | None
    drawn: bool = Field(description="drawn for people by chance, so that it counts in estimates")
    judge: float | None = Field(
        description="the judge's score; null also while another person is to label it"
    )
    judge_chance: float | None = Field(description="the probability with which it was judged")
    label_chance: float | None = Field(description="the probability with which it was then drawn for people")


class LabelsOut(BaseModel):
    """Labels, the oldest first; `next` is the cursor of the page after."""

    model_config = ConfigDict(json_schema_extra={"example": examples.LABELS})

    items: list[LabelOut]
    next: str | None


class Kept(BaseModel):
    """How many labels are new, and how many were known before."""

    model_config = ConfigDict(json_schema_extra={"example": examples.STORED})

    stored: int
    known: int


class CoefficientOut(BaseModel):
    """A coefficient with its 95 % interval over `items`, or why there is none."""

    items: int
    value: float | None
    low: float | None
    high: float | None
    reason: str | None


class AgreementRow(BaseModel):
    """One dimension of quality: the judge with people, and people with each other."""

    name: str
    labelled: int
    twice: int = Field(description="labelled by two people at least")
    judge_kappa: CoefficientOut
    judge_icc: CoefficientOut
    people_kappa: CoefficientOut = Field(description="the ceiling")
    people_icc: CoefficientOut = Field(description="the ceiling")


class AgreementOut(BaseModel):
    """How far judge and people agree, by dimension."""

    model_config = ConfigDict(json_schema_extra={"example": examples.AGREEMENT})

    start: datetime | None = Field(alias="from", description="first moment of the window, null for no limit")
    end: datetime | None = Field(alias="to", description="first moment after the window, null for no limit")
    method: str
    rows: list[AgreementRow]


def add_labels(
    routes: APIRouter,
    engine: Engine,
    clock: Callable[[], datetime],
    reader: Any,
    reviewer: Callable[[Request], Access],
) -> None:
    """`GET /labels` and `POST /labels` for whom `reviewer` lets in, `GET /agreement` for whom the dependency `reader`
    does."""
    _add_export(routes, engine, Depends(reviewer))
    _add_import(routes, engine, clock, reviewer)
    _add_agreement(routes, engine, reader)


def _add_export(routes: APIRouter, engine: Engine, admitted: Any) -> None:
    @routes.get(
        "/labels",
        response_model=LabelsOut,
        summary="Labels by people, the oldest first, as JSON or CSV",
        responses={
            200: {
                "content": {"text/csv": {"schema": {"type": "string"}}},
                "description": "Successful Response",
            }
        },
    )
    def list_labels(
        request: Request,
        access: Access = admitted,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        rubric: Annotated[str | None, Query(max_length=100, description="of this rubric alone")] = None,
        limit: Annotated[
            int | None, Query(ge=1, le=_PAGE_MAX, description="labels a page; left out, 1000")
        ] = None,
        cursor: Annotated[str | None, Query(max_length=400, description="`next` of the page before")] = None,
        format: Annotated[
            str | None, Query(description=f"json, or csv for a file of {EXPORT_MAX} at the most")
        ] = None,
    ) -> Any:
        _only(request, {"from", "to", "zone", "rubric", "limit", "cursor", "format"})
        if format not in (None, "json", "csv"):
            raise BadQuestion("format is json or csv.")
        window = window_of(start, end, zone)
        if format == "csv" or (format is None and "text/csv" in request.headers.get("accept", "")):
            parts = csv_text.labels_text(all_labels(engine, access.project_id, window, rubric, cursor))
            name = csv_text.file_name("labels", (), None, window, zone or "UTC")
            return StreamingResponse(
                csv_text.begun(parts), media_type=csv_text.MEDIA_TYPE, headers=csv_text.disposition(name)
            )
        with tenant(engine, access.project_id) as connection:
            found, after = find_labels(connection, window, rubric, cursor, limit or 1000)
        return LabelsOut(items=[LabelOut(**_plain(one)) for one in found], next=after)


def _plain(label: Label) -> dict[str, Any]:
    return {field.name: getattr(label, field.name) for field in fields(label)}


def _add_import(
    routes: APIRouter,
    engine: Engine,
    clock: Callable[[], datetime],
    reviewer: Callable[[Request], Access],
) -> None:
    admitted = Depends(reviewer)

    async def read_rows(request: Request) -> list[dict[str, Any]]:
        body = await request.body()
        return _rows(body, request.headers.get("content-type", ""))

    sent = Depends(read_rows)

    def keep(rows: list[dict[str, Any]] = sent, access: Access = admitted) -> Kept:
        now = clock()
        with tenant(engine, access.project_id) as connection:
            given = check_labels(rows, rubrics_for(connection), access.who, now)
        ensure_days(engine, {one.score.recorded_at.date() for one in given})
        with tenant(engine, access.project_id) as connection:
            new = keep_labels(connection, access.project_id, given, access.who, now)
        return Kept(stored=new, known=len(given) - new)

    row = {
        "type": "object",
        "properties": {name: {} for name in COLUMNS},
        "required": ["trace_id", "span_id", "rubric", "value"],
    }
    content = {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"labels": {"type": "array", "items": row, "maxItems": IMPORT_MAX}},
                "required": ["labels"],
                "example": examples.NEW_LABELS,
            }
        },
        "text/csv": {"schema": {"type": "string"}},
    }
    routes.add_api_route(
        "/labels",
        keep,
        methods=["POST"],
        response_model=Kept,
        summary="Send labels by people, as JSON or CSV",
        description="In the form in which they are given out. All are stored, or none and the first bad row is named.",
        openapi_extra={"requestBody": {"required": True, "content": content}},
        route_class_override=limited_to(_BODY_MAX_BYTES, reviewer),
    )


def _rows(body: bytes, kind: str) -> list[dict[str, Any]]:
    """The rows of a body, each as a mapping from column to value."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadQuestion("The body is not UTF-8.") from None
    if kind.partition(";")[0].strip().lower() == "text/csv":
        return _of_csv(text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadQuestion(
            'The body is no JSON. Send {"labels": […]}, or CSV with Content-Type: text/csv.'
        ) from None
    rows = found.get("labels") if isinstance(found, dict) and set(found) == {"labels"} else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadQuestion('Send {"labels": […]}, each an object with trace_id, span_id, rubric and value.')
    return rows


def _of_csv(text: str) -> list[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [name.strip() for name in next(reader, [])]
        if len(set(head)) < len(head) or not head:
            raise BadQuestion("The first line of the CSV names its columns, each once.")
        rows = []
        for at, cells in enumerate(reader, 1):
            if not cells or cells[0].startswith("#"):
                continue
            if len(cells) != len(head):
                raise BadQuestion(f"Row {at}: it has {len(cells)} cells, and the first line {len(head)}.")
            rows.append({name: cell for name, cell in zip(head, cells, strict=True) if cell != ""})
            if len(rows) > IMPORT_MAX:
                raise BadQuestion(f"These are more than {IMPORT_MAX} labels. Send fewer at once.")
    except csv.Error as error:
        raise BadQuestion(f"The body is no CSV: {error}.") from None
    return rows


def _add_agreement(routes: APIRouter, engine: Engine, reader: Any) -> None:
    @routes.get(
        "/agreement",
        response_model=AgreementOut,
        summary="How far the judge agrees with people, beside people with each other",
    )
    def show_agreement(
        request: Request,
        access: Access = reader,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        name: Annotated[str | None, Query(description="one dimension of quality")] = None,
        asked: Annotated[
            bool | None, Query(description="true takes in requests that were not drawn by chance")
        ] = None,
    ) -> AgreementOut:
        _only(request, {"from", "to", "zone", "name", "asked"})
        window = window_of(start, end, zone)
        with tenant(engine, access.project_id) as connection:
            rated = read_rated(connection, window, check_name(name), asked=bool(asked))
        return AgreementOut(
            **{"from": window.start, "to": window.end},
            method=METHOD,
            rows=[
                AgreementRow(
                    name=one.name,
                    labelled=one.labelled,
                    twice=one.twice,
                    judge_kappa=_out(one.judge_kappa),
                    judge_icc=_out(one.judge_icc),
                    people_kappa=_out(one.people_kappa),
                    people_icc=_out(one.people_icc),
                )
                for one in agreements(rated)
            ],
        )


def _out(of: Agreement) -> CoefficientOut:
    return CoefficientOut(items=of.items, value=of.value, low=of.low, high=of.high, reason=of.reason)


def _only(request: Request, known: set[str]) -> None:
    if strange := sorted(set(request.query_params) - known):
        raise BadQuestion(f"There is no parameter {strange[0][:60]!r} here. Use {', '.join(sorted(known))}.")
