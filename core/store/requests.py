"""Requests and traces as readers look them up."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import zstandard
from sqlalchemy import Connection, Row, Select, select, tuple_

from core.errors import BadQuestion, NotFound
from core.ledger import LedgerRequest, Page, Trace, is_hex
from core.question import Value
from core.request import Content
from core.store.lens import conditions
from core.store.rows import nanoseconds, record_of, span_of
from core.store.tables import content, context_span, request, user_name
from core.window import Window

_R = request.c
# Of a trace's prompts and answers so many bytes are read at most.
_CONTENT_MAX = 64 * 1024 * 1024
# A trace's page shows so many spans at most; it says so where there are more.
TRACE_SPANS_MAX = 2000


def find_requests(
    connection: Connection,
    window: Window,
    filters: Mapping[str, Sequence[Value]],
    *,
    trace_id: str | None = None,
    counted_only: bool = True,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """The requests of the entered project that pass, newest first."""
    statement = _select().where(*conditions(window, filters))
    if counted_only:
        statement = statement.where(_R.counted)
    if trace_id is not None:
        statement = statement.where(_R.trace_id == trace_id)
    if cursor:
        statement = statement.where(tuple_(_R.started_at, _R.trace_id, _R.span_id) < tuple_(*_decode(cursor)))
    statement = statement.order_by(_R.started_at.desc(), _R.trace_id.desc(), _R.span_id.desc()).limit(
        limit + 1
    )
    rows = connection.execute(statement).all()
    return Page(
        [_ledger(row) for row in rows[:limit]], _encode(rows[limit - 1]) if len(rows) > limit else None
    )


def one_request(connection: Connection, trace_id: str, span_id: str) -> LedgerRequest:
    """One request of the entered project."""
    row = connection.execute(
        _select()
        .where(_R.trace_id == trace_id, _R.span_id == span_id)
        .order_by(_R.counted.desc(), _R.started_at)
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such request in this project.")
    return _ledger(row)


def one_trace(connection: Connection, trace_id: str) -> Trace:
    """Everything of one trace of the entered project, in order of time; where it is more than
    `TRACE_SPANS_MAX` of a kind or 64 MiB of content, what is left out is said by `complete`."""
    requests = connection.execute(
        _select()
        .where(_R.trace_id == trace_id)
        .order_by(_R.started_at, _R.span_id)
        .limit(TRACE_SPANS_MAX + 1)
    ).all()
    spans = connection.execute(
        select(context_span, user_name.c.name.label("user_name"))
        .outerjoin(user_name, user_name.c.key == context_span.c.user_key)
        .where(context_span.c.trace_id == trace_id)
        .order_by(context_span.c.started_at, context_span.c.span_id)
        .limit(TRACE_SPANS_MAX + 1)
    ).all()
    if not requests and not spans:
        raise NotFound("There is no such trace in this project.")
    shown = requests[:TRACE_SPANS_MAX]
    contents, all_of_them = _contents(connection, trace_id, {row.span_id: row.started_at for row in shown})
    return Trace(
        trace_id=trace_id,
        requests=[_ledger(row) for row in shown],
        spans=[span_of(row._mapping) for row in spans[:TRACE_SPANS_MAX]],
        contents=contents,
        complete=all_of_them and max(len(requests), len(spans)) <= TRACE_SPANS_MAX,
    )


def _contents(
    connection: Connection, trace_id: str, starts: Mapping[str, datetime]
) -> tuple[list[Content], bool]:
    """The contents of the spans in `starts`, as far as they fit the memory for it, and whether all did."""
    rows = connection.execute(
        select(content).where(content.c.trace_id == trace_id).limit(TRACE_SPANS_MAX),
        execution_options={"yield_per": 10},
    )
    found: list[Content] = []
    room = _CONTENT_MAX
    for row in rows:
        if row.span_id not in starts:
            continue
        room -= zstandard.frame_content_size(row.body)
        if room < 0:
            return found, False
        body = json.loads(zstandard.ZstdDecompressor().decompress(row.body))
        started_ns = nanoseconds(starts[row.span_id])
        found.append(Content(trace_id, row.span_id, started_ns, body.get("input"), body.get("output")))
    return found, True


def _select() -> Select[Any]:
    return select(request, user_name.c.name.label("user_name")).outerjoin(
        user_name, user_name.c.key == _R.user_key
    )


def _ledger(row: Row[Any]) -> LedgerRequest:
    return LedgerRequest(
        record=record_of(row._mapping),
        state=row.state,
        counted=row.counted,
        duplicate_of=row.duplicate_of,
        price_version_id=row.price_version_id,
        pricing_status=row.pricing_status,
        pricing_reason=row.pricing_reason,
        cost_pico=row.cost_pico,
        list_pico=row.list_pico,
        received_at=row.received_at,
    )


def _encode(row: Row[Any]) -> str:
    plain = json.dumps([row.started_at.isoformat(), row.trace_id, row.span_id])
    return base64.urlsafe_b64encode(plain.encode()).decode()


def _decode(cursor: str) -> tuple[datetime, str, str]:
    try:
        started_at, trace_id, span_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        at = datetime.fromisoformat(started_at)
        if is_hex(trace_id, 32) and is_hex(span_id, 16) and at.tzinfo is not None:
            return at, trace_id, span_id
    except (ValueError, TypeError, binascii.Error, UnicodeError, RecursionError):
        pass
    raise BadQuestion("This cursor is not one that a page of requests gave. Start again without it.")
