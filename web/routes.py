"""The pages. Each opens, asks, shapes and renders; the numbers are the API's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy import Engine

from core import csv_text
from core.access import Access
from core.errors import BadQuestion
from core.judged import rows
from core.ledger import parse_trace_id
from core.pricing.price import PriceBook
from core.question import MAX_ROWS, Lens, check_request_order
from core.store import requests
from core.store.door import Door
from core.store.estimates import read_judged, reasons_of
from core.store.judges import any_policy
from core.store.prices import explain_request
from core.store.session import tenant
from core.window import Window
from web import api_docs, attribution, chart, judged, listing, quality, session
from web.address import Address, came_from_form, parse_address
from web.alerts import add_alerts
from web.assets import add_assets
from web.judging import add_judging
from web.overview import overview
from web.pages import render, script_json
from web.parts import Parts
from web.reviews import add_reviews
from web.safety import HttpsOnly, PageRoute
from web.scores import listed
from web.settings import add_settings
from web.sign_in import add_sign_in, error_page
from web.values import leading_values
from web.vault import Vault
from web.waterfall import total, waterfall
from web.zone import zone_of

__all__ = ["HttpsOnly", "Web", "error_page", "router", "wants_page"]

# How many of a trace's requests are explained on its page; the rest have their cost and a link.
_EXPLAINED = 50


@dataclass(frozen=True, slots=True)
class Web:
    """What the pages need; made once a process by the roof."""

    engine: Engine
    door: Door
    lens: Lens
    book: Callable[[], PriceBook]
    clock: Callable[[], datetime]
    secure_cookies: bool = False
    vault: Vault = field(default_factory=Vault)


def router(web: Web) -> APIRouter:
    """All pages."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, route_class=PageRoute)
    parts = Parts(web.engine, web.door, web.clock, web.secure_cookies, web.vault)
    add_sign_in(routes, parts)
    add_alerts(routes, parts)
    add_settings(routes, parts)
    add_reviews(routes, parts)
    add_judging(routes, parts)
    add_assets(routes)
    _add_overview(routes, web)
    _add_costs(routes, web)
    _add_requests(routes, web)
    _add_quality(routes, web)
    _add_api_docs(routes, web)
    return routes


def wants_page(request: Request) -> bool:
    """True where a person's browser asked, not a program."""
    return not request.url.path.startswith(("/api/", "/v1/")) and "text/html" in request.headers.get(
        "accept", ""
    )


def _reader(web: Web) -> Any:
    def reader(request: Request) -> Access:
        return session.reader(web.door, request, web.secure_cookies)

    return Depends(reader)


def _add_overview(routes: APIRouter, web: Web) -> None:
    reader = _reader(web)

    @routes.get("/")
    def home(access: Access = reader) -> Response:
        return RedirectResponse("/overview", 303)

    @routes.get("/overview", response_model=None)
    def show_overview(request: Request, access: Access = reader) -> str | Response:
        pairs = request.query_params.multi_items()
        address = parse_address(pairs, zone=zone_of(request).key)
        if came_from_form(pairs):
            return RedirectResponse(address.to("/overview"), 303)
        view = overview(web.lens, access.project_id, address, web.clock(), ZoneInfo(address.zone))
        return render(
            "overview.html",
            **_common(request, address, "/overview"),
            view=view,
            quality=view and quality.quality(web.engine, access.project_id, view.by_tier.question),
            q=quality,
            untouched=view is None and _untouched(web, access),
        )

    @routes.get("/values")
    def list_values(
        request: Request, dimension: str, prefix: str = "", access: Access = reader
    ) -> JSONResponse:
        own = ("dimension", "prefix")
        address = parse_address(
            [pair for pair in request.query_params.multi_items() if pair[0] not in own],
            zone=zone_of(request).key,
        )
        found = leading_values(web.lens, access.project_id, address, dimension, prefix[:200], web.clock())
        return JSONResponse(found)


def _add_costs(routes: APIRouter, web: Web) -> None:
    reader = _reader(web)

    @routes.get("/attribution", response_model=None)
    def show_costs(request: Request, access: Access = reader) -> str | Response:
        pairs = request.query_params.multi_items()
        address = parse_address(pairs, default_group=("feature",), zone=zone_of(request).key)
        if came_from_form(pairs):
            return RedirectResponse(address.to("/attribution"), 303)
        answer, drawn = attribution.ask(web.lens, access.project_id, address, web.clock())
        return render(
            "attribution.html",
            **_common(request, address, "/attribution"),
            answer=answer,
            table=attribution.table(answer, address),
            spec=script_json(chart.spec(drawn, address.drawn, ZoneInfo(address.zone))),
            chart_note=chart.note(drawn, address.drawn),
            untouched=answer.coverage.requests == 0 and _untouched(web, access),
        )

    @routes.get("/attribution.csv")
    def save_costs(request: Request, access: Access = reader) -> StreamingResponse:
        pairs = request.query_params.multi_items()
        address = parse_address(pairs, default_group=("feature",), zone=zone_of(request).key)
        question = attribution.question(address.first(), web.clock(), MAX_ROWS)
        pages = web.lens.pages(access.project_id, question, MAX_ROWS)
        name = csv_text.file_name(
            "attribution", question.group_by, question.interval, question.window, question.zone
        )
        return _file(csv_text.attribution_text(pages), name)


