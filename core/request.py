"""What a request is: one billable call to a model, and the spans around it that say whose call it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.usage import UNKNOWN, Usage

Status = Literal["ok", "error", "aborted"]
Cache = Literal["none", "exact", "semantic", "prefix"]


@dataclass(frozen=True, slots=True)
class Context:
    """Who a span worked for and how it was routed: what a request may inherit from its ancestors.

    `feature` was named as such by the sender; `feature_hint` is a name that merely suggests one
    (an agent, a workflow, a prompt) and counts only where no span of the chain names a feature.
    """

    feature: str | None = None
    feature_hint: str | None = None
    user: str | None = None
    session: str | None = None
    tenant: str | None = None
    plan: str | None = None
    tier: str | None = None
    router: str | None = None
    router_version: str | None = None
    route_score: float | None = None
    route_reason: str | None = None
    cascade_id: str | None = None
    cascade_step: int | None = None
    escalated_from: str | None = None
    fallback_from: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as read from one span.

    Times are nanoseconds (`started_ns` Unix time), money is integer pico-dollars, `None` is unknown.
    `aggregate` marks a summed agent or root span, billed only where no request is found below it.
    `native` marks the provider's own SDK span, whose numbers win over a third party's.
    """

    trace_id: str
    span_id: str
    started_ns: int
    duration_ns: int
    name: str = ""
    parent_span_id: str | None = None
    source: str = ""
    source_version: str = ""
    native: bool = False
    aggregate: bool = False
    response_id: str | None = None
    # who and where
    service: str | None = None
    environment: str | None = None
    release: str | None = None
    context: Context = field(default_factory=Context)
    # model
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    operation: str | None = None
    service_tier: str | None = None
    batch: bool = False
    region: str | None = None
    server_address: str | None = None
    # response cache in front of the model
    cache: Cache | None = None
    cache_similarity: float | None = None
    usage: Usage = UNKNOWN
    # time and outcome
    streaming: bool | None = None
    ttft_ns: int | None = None
    attempt: int | None = None
    retries: int | None = None
    status: Status = "ok"
    error_type: str | None = None
    http_status: int | None = None
    finish_reason: str | None = None
    cost_reported_pico: int | None = None

    @property
    def ended_ns(self) -> int:
        return self.started_ns + self.duration_ns


@dataclass(frozen=True, slots=True)
class ContextSpan:
    """A span that is not billed but places requests in their trace and lends them its context."""

    trace_id: str
    span_id: str
    started_ns: int
    duration_ns: int
    name: str = ""
    parent_span_id: str | None = None
    source: str = ""
    kind: str = "span"  # agent, workflow, task, tool, chain, retriever, http, span …
    service: str | None = None
    status: Status = "ok"
    error_type: str | None = None
    context: Context = field(default_factory=Context)


@dataclass(frozen=True, slots=True)
class Content:
    """What was asked and answered, as JSON text in the sender's own shape; lives apart from the numbers."""

    trace_id: str
    span_id: str
    started_ns: int
    input: str | None = None
    output: str | None = None
