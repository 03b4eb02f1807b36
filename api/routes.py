"""The JSON API, `/api/v1`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Engine

from api import schema
from api.alerts import add_alerts
from api.anchors import add_anchors
from api.asking import (
    FILTER_DOCS,
    From,
    GroupBy,
    Interval,
    To,
    Zone,
    filters_of,
    window_of,
    words_of,
)
from api.audit import add_audit
from api.body import limited_to
from api.channels import add_channels
from api.comparisons import add_comparisons
from api.estimates import add_estimates
from api.judging import add_judging
from api.labels import add_labels
from api.quality import add_quality
from api.reviews import add_reviews
from api.scores import add_scores, score_out
from core import csv_text, errors
from core.access import Access, check_role, key_in_header, new_key
from core.errors import BadQuestion, Forbidden, TripointError
from core.ledger import parse_request_id, parse_trace_id
from core.pricing.price import PriceBook
from core.question import (
    MAX_ROWS,
    METRICS,
    REQUEST_ORDERS,
    Lens,
    check_question,
    check_request_order,
)
from core.store import audit, keys, requests
from core.store.door import Door
from core.store.prices import explain_request
from core.store.session import tenant

_STATUS: tuple[tuple[type[TripointError], int, str], ...] = (
    (errors.TooLarge, 413, "Content Too Large"),
    (errors.BadInput, 400, "Bad Request"),
    (errors.Unauthenticated, 401, "Unauthorized"),
    (errors.Forbidden, 403, "Forbidden"),
    (errors.NotFound, 404, "Not Found"),
    (errors.TooManyAttempts, 429, "Too Many Requests"),
    (errors.Overloaded, 503, "Service Unavailable"),
    (errors.Unavailable, 503, "Service Unavailable"),
)
_BODY_MAX_BYTES = 64 * 1024
# What is no filter. The requests behind an attribution are asked for with the same words and perhaps more.
_SHARED = {"format", "from", "to", "zone", "group_by", "interval", "metrics", "order", "direction", "limit"}
_OF_COSTS = {*_SHARED, "offset"}
_OF_REQUESTS = {*_SHARED, "trace_id", "cursor"}


@dataclass(frozen=True, slots=True)
class Api:
    """What the API needs; made once a process by the roof. `settle` settles one project now and returns
    the number of traces."""

    engine: Engine
    door: Door
    lens: Lens
    book: Callable[[], PriceBook]
    settle: Callable[[int], int]
    clock: Callable[[], datetime]


def problem(error: TripointError) -> JSONResponse:
    """An error as the API shows it."""
    status, title = next(
        ((s, t) for kind, s, t in _STATUS if isinstance(error, kind)), (500, "Internal Server Error")
    )
    return problem_reply(error, status, title)


def problem_reply(error: TripointError, status: int, title: str) -> JSONResponse:
    """An error under a status of its own (RFC 9457)."""
    headers = {"Retry-After": str(error.retry_after_s)} if error.retryable else {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tripoint"'
    body = {"title": title, "status": status, "detail": str(error)}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _problems(words: dict[int | str, str]) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes the errors."""
    content = {"application/problem+json": {"schema": schema.Problem.model_json_schema()}}
    return {code: {"description": description, "content": content} for code, description in words.items()}


_NOT_FOUND = _problems({404: "not in this project"})


def router(api: Api) -> APIRouter:
    """All routes of the API."""
    problems = _problems(
        {
            400: "the question names something that does not exist",
            401: "no key, or one that is unknown, expired or revoked",
            403: "the key's role does not allow this",
            503: "the database cannot be reached just now; try again",
            "default": "any other error",
        }
    )
    routes = APIRouter(prefix="/api/v1", responses=problems, route_class=limited_to(_BODY_MAX_BYTES))
    _add_costs(routes, api)
    _add_requests(routes, api)
    scorer = _admitted(api, Access.may_score, "cannot score. Use an ingest, review or admin key.")
    add_scores(routes, api.engine, api.clock, _reader(api), scorer)
    add_quality(routes, api.engine, _reader(api))
    ruler = _admitted(api, Access.may_administer, "cannot change judging. Use an admin key.")
    add_judging(routes, api.engine, api.clock, _reader(api), Depends(ruler))
    add_comparisons(routes, api.engine, api.clock, _reader(api), ruler)
    add_estimates(routes, api.engine, _reader(api))
    reviewer = _admitted(api, Access.may_review, "cannot label. Use a review or admin key.")
    add_reviews(routes, api.engine, api.clock, _reader(api), Depends(reviewer))
    add_labels(routes, api.engine, api.clock, _reader(api), reviewer)
    reviewer = _admitting(api, Access.may_review, "cannot decide on alerts. Use a review or admin key.")
    add_alerts(routes, api.engine, api.clock, _reader(api), reviewer, _ruler(api))
    add_anchors(routes, api.engine, api.clock, _reader(api), _ruler(api))
    add_channels(routes, api.engine, api.clock, _ruler(api))
    _add_administration(routes, api)
    return routes


