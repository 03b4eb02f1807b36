"""Requests and traces as readers look them up."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import zstandard
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, or_, select, tuple_

from core.errors import BadQuestion, NotFound
from core.ledger import LedgerRequest, Page, Trace
from core.question import NEWEST, Judging, RequestOrder, Value
from core.request import Content, RequestRecord
from core.store.cursor import Cursor, read_cursor, write_cursor
from core.store.rows import nanoseconds, record_of, span_of
from core.store.scores import find_scores
from core.store.session import tenant
from core.store.statements import (
    answered,
    asked_by_people,
    conditions,
    has_content,
    judging,
    judging_of,
    tokens,
)
from core.store.tables import content, context_span, request, user_name
from core.window import Window

_R = request.c
_ORDERS: Mapping[str, ColumnElement[Any]] = {
    "started": _R.started_at,
    "cost": _R.cost_pico,
    "input_tokens": tokens()["input_tokens"],
    "output_tokens": tokens()["output_tokens"],
    "ttft": _R.ttft_us,
    "latency": _R.duration_us,
}
# Of a trace's prompts and answers so many bytes are read at most.
_CONTENT_MAX = 64 * 1024 * 1024
# Rows of a part of a long answer.
_PART = 500
# A trace's page shows so many spans at most; it says so where there are more.
TRACE_SPANS_MAX = 2000


def find_requests(
    connection: Connection,
    window: Window,
    filters: Mapping[str, Sequence[Value]],
    *,
    trace_id: str | None = None,
    counted_only: bool = True,
    order: RequestOrder = NEWEST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """The requests of the entered project that pass, a page of them.

    Pages are cut by the last row's place, so none is shown twice or left out while others arrive. By `started` a page
    reads little more than its own rows, from an index; any other order reads all rows that pass, for every page.
    """
    at = read_cursor(cursor, order) if cursor else None
    statement = _passing(window, filters, trace_id, order, at)
    if counted_only:
        statement = statement.where(_R.counted)
    back = at is not None and at.back
    rows = connection.execute(statement.order_by(*_in_order(order, back)).limit(limit + 1)).all()
    shown = rows[limit - 1 :: -1] if back else rows[:limit]
    more = len(rows) > limit

    return Page(
        [_ledger(row) for row in shown],
        next=_place(shown[-1], order, before=False) if shown and (more or back) else None,
        previous=_place(shown[0], order, before=True) if shown and at and (more or not back) else None,
    )


def judging_among(
    connection: Connection,
    window: Window,
    filters: Mapping[str, Sequence[Value]],
    trace_id: str | None = None,
) -> Judging:
    """What the calls to judges come to among the requests that pass; of one trace they are in the list."""
    statement = judging(window, filters)
    if trace_id is not None:
        statement = statement.where(_R.trace_id == trace_id)
    found = judging_of(connection.execute(statement).mappings().one(), filters)
    return found if trace_id is None else replace(found, included=True)


CSV_MAX = 100_000
"""So many requests are given out at once."""


def all_requests(
    engine: Engine,
    project_id: int,
    window: Window,
    filters: Mapping[str, Sequence[Value]],
    *,
    trace_id: str | None = None,
    order: RequestOrder = NEWEST,
    cursor: str | None = None,
    most: int = CSV_MAX,
) -> Iterator[Sequence[LedgerRequest] | str]:
    """The counted requests that pass, at one moment, a part of them in memory at a time; where they are more than
    `most`, the cursor of the rest comes last. A reader who takes none for a minute loses his connection."""
    at = read_cursor(cursor, order) if cursor else None
    if at and at.back:
        raise BadQuestion("A file goes forward: use the cursor `next`, not `previous`.")
    statement = _passing(window, filters, trace_id, order, at).where(_R.counted)
    with tenant(engine, project_id) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = connection.execute(
            statement.order_by(*_in_order(order, back=False)).limit(most + 1),
            execution_options={"yield_per": _PART},
        )
        count, last = 0, None
        for part in found.partitions():
            shown = part[: most - count]
            count += len(part)
            last = shown[-1] if shown else last
            yield [_ledger(row) for row in shown]
        if last is not None and count > most:
            yield _place(last, order, before=False)


def _passing(
    window: Window,
    filters: Mapping[str, Sequence[Value]],
    trace_id: str | None,
    order: RequestOrder,
    at: Cursor | None,
) -> Select[Any]:
    statement = _select().add_columns(_ORDERS[order.by].label("place"))
    statement = statement.where(*conditions(window, filters))
    # A trace is asked for by its name, whoever made it.
    by_name = [] if trace_id is None else [_R.trace_id == trace_id]
    statement = statement.where(*(by_name or asked_by_people(filters)))
    return statement.where(*_beyond(at)) if at else statement


def _place(row: Row[Any], order: RequestOrder, *, before: bool) -> str:
    value = None if order.by == "started" else row.place
    return write_cursor(Cursor(order, before, value, row.trace_id, row.span_id, row.started_at))


def _in_order(order: RequestOrder, back: bool) -> list[ColumnElement[Any]]:
    """The order, or the same backwards."""
    ties = [_R.trace_id, _R.span_id]
    down = order.descending != back
    # Starts are always known, and only without a word about NULL are they read from their index.
    columns = [_R.started_at, *ties] if order.by == "started" else [_ORDERS[order.by], *ties, _R.started_at]
    first, *rest = [column.desc() if down else column.asc() for column in columns]
    if order.by != "started":
        first = first.nulls_first() if back else first.nulls_last()
    return [first, *rest]


def _beyond(at: Cursor) -> list[ColumnElement[bool]]:
    """The rows after a cursor, or before it where it looks back."""
    down = at.order.descending != at.back
    side = operator.lt if down else operator.gt
    if at.order.by == "started":
        place = tuple_(_R.started_at, _R.trace_id, _R.span_id)
        near = operator.le if down else operator.ge
        # The first two say nothing new, but leave out partitions and let the index find the place.
        return [
            near(_R.day, at.started_at.date()),
            near(_R.started_at, at.started_at),
            side(place, tuple_(at.started_at, at.trace_id, at.span_id)),
        ]
    column = _ORDERS[at.order.by]
    ties = side(
        tuple_(_R.trace_id, _R.span_id, _R.started_at), tuple_(at.trace_id, at.span_id, at.started_at)
    )
    if at.value is None:
        level = and_(column.is_(None), ties)
        return [or_(column.is_not(None), level) if at.back else level]
    past = [side(column, at.value), and_(column == at.value, ties)]
    return [or_(*past) if at.back else or_(*past, column.is_(None))]


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


def with_content(connection: Connection, limit: int) -> list[RequestRecord]:
    """The newest requests of the entered project that were answered and whose content is stored."""
    statement = _select().where(*answered(), has_content()).order_by(_R.started_at.desc()).limit(limit)
    return [_ledger(row).record for row in connection.execute(statement)]


def one_trace(connection: Connection, trace_id: str) -> Trace:
    """Everything of one trace of the entered project, in order of time; where it is more than
    `TRACE_SPANS_MAX` spans of a kind, 1,000 scores or 64 MiB of content, what is left out is said by `complete`."""
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
    scores = find_scores(connection, trace_id)
    return Trace(
        trace_id=trace_id,
        requests=[_ledger(row) for row in shown],
        spans=[span_of(row._mapping) for row in spans[:TRACE_SPANS_MAX]],
        contents=contents,
        complete=all_of_them and scores.complete and max(len(requests), len(spans)) <= TRACE_SPANS_MAX,
        scores=scores.items,
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
