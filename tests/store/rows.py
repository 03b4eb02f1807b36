"""Records and ledgers for tests, with nothing left to chance but their ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from collector.settle import settle_project
from core.pricing.price import PriceBook, price_request
from core.request import Content, Context, ContextSpan, RequestRecord
from core.score import Score, check_score
from core.store.intake import Batch, append
from core.store.rows import instant, nanoseconds
from core.store.session import tenant
from core.usage import Usage
from tests.conftest import Project

SECOND = 10**9
NOON = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
_CONTEXT = set(Context.__dataclass_fields__)


def trace_id() -> str:
    return os.urandom(16).hex()


def span_id() -> str:
    return os.urandom(8).hex()


def a_request(at: datetime = NOON, *, seconds: float = 1, **fields: Any) -> RequestRecord:
    """One request of 100 tokens in and 10 out; context fields by their own names."""
    context = {name: fields.pop(name) for name in list(fields) if name in _CONTEXT}
    record = RequestRecord(
        trace_id=trace_id(),
        span_id=span_id(),
        started_ns=nanoseconds(at),
        duration_ns=int(seconds * SECOND),
        name="chat",
        source="test",
        provider="openai",
        request_model="gpt-4o-mini",
        operation="chat",
        usage=Usage(uncached_input=100, visible_output=10, reading="inclusive", raw={"input": 100}),
        context=Context(**context),
    )
    return replace(record, **fields)


def a_span(at: datetime = NOON, *, seconds: float = 2, **fields: Any) -> ContextSpan:
    """One span that is no request."""
    context = {name: fields.pop(name) for name in list(fields) if name in _CONTEXT}
    span = ContextSpan(
        trace_id=trace_id(),
        span_id=span_id(),
        started_ns=nanoseconds(at),
        duration_ns=int(seconds * SECOND),
        name="work",
        source="test",
        context=Context(**context),
    )
    return replace(span, **fields)


def a_score(of: RequestRecord, name: str = "helpfulness", value: float = 1, **fields: Any) -> Score:
    """A score of a request, given a minute after it."""
    at = instant(of.started_ns) + timedelta(minutes=1)
    told = {"trace_id": of.trace_id, "span_id": of.span_id, "recorded_at": at, "now": at, **fields}
    return check_score(name=name, value=value, **told)


def store(
    engine: Engine,
    project: Project,
    book: PriceBook,
    requests: Sequence[RequestRecord] = (),
    spans: Sequence[ContextSpan] = (),
    contents: Sequence[Content] = (),
    scores: Sequence[Score] = (),
) -> int:
    """The records as one body's batch; returns how many rows are new."""
    priced = [(record, price_request(record, book)) for record in requests]
    return append(engine, [Batch(project.id, priced, spans, contents, scores)])


def settle_now(engine: Engine, project: Project, book: PriceBook) -> int:
    """Settle all that waits."""
    later = datetime.now(UTC) + timedelta(days=1)
    return settle_project(engine, project.id, book, later, timedelta(0), timedelta(0))


def table(engine: Engine, project: Project, name: str = "request") -> list[dict[str, Any]]:
    """The project's rows of a table, with users' names, in order of time."""
    names = ", u.name AS user_name" if name in ("request", "context_span") else ""
    join = " LEFT JOIN user_name u ON u.key = t.user_key" if names else ""
    order = " ORDER BY started_at, trace_id, span_id" if names else ""
    with tenant(engine, project.id) as connection:
        found = connection.execute(text(f"SELECT t.*{names} FROM {name} t{join}{order}"))
        return [dict(row) for row in found.mappings()]


def age_marks(engine: Engine, project: Project, minutes: int) -> None:
    """Let the traces wait for so much longer than they did."""
    with tenant(engine, project.id) as connection:
        ago = f"interval '{minutes} minutes'"
        connection.execute(
            text(f"UPDATE unsettled SET first_at = first_at - {ago}, last_at = last_at - {ago}")
        )