def _admitted(api: Api, allows: Callable[[Access], bool], hint: str) -> Callable[[Request], Access]:
    """Lets in whose role allows it, and tells others which key would do."""

    def admitted(request: Request) -> Access:
        access = api.door.open(key_in_header(request.headers.get("authorization")))
        if not allows(access):
            raise Forbidden(f"A key with the role {access.role!r} {hint}")
        return access

    return admitted


def _admitting(api: Api, allows: Callable[[Access], bool], hint: str) -> Any:
    """The same as a dependency."""
    return Depends(_admitted(api, allows, hint))


_Format = Annotated[
    Literal["json", "csv"] | None,
    Query(description="json, or csv for all rows as a file; left out, what the header Accept asks for"),
]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "Successful Response"}
}


def _wants_csv(request: Request, format: str | None) -> bool:
    accept = request.headers.get("accept", "")
    return format == "csv" or (format is None and "text/csv" in accept and "json" not in accept)


def _file(parts: Iterator[str], name: str) -> StreamingResponse:
    return StreamingResponse(
        csv_text.begun(parts), media_type=csv_text.MEDIA_TYPE, headers=csv_text.disposition(name)
    )


def _reader(api: Api) -> Any:
    return _admitting(api, Access.may_read, "cannot read. Use a read key.")


def _ruler(api: Api) -> Any:
    return _admitting(api, Access.may_administer, "cannot do this. Use an admin key.")


def _add_costs(routes: APIRouter, api: Api) -> None:
    reader = _reader(api)

    @routes.get(
        "/attribution",
        response_model=schema.AttributionOut,
        responses=_CSV,
        summary="Who spends what: sums, counts and percentiles by any dimension",
        openapi_extra=FILTER_DOCS,
    )
    def list_costs(
        request: Request,
        access: Access = reader,
        group_by: GroupBy = None,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        interval: Interval = None,
        metrics: Annotated[
            str | None, Query(description="any of " + ", ".join(METRICS), examples=["requests,cost"])
        ] = None,
        order: Annotated[
            str | None,
            Query(
                description="a metric, a dimension that groups, or start where there is an interval; left out, start"
                " where there is an interval, else cost, or the first metric asked for"
            ),
        ] = None,
        direction: Annotated[
            str | None,
            Query(description="asc or desc; left out, metrics the largest first, dimensions and start asc"),
        ] = None,
        limit: Annotated[
            int | None, Query(description=f"rows at the most, 1 to {MAX_ROWS}; left out, 1000")
        ] = None,
        offset: Annotated[
            int | None,
            Query(description="rows to leave out before the first: `next_offset` of the page before"),
        ] = None,
        format: _Format = None,
    ) -> Any:
        as_csv = _wants_csv(request, format)
        if as_csv and (limit is not None or offset is not None):
            raise BadQuestion("A CSV has all rows. Leave limit and offset out.")
        question = check_question(
            window=window_of(start, end, zone),
            group_by=words_of(group_by),
            filters=filters_of(request, _OF_COSTS),
            interval=interval,
            metrics=words_of(metrics),
            order=order,
            direction=direction,
            limit=1000 if limit is None else limit,
            offset=offset or 0,
            zone=zone,
        )
        if as_csv:
            pages = api.lens.pages(access.project_id, question, MAX_ROWS)
            name = csv_text.file_name(
                "attribution", question.group_by, question.interval, question.window, question.zone
            )
            return _file(csv_text.attribution_text(pages), name)
        return JSONResponse(_plain(schema.attribution_out(api.lens.ask(access.project_id, question))))