def _file(parts: Iterator[str], name: str) -> StreamingResponse:
    return StreamingResponse(
        csv_text.begun(parts), media_type=csv_text.MEDIA_TYPE, headers=csv_text.disposition(name)
    )


def _add_requests(routes: APIRouter, web: Web) -> None:
    reader = _reader(web)

    @routes.get("/requests", response_model=None)
    def show_requests(request: Request, access: Access = reader) -> str | Response:
        pairs = request.query_params.multi_items()
        address = parse_address(pairs, zone=zone_of(request).key)
        if came_from_form(pairs):
            return RedirectResponse(address.to("/requests"), 303)
        now = web.clock()
        order = check_request_order(address.order, address.direction)
        question = address.plain().question(now, ("requests", "cost", "errors"), 1)
        answer = web.lens.ask(access.project_id, question)
        with tenant(web.engine, access.project_id) as connection:
            page = requests.find_requests(
                connection,
                question.window,
                address.filters,
                order=order,
                cursor=address.cursor or None,
                limit=listing.ROWS,
            )
        if address.cursor and not page.items:
            return RedirectResponse(address.first().to("/requests"), 303)
        return render(
            "requests.html",
            **_common(request, address, "/requests"),
            items=page.items,
            answer=answer,
            around=listing.listing(address, order, page),
            csv_max=requests.CSV_MAX,
            untouched=not page.items and _untouched(web, access),
        )

    @routes.get("/requests.csv")
    def save_requests(request: Request, access: Access = reader) -> StreamingResponse:
        address = parse_address(request.query_params.multi_items(), zone=zone_of(request).key)
        window = address.window(web.clock())
        found = requests.all_requests(
            web.engine,
            access.project_id,
            window,
            address.filters,
            order=check_request_order(address.order, address.direction),
            cursor=address.cursor or None,
        )
        name = csv_text.file_name("requests", (), None, window, address.zone)
        return _file(csv_text.requests_text(found), name)

    @routes.get("/traces/{trace_id}")
    def show_trace(request: Request, trace_id: str, access: Access = reader) -> str:
        with tenant(web.engine, access.project_id) as connection:
            trace = requests.one_trace(connection, parse_trace_id(trace_id))
            reasons = reasons_of(connection, trace.trace_id) if trace.scores else {}
            explained = {
                item.id: explain_request(connection, item, web.book()) for item in trace.requests[:_EXPLAINED]
            }
            with_why = any_policy(connection)
        return render(
            "trace.html",
            path="/traces",
            zone=zone_of(request),
            visitor=session.visitor(request),
            base_url=_base_url(request),
            trace=trace,
            fall=waterfall(trace),
            explained=explained,
            total=total(trace),
            scores=listed(trace.scores),
            reasons=reasons,
            with_why=with_why,
        )


def _add_quality(routes: APIRouter, web: Web) -> None:
    reader = _reader(web)

    @routes.get("/quality", response_model=None)
    def show_quality(request: Request, access: Access = reader) -> str | Response:
        pairs = request.query_params.multi_items()
        address = parse_address(pairs, zone=zone_of(request).key)
        if came_from_form(pairs):
            return RedirectResponse(address.to("/quality"), 303)
        view, refused = None, ""
        try:
            view = judged.view(web.engine, access.project_id, address, web.clock())
        except BadQuestion as error:
            refused = str(error)
        return render(
            "quality.html",
            **_common(request, address, "/quality"),
            view=view,
            refused=refused,
            j=judged,
            spec=script_json(view.spec) if view else "null",
            untouched=view is None and _untouched(web, access),
        )

    @routes.get("/quality.csv")
    def save_quality(request: Request, access: Access = reader) -> StreamingResponse:
        address = parse_address(request.query_params.multi_items(), zone=zone_of(request).key)
        question = judged.csv_question(address, web.clock())
        found = read_judged(web.engine, access.project_id, question, address.score or None)
        name = csv_text.file_name(
            "quality", question.group_by, question.interval, question.window, question.zone
        )
        return _file(csv_text.estimates_text(question, rows(found, found.names)), name)


def _add_api_docs(routes: APIRouter, web: Web) -> None:
    @routes.get("/api/docs")
    def show_api(request: Request) -> str:
        base_url = _base_url(request)
        visitor = session.visitor_if_any(web.door, request, web.secure_cookies)
        return render(
            "api.html",
            path="/api/docs",
            signed_in=visitor is not None,
            visitor=visitor,
            base_url=base_url,
            routes=api_docs.routes(request.app.openapi(), base_url),
        )


def _common(request: Request, address: Address, path: str) -> dict[str, Any]:
    zone = ZoneInfo(address.zone)
    return {
        "address": address,
        "path": path,
        "base_url": _base_url(request),
        "zone": zone,
        "visitor": session.visitor(request),
    }


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _untouched(web: Web, access: Access) -> bool:
    """Whether this project has no request at all, so that an empty page can say how to send the first."""
    with tenant(web.engine, access.project_id) as connection:
        return not requests.find_requests(connection, Window(), {}, counted_only=False, limit=1).items
