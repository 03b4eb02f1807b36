"""What the API answers with, as OpenAPI shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from api.scores import ScoreOut
from core.ledger import LedgerRequest
from core.money import to_decimal_string
from core.question import MONEY, Answer, Judging, Row
from core.request import ContextSpan
from core.store.rows import instant


def _shown(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that OpenAPI shows with an example."""
    return ConfigDict(json_schema_extra={"example": example})


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["There is no dimension 'featre'. Use one of feature, user, …"])


class UsageOut(BaseModel):
    """Token counts; null is unknown. Input includes the cache classes, output includes reasoning."""

    input_tokens: int | None
    uncached_input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    reading: str | None = Field(description="how the provider's input number was read")


class RequestOut(BaseModel):
    """One request. null means unknown; money is a decimal string in `currency`."""

    model_config = _shown(examples.REQUEST)

    id: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    started_at: datetime
    provider: str | None
    request_model: str | None
    response_model: str | None
    response_id: str | None
    operation: str | None
    service: str | None
    environment: str | None
    release: str | None
    feature: str | None
    user: str | None
    session: str | None
    tenant: str | None
    plan: str | None
    tier: str | None
    tags: dict[str, str]
    router: str | None
    router_version: str | None
    route_score: float | None
    route_reason: str | None
    cascade_id: str | None
    cascade_step: int | None
    escalated_from: str | None
    fallback_from: str | None
    attempt: int | None
    retries: int | None
    service_tier: str | None
    batch: bool
    region: str | None
    cache: str | None
    usage: UsageOut
    ttft_ms: float | None
    duration_ms: float
    streaming: bool | None
    status: str
    error_type: str | None
    http_status: int | None
    finish_reason: str | None
    cost: str | None
    list_cost: str | None
    cost_reported: str | None
    currency: str
    pricing_status: str
    pricing_reason: str | None
    price_version_id: int | None
    state: str
    counted: bool = Field(description="false where another row stands for the same call")
    duplicate_of: str | None
    source: str
    source_version: str


class JudgingOut(BaseModel):
    """Tripoint's own calls to judges among the requests that pass the window and filters."""

    requests: int
    cost: str | None = Field(description="of those with a price; null where there are calls and none has one")
    unpriced_requests: int
    included: bool = Field(
        description="whether they are in the answer's rows and totals: where a filter names feature=judge or"
        " source=tripoint.judge, or a trace is asked for by its id; else they are left out"
    )


class RequestPage(BaseModel):
    """`next` is the cursor of the page after this one, null on the last; `previous` of the one before, null on the
    first."""

    model_config = _shown(examples.REQUESTS)

    items: list[RequestOut]
    next: str | None
    previous: str | None
    judging: JudgingOut


class SpanOut(BaseModel):
    """A span of the trace that is not a request."""

    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    source: str
    service: str | None
    started_at: datetime
    duration_ms: float
    status: str
    error_type: str | None
    feature: str | None
    user: str | None
    session: str | None


class ContentOut(BaseModel):
    """What was asked and answered, in the sender's own shape."""

    span_id: str
    input: str | None
    output: str | None


class TraceOut(BaseModel):
    """One trace: its requests (uncounted ones included), its other spans, its contents."""

    model_config = _shown(examples.TRACE)

    trace_id: str
    requests: list[RequestOut]
    spans: list[SpanOut]
    contents: list[ContentOut]
    scores: list[ScoreOut] = Field(description="of its requests, of its spans and of the whole, newest first")
    complete: bool = Field(description="false where the trace is longer than what is shown")


class CostLineOut(BaseModel):
    """`quantity` units at `unit_price` for `per` units make `amount`, exactly."""

    meter: str
    quantity: int
    unit: str
    unit_price: str
    per: int
    pico_per_unit: int
    amount: str
    note: str | None


class CostOut(BaseModel):
    """Why a request cost what it did. Its lines sum to `cost`; `why` says in words what `reason` means."""

    model_config = _shown(examples.COST)

    id: str
    status: str
    reason: str | None
    why: str | None
    currency: str
    cost: str | None
    list_cost: str | None
    lines: list[CostLineOut]
    arithmetic: str | None
    context: dict[str, str]
    price: dict[str, Any] | None = Field(description="the price version, its source and validity")
    model: dict[str, Any] | None = Field(description="which name led to the price, and how")
    usage_reading: str | None


class CoverageOut(BaseModel):
    """What the totals stand on. Unpriced requests are in no sum of money."""

    requests: int
    priced: int
    unpriced: int
    unpriced_reasons: dict[str, int]
    usage_known: int
    ttft_known: int
    provisional: int


class AttributionOut(BaseModel):
    """One row a group (and interval): its dimensions, `start` (in UTC) where an interval was asked for, its metrics."""

    model_config = _shown(examples.ATTRIBUTION)

    as_of: datetime
    currency: str
    start: datetime | None = Field(alias="from", description="first moment of the window, null for no limit")
    end: datetime | None = Field(alias="to", description="first moment after the window, null for no limit")
    coverage: CoverageOut
    groups: int = Field(description="how many rows there are in all, whatever `offset` and `limit`")
    next_offset: int | None = Field(description="`offset` of the rows after these, null where there are none")
    judging: JudgingOut
    total: dict[str, Any] = Field(
        description="over all groups, those cut off by `offset` and `limit` included"
    )
    rows: list[dict[str, Any]]