def _add_requests(routes: APIRouter, api: Api) -> None:
    reader = _reader(api)

    @routes.get(
        "/requests",
        response_model=schema.RequestPage,
        responses=_CSV,
        summary="Requests, newest first or in another order",
        openapi_extra=FILTER_DOCS,
    )
    def list_requests(
        request: Request,
        access: Access = reader,
        trace_id: Annotated[str | None, Query(description="32 hex digits")] = None,
        start: From = None,
        end: To = None,
        zone: Zone = None,
        limit: Annotated[
            int | None,
            Query(
                description="items at the most, 1 to 1000; left out, 50. A CSV has up to"
                f" {requests.CSV_MAX}, and says in its last line how to get the rest"
            ),
        ] = None,
        order: Annotated[
            str | None, Query(description=f"{', '.join(REQUEST_ORDERS)}; left out, started")
        ] = None,
        direction: Annotated[
            str | None,
            Query(description="asc or desc; left out, desc. What is unknown comes last either way"),
        ] = None,
        cursor: Annotated[
            str | None,
            Query(description="`next` or `previous` of another page, with the same order and direction"),
        ] = None,
        format: _Format = None,
    ) -> Any:
        as_csv = _wants_csv(request, format)
        if limit is not None and not 1 <= limit <= (requests.CSV_MAX if as_csv else 1000):
            raise BadQuestion(f"limit must be between 1 and {requests.CSV_MAX if as_csv else 1000}.")
        window, filters = window_of(start, end, zone), filters_of(request, _OF_REQUESTS)
        trace, by = parse_trace_id(trace_id) if trace_id else None, check_request_order(order, direction)
        if as_csv:
            most = limit or requests.CSV_MAX
            found = requests.all_requests(
                api.engine,
                access.project_id,
                window,
                filters,
                trace_id=trace,
                order=by,
                cursor=cursor,
                most=most,
            )
            name = csv_text.file_name("requests", (), None, window, zone or "UTC")
            return _file(csv_text.requests_text(found), name)
        with tenant(api.engine, access.project_id) as connection:
            page = requests.find_requests(
                connection,
                window,
                filters,
                trace_id=trace,
                order=by,
                cursor=cursor,
                limit=limit or 50,
            )
            judging = requests.judging_among(connection, window, filters, trace)
        return schema.RequestPage(
            items=[schema.request_out(item) for item in page.items],
            next=page.next,
            previous=page.previous,
            judging=schema.judging_out(judging),
        )

    @routes.get(
        "/requests/{request_id}",
        response_model=schema.RequestOut,
        summary="One request",
        responses=_NOT_FOUND,
    )
    def show_request(request_id: str, access: Access = reader) -> schema.RequestOut:
        with tenant(api.engine, access.project_id) as connection:
            return schema.request_out(requests.one_request(connection, *parse_request_id(request_id)))

    @routes.get(
        "/requests/{request_id}/cost",
        response_model=schema.CostOut,
        summary="Why a request cost what it did: line by line, down to the price version",
        responses=_NOT_FOUND,
    )
    def explain_cost(request_id: str, access: Access = reader) -> schema.CostOut:
        with tenant(api.engine, access.project_id) as connection:
            found = requests.one_request(connection, *parse_request_id(request_id))
            explanation = explain_request(connection, found, api.book())
        return schema.CostOut(id=found.id, **explanation.as_json())

    @routes.get(
        "/traces/{trace_id}", response_model=schema.TraceOut, summary="One trace", responses=_NOT_FOUND
    )
    def show_trace(trace_id: str, access: Access = reader) -> schema.TraceOut:
        with tenant(api.engine, access.project_id) as connection:
            trace = requests.one_trace(connection, parse_trace_id(trace_id))
        return schema.TraceOut(
            trace_id=trace.trace_id,
            requests=[schema.request_out(item) for item in trace.requests],
            spans=[schema.span_out(span) for span in trace.spans],
            complete=trace.complete,
            contents=[
                schema.ContentOut(span_id=c.span_id, input=c.input, output=c.output) for c in trace.contents
            ],
            scores=[score_out(score) for score in trace.scores],
        )


def _plain(value: Any) -> Any:
    """Times as ISO text with Z, the rest as it is."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _add_administration(routes: APIRouter, api: Api) -> None:
    administrator = _ruler(api)
    add_audit(routes, api.engine, administrator)

    @routes.post(
        "/settle", response_model=schema.Settled, summary="Settle now what waits, for tests and backfills"
    )
    def settle(access: Access = administrator) -> schema.Settled:
        with tenant(api.engine, access.project_id) as connection:
            audit.note(connection, access.project_id, access.who, "settle")
        return schema.Settled(traces=api.settle(access.project_id))

    @routes.get(
        "/keys", response_model=list[schema.KeyOut], summary="The project's keys, without their secrets"
    )
    def list_keys(access: Access = administrator) -> list[schema.KeyOut]:
        with tenant(api.engine, access.project_id) as connection:
            return [
                schema.KeyOut(
                    id=key.id,
                    role=key.role,
                    name=key.name,
                    hint=key.hint,
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                    revoked_at=key.revoked_at,
                    last_used_at=key.last_used_at,
                )
                for key in keys.list_keys(connection)
            ]

    @routes.post(
        "/keys", response_model=schema.MadeKey, status_code=201, summary="Make a key; it is shown this once"
    )
    def make_key(wanted: schema.NewKey, access: Access = administrator) -> schema.MadeKey:
        role = check_role(wanted.role)
        secret = new_key(role, os.urandom(32))
        expires = api.clock() + timedelta(days=wanted.expires_in_days) if wanted.expires_in_days else None
        with tenant(api.engine, access.project_id) as connection:
            made = keys.make_key(
                connection,
                access.project_id,
                secret,
                role,
                access.who,
                name=wanted.name,
                expires_at=expires,
            )
        return schema.MadeKey(id=made, key=secret)

    @routes.delete("/keys/{key_id}", status_code=204, summary="Revoke a key", responses=_NOT_FOUND)
    def revoke_key(key_id: Annotated[int, Path(ge=1, le=2**63 - 1)], access: Access = administrator) -> None:
        with tenant(api.engine, access.project_id) as connection:
            keys.revoke(connection, access.project_id, key_id, access.who)
        api.door.forget(key_id)
