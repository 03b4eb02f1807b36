"""The pages. Each opens, asks, shapes and renders; the numbers are the API's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Engine

from core.access import Access, new_key
from core.errors import NotFound, TripointError, Unauthenticated
from core.ledger import LedgerRequest, is_hex
from core.pricing.price import PriceBook
from core.question import DIMENSIONS, METRICS, Lens
from core.store import keys, requests
from core.store.door import Door
from core.store.prices import explain_request
from core.store.rows import instant
from core.store.session import tenant, transaction
from web import chart, format
from web.address import PERIODS, Address, parse_address
from web.waterfall import waterfall

_HERE = Path(__file__).parent
_COOKIE = "tripoint_session"
_SESSION = timedelta(days=30)
_SHOWN = (
    "requests",
    "cost",
    "input_tokens",
    "output_tokens",
    "latency_p50",
    "latency_p95",
    "ttft_p50",
    "ttft_p95",
    "errors",
)
_ROWS = 200
_PAGE = 50
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


def router(web: Web) -> APIRouter:
    """All pages."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    pages = _pages()
    _add_sign_in(routes, web, pages)
    _add_static(routes)
    _add_pages(routes, web, pages)
    return routes


def problem_page(error: TripointError, status: int) -> HTMLResponse:
    """An error as a page."""
    page = _pages().get_template("problem.html")
    return HTMLResponse(page.render(message=str(error), status=status, path="", signed_in=False), status)


def wants_page(request: Request) -> bool:
    """True where a person's browser asked, not a program."""
    return not request.url.path.startswith(("/api/", "/v1/")) and "text/html" in request.headers.get(
        "accept", ""
    )


def _pages() -> Environment:
    env = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        f=format, periods=PERIODS, dimensions=DIMENSIONS, metric_names=chart.METRIC_NAMES, label=chart.label,
        not_set=chart.NOT_SET, instant=instant, units=METRICS,
    )  # fmt: skip
    return env


def _add_sign_in(routes: APIRouter, web: Web, pages: Environment) -> None:
    @routes.get("/sign-in")
    def sign_in(token: str = "") -> Response:
        if not token:
            page = pages.get_template("sign_in.html").render(path="/sign-in", signed_in=False)
            return HTMLResponse(page, 401)
        now = web.clock()
        with transaction(web.engine) as connection:
            access = keys.authenticate(connection, token, now, "sign_in")
            keys.consume(connection, access, now)
            secret = new_key(access.role, os.urandom(32))
            keys.add_key(
                connection, access.project_id, secret, access.role, kind="session", expires_at=now + _SESSION
            )
        response = RedirectResponse("/attribution", 303)
        response.set_cookie(
            _COOKIE, secret, max_age=int(_SESSION.total_seconds()), httponly=True, samesite="lax",
            secure=web.secure_cookies, path="/",
        )  # fmt: skip
        return response


def _add_static(routes: APIRouter) -> None:
    style = (_HERE / "static" / "style.css").read_bytes()
    script = (_HERE / "static" / "page.js").read_bytes()
    cached = {"Cache-Control": "public, max-age=3600"}

    @routes.get("/static/style.css")
    def stylesheet() -> Response:
        return Response(style, media_type="text/css", headers=cached)

    @routes.get("/static/page.js")
    def page_script() -> Response:
        return Response(script, media_type="text/javascript", headers=cached)

    @routes.get("/static/vega.js")
    def vega_script() -> Response:
        body, version = chart.bundle()
        headers = {
            "Cache-Control": "public, max-age=86400",
            "Content-Encoding": "gzip",
            "ETag": f'"{version}"',
        }
        return Response(body, media_type="text/javascript", headers=headers)


def _reader(web: Web) -> Any:
    def reader(request: Request) -> Access:
        secret = request.cookies.get(_COOKIE)
        if not secret:
            raise Unauthenticated(
                "You are not signed in. Open the address that `tripoint up` or `tripoint link` prints."
            )
        access = web.door.open(secret, "session")
        if not access.may_read():
            raise Unauthenticated("This session cannot read pages.")
        return access

    return Depends(reader)


def _add_pages(routes: APIRouter, web: Web, pages: Environment) -> None:
    reader = _reader(web)

    @routes.get("/")
    def home(access: Access = reader) -> Response:
        return RedirectResponse("/attribution", 303)

    @routes.get("/attribution")
    def show_costs(request: Request, access: Access = reader) -> str:
        address = parse_address(request.query_params.multi_items(), default_group=("feature",))
        answer = web.lens.ask(access.project_id, address.question(web.clock(), _SHOWN, _ROWS))
        return pages.get_template("attribution.html").render(
            **_common(address, "/attribution"),
            answer=answer,
            shown=_SHOWN,
            spec=_script_json(chart.spec(answer, answer.question.order)),
            rows=[(row, _behind(address, row.group)) for row in answer.rows],
        )

    @routes.get("/requests")
    def show_requests(request: Request, access: Access = reader) -> str:
        address = parse_address(request.query_params.multi_items())
        with tenant(web.engine, access.project_id) as connection:
            page = requests.find_requests(
                connection,
                address.window(web.clock()),
                address.filters,
                cursor=address.cursor or None,
                limit=_PAGE,
            )
        return pages.get_template("requests.html").render(
            **_common(address, "/requests"),
            items=page.items,
            next=replace(address, cursor=page.next).to("/requests") if page.next else None,
        )

    @routes.get("/traces/{trace_id}")
    def show_trace(trace_id: str, access: Access = reader) -> str:
        if not is_hex(trace_id.lower(), 32):
            raise NotFound("A trace id is 32 hex digits.")
        with tenant(web.engine, access.project_id) as connection:
            trace = requests.one_trace(connection, trace_id.lower())
            explained = {
                item.id: explain_request(connection, item, web.book()) for item in trace.requests[:_EXPLAINED]
            }
        return pages.get_template("trace.html").render(
            trace=trace,
            fall=waterfall(trace),
            explained=explained,
            total=_total([item for item in trace.requests if item.counted]),
            path="/traces",
            signed_in=True,
            truncated=max(len(trace.requests), len(trace.spans)) >= requests.TRACE_SPANS_MAX,
        )


def _common(address: Address, path: str) -> dict[str, Any]:
    return {"address": address, "path": path, "signed_in": True}


def _behind(address: Address, group: tuple[str | None, ...]) -> str:
    narrowed = address.only(list(zip(address.group_by, group, strict=False)))
    return replace(narrowed, group_by=(), interval="", order="").to("/requests")


def _total(counted: list[LedgerRequest]) -> dict[str, int | None]:
    """The trace's money and tokens over what is known, and how many requests have no price."""
    priced = [item.cost_pico for item in counted if item.cost_pico is not None]
    return {
        "requests": len(counted),
        "cost": sum(priced) if priced else None,
        "unpriced": len(counted) - len(priced),
        "input": _sum([item.record.usage.input_tokens for item in counted]),
        "output": _sum([item.record.usage.output_tokens for item in counted]),
    }


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
