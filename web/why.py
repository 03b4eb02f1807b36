"""Why one request was judged, or not: each policy's own answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from core.access import Access
from core.ledger import parse_request_id
from core.store import judges, requests, sampling
from core.store.rows import instant
from core.store.session import tenant
from web.judging_page import show
from web.parts import Parts


def add_why(routes: APIRouter, parts: Parts) -> None:
    """The page, which a trace shows as a part of itself."""
    reader = parts.reader()

    @routes.get("/requests/{request_id}/judging")
    def show_why(request: Request, request_id: str, access: Access = reader) -> Response:
        trace_id, span_id = parse_request_id(request_id)
        with tenant(parts.engine, access.project_id) as connection:
            record = requests.one_request(connection, trace_id, span_id).record
            policies = judges.list_policies(connection)
            known = sampling.concerning(policies, instant(record.started_ns))
            found = sampling.why(connection, known, trace_id, span_id)
        by_id = {one.id: one for one in known}
        return show(
            request, parts, "judging_why.html", "why",
            record=record, found=[(one, by_id[one.policy_id]) for one in found],
        )  # fmt: skip