class KeyOut(BaseModel):
    """A key without its secret."""

    model_config = _shown(examples.KEY)

    id: int
    role: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKey(BaseModel):
    """What a new key shall be allowed to do."""

    role: str = Field(examples=["ingest"], description="ingest, read, finance, review or admin")
    name: str = Field("", max_length=200, examples=["checkout service"])
    expires_in_days: int | None = Field(None, ge=1, le=3650)


class MadeKey(BaseModel):
    """The only time that the secret is shown."""

    model_config = _shown(examples.MADE_KEY)

    id: int
    key: str


class Settled(BaseModel):
    """How many traces were settled."""

    model_config = _shown(examples.SETTLED)

    traces: int


def request_out(item: LedgerRequest) -> RequestOut:
    """A ledger row as JSON."""
    record, usage, context = item.record, item.record.usage, item.record.context
    return RequestOut(
        id=item.id,
        trace_id=record.trace_id,
        span_id=record.span_id,
        parent_span_id=record.parent_span_id,
        started_at=instant(record.started_ns),
        provider=record.provider,
        request_model=record.request_model,
        response_model=record.response_model,
        response_id=record.response_id,
        operation=record.operation,
        service=record.service,
        environment=record.environment,
        release=record.release,
        feature=context.feature,
        user=context.user,
        session=context.session,
        tenant=context.tenant,
        plan=context.plan,
        tier=context.tier,
        tags=dict(context.tags),
        router=context.router,
        router_version=context.router_version,
        route_score=context.route_score,
        route_reason=context.route_reason,
        cascade_id=context.cascade_id,
        cascade_step=context.cascade_step,
        escalated_from=context.escalated_from,
        fallback_from=context.fallback_from,
        attempt=record.attempt,
        retries=record.retries,
        service_tier=record.service_tier,
        batch=record.batch,
        region=record.region,
        cache=record.cache,
        usage=UsageOut(
            input_tokens=usage.input_tokens,
            uncached_input_tokens=usage.uncached_input,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            cache_write_1h_tokens=usage.cache_write_1h,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning,
            reading=usage.reading,
        ),
        ttft_ms=None if record.ttft_ns is None else record.ttft_ns / 1e6,
        duration_ms=record.duration_ns / 1e6,
        streaming=record.streaming,
        status=record.status,
        error_type=record.error_type,
        http_status=record.http_status,
        finish_reason=record.finish_reason,
        cost=money(item.cost_pico),
        list_cost=money(item.list_pico),
        cost_reported=money(record.cost_reported_pico),
        currency="USD",
        pricing_status=item.pricing_status,
        pricing_reason=item.pricing_reason,
        price_version_id=item.price_version_id,
        state=item.state,
        counted=item.counted,
        duplicate_of=item.duplicate_of,
        source="aggregate" if record.aggregate else record.source,
        source_version=record.source_version,
    )


def span_out(span: ContextSpan) -> SpanOut:
    """A context span as JSON."""
    return SpanOut(
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind=span.kind,
        source=span.source,
        service=span.service,
        started_at=instant(span.started_ns),
        duration_ms=span.duration_ns / 1e6,
        status=span.status,
        error_type=span.error_type,
        feature=span.context.feature,
        user=span.context.user,
        session=span.context.session,
    )


def attribution_out(answer: Answer) -> dict[str, Any]:
    """An answer as JSON: money as decimal strings, everything else as numbers."""
    coverage = answer.coverage
    window = answer.question.window
    return {
        "as_of": answer.as_of,
        "currency": "USD",
        "from": window.start,
        "to": window.end,
        "coverage": {
            "requests": coverage.requests,
            "priced": coverage.priced,
            "unpriced": coverage.unpriced,
            "unpriced_reasons": dict(coverage.unpriced_reasons),
            "usage_known": coverage.usage_known,
            "ttft_known": coverage.ttft_known,
            "provisional": coverage.provisional,
        },
        "judging": judging_out(answer.judging).model_dump(),
        "groups": answer.groups,
        "next_offset": answer.next_offset,
        "total": _metrics(answer.total),
        "rows": [_row(answer, row) for row in answer.rows],
    }


def judging_out(judging: Judging) -> JudgingOut:
    """What judging came to as JSON."""
    return JudgingOut(
        requests=judging.requests,
        cost=money(judging.cost_pico),
        unpriced_requests=judging.unpriced,
        included=judging.included,
    )


def _row(answer: Answer, row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(answer.question.group_by, row.group, strict=False))
    if answer.question.interval:
        shown["start"] = row.start
    return shown | _metrics(row)


def _metrics(row: Row) -> dict[str, Any]:
    shown = {
        name: money(value) if name in MONEY and (value is None or isinstance(value, int)) else value
        for name, value in row.metrics.items()
    }
    return shown | {"unpriced_requests": row.unpriced}


def money(pico: int | None) -> str | None:
    """Pico-dollars as a decimal string; unknown stays null."""
    return None if pico is None else to_decimal_string(pico)
