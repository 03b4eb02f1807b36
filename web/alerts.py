"""Alerts: the list, and one of them as an investigation that can be read, printed and decided on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import Connection

from core.access import Access
from core.errors import BadInput, Forbidden, NotFound
from core.stats.stream import changed
from core.store import alerts, anchors, deliveries, watches
from core.store.session import tenant
from web import session
from web.drift_chart import instant, rounds_chart, stream_chart
from web.form import Form
from web.pages import render, script_json
from web.parts import Parts
from web.zone import zone_of

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
_ROWS = 50
_STREAMS = 100
WHO = {
    "system": "The system changed",
    "judge": "The judge changed",
    "both": "The system and the judge changed",
    "undetermined": "It is not clear who changed",
}


def add_alerts(routes: APIRouter, parts: Parts) -> None:
    """The pages under `/alerts`."""
    reader, posted = parts.reader(), parts.posted()

    @routes.get("/alerts")
    def show_alerts(request: Request, state: str = "", cursor: str = "", access: Access = reader) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            page = alerts.list_alerts(connection, state or None, cursor or None, _ROWS)
            known = _watched(connection)
        return _page(request, parts, "alerts.html", page=page, state=state, cursor=cursor, who=WHO, **known)

    @routes.get("/alerts/{alert_id}")
    def show_alert(request: Request, alert_id: Number, access: Access = reader) -> Response:
        zone = zone_of(request)
        with tenant(parts.engine, access.project_id) as connection:
            alert = alerts.one_alert(connection, alert_id)
            sent = deliveries.of_alert(connection, alert_id)
        body = alert.body
        witness = (alert.later or body).get("anchors") or {}
        return _page(
            request, parts, "alert.html",
            alert=alert, body=body, who=WHO, deliveries=sent, at=instant,
            spec=script_json(stream_chart(body, zone)),
            rounds=script_json(rounds_chart(witness.get("rounds", []), witness.get("margin"), zone)),
            requests_link=_requests_link(body, zone), may_decide=access.may_review(),
        )  # fmt: skip

    _add_decisions(routes, parts, reader, posted)


def _add_decisions(routes: APIRouter, parts: Parts, reader: Any, posted: Any) -> None:
    @routes.post("/alerts/{alert_id}/acknowledge")
    def acknowledge(
        request: Request, alert_id: Number, access: Access = reader, form: Form = posted
    ) -> Response:
        return _decide(request, parts, access, alert_id, alerts.acknowledge, "You are looking at it.")

    @routes.post("/alerts/{alert_id}/resolve")
    def resolve(request: Request, alert_id: Number, access: Access = reader, form: Form = posted) -> Response:
        words = "It is resolved. What comes from now on is the new normal."
        return _decide(request, parts, access, alert_id, alerts.resolve, words)


def _decide(
    request: Request, parts: Parts, access: Access, alert_id: int, decide: Callable[..., object], words: str
) -> Response:
    shown = {"done": words}
    try:
        if not access.may_review():
            raise Forbidden("Your role may read alerts, not decide on them. Ask for the role review.")
        with tenant(parts.engine, access.project_id) as connection:
            decide(connection, access.project_id, alert_id, access.who, parts.clock())
    except (BadInput, NotFound, Forbidden) as error:
        shown = {"wrong": str(error)}
    return session.go_and_show(f"/alerts/{alert_id}", request, parts.secure, **shown)


def _watched(connection: Connection) -> dict[str, Any]:
    """What is watched and how it stands, the most evidence first."""
    evidence = watches.evidence(connection)
    terms = watches.terms_of(connection)
    return {
        "streams": watches.watched(connection, limit=_STREAMS),
        "moved": changed({str(number): value for number, value in evidence.items()}, terms.alpha),
        "watching": len(evidence),
        "terms": terms,
        "about": alerts.open_about(connection),
        "key_of": alerts.key_of,
        "left_out": watches.left_out(connection),
        "anchors": anchors.watched(connection),
    }


def _requests_link(body: Mapping[str, Any], zone: ZoneInfo) -> str | None:
    """The stream's requests from a day before the change until it was found; None of a judge."""
    watch, change = body.get("watch"), body.get("change")
    if not watch or not change:
        return None
    start = instant(change["low"]) - timedelta(days=1)
    ends = (start, instant(change["after"]["to"]) + timedelta(minutes=1))
    pairs = [
        (name, moment.astimezone(zone).isoformat(timespec="minutes"))
        for name, moment in zip(("from", "to"), ends, strict=True)
    ]
    pairs += [(n, watch[n]) if watch[n] else ("unset", n) for n in ("feature", "tier", "model")]
    return "/requests?" + urlencode(pairs)


def _page(request: Request, parts: Parts, template: str, **known: Any) -> Response:
    shown = session.shown_once(request, parts.secure) or {}
    page = render(
        template,
        path="/alerts",
        zone=zone_of(request),
        visitor=session.visitor(request),
        shown=shown,
        base_url=str(request.base_url).rstrip("/"),
        **known,
    )
    response = HTMLResponse(page)
    if shown:
        session.drop_cookie(response, parts.secure, "shown")
    return response
