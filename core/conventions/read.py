"""A span → the request it records, or the context that it gives to requests around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.conventions.attributes import Facts, facts_from
from core.conventions.family import SPAN, Role, Scope
from core.conventions.providers import provider_of
from core.conventions.registry import FIRST_TOKEN_EVENTS, KINDS, SCOPES
from core.conventions.tokens import exclusive_usage
from core.conventions.values import label
from core.request import Cache, Context, ContextSpan, RequestRecord, Status
from core.span import Span, SpanEvent
from core.usage import Usage

_ERROR_CODE = re.compile(r"Error code: (\d{3})\b")
_UNKNOWN_SCOPE = Scope()
_CACHES: Mapping[str, Cache] = {"none": "none", "exact": "exact", "semantic": "semantic", "prefix": "prefix"}
_COUNTS = (
    "input",
    "output",
    "total",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
)


def record_from_span(span: Span) -> RequestRecord | ContextSpan:
    """The span as a request where it is billable, else as context.

    A span that is no request but carries tokens comes back as an aggregate request: whether it is
    billed is for `settle` to say, once the spans below it are known.
    """
    facts = facts_from(span.attributes)
    role = role_of(span.attributes)
    carries_tokens = "input" in facts.values or "output" in facts.values
    if role.billing == "request" or (role.billing == "sum" and carries_tokens):
        return _request(span, facts, role)
    return _context_span(span, facts, role)


def role_of(attributes: Mapping[str, Any]) -> Role:
    """What the first attribute that says so makes of the span."""
    for attribute, roles in KINDS.items():
        if attribute in attributes:
            role = roles.get(str(attributes[attribute]).strip('"').lower())
            if role is not None:
                return role
    return SPAN


def _request(span: Span, facts: Facts, role: Role) -> RequestRecord:
    values, resource = facts.values, span.resource
    scope = SCOPES.get(span.scope, _UNKNOWN_SCOPE)
    usage = _usage(facts, scope)
    streaming, ttft_ns = _stream(span, values, scope)
    status, error_type, http_status = _outcome(span, values)
    finish_reason = values.get("finish_reason")
    broken_off = streaming and _broken_off(finish_reason, usage, scope)
    if status == "ok" and (broken_off or values.get("aborted")):
        status = "aborted"
    model = values.get("request_model") or values.get("response_model")
    service_tier = values.get("service_tier") or values.get("service_tier_asked")
    billable = role.billing == "request"
    return RequestRecord(
        trace_id=span.trace_id,
        span_id=span.span_id,
        started_ns=span.start_ns,
        duration_ns=span.end_ns - span.start_ns,
        name=span.name[:512],
        parent_span_id=span.parent_span_id,
        source=span.scope[:512],
        source_version=span.scope_version[:512],
        native=scope.native,
        aggregate=not billable,
        response_id=values.get("response_id"),
        service=label(resource.get("service.name")),
        environment=_environment(resource),
        release=label(resource.get("service.version")),
        context=_context(span, facts),
        provider=provider_of(values.get("provider"), model),
        request_model=values.get("request_model"),
        response_model=values.get("response_model"),
        operation=role.kind if billable else values.get("operation"),
        service_tier=service_tier,
        batch=bool(values.get("batch")) or service_tier == "batch",
        region=values.get("region"),
        server_address=values.get("server_address"),
        cache=_CACHES.get(values.get("cache", "")),
        cache_similarity=values.get("cache_similarity"),
        usage=usage,
        streaming=streaming,
        ttft_ns=ttft_ns,
        attempt=values.get("attempt"),
        retries=values.get("retries"),
        status=status,
        error_type=error_type,
        http_status=http_status,
        finish_reason=finish_reason,
        cost_reported_pico=_cost_reported(values, usage),
    )


def _context_span(span: Span, facts: Facts, role: Role) -> ContextSpan:
    status, error_type, _ = _outcome(span, facts.values)
    return ContextSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        started_ns=span.start_ns,
        duration_ns=span.end_ns - span.start_ns,
        name=span.name[:512],
        parent_span_id=span.parent_span_id,
        source=span.scope[:512],
        kind=role.kind,
        service=label(span.resource.get("service.name")),
        status=status,
        error_type=error_type,
        context=_context(span, facts),
    )


def _context(span: Span, facts: Facts) -> Context:
    get = facts.values.get
    user, session = get("user"), get("session")
    if span.parent_span_id is None and span.resource:
        # A process-wide user is the last resort behind every ancestor, so it enters at the root alone.
        user = user or label(span.resource.get("user.id"))
        session = session or label(span.resource.get("session.id"))
    return Context(
        feature=get("feature"),
        feature_hint=get("feature_hint"),
        user=user,
        session=session,
        tenant=get("tenant"),
        plan=get("plan"),
        tier=get("tier"),
        router=get("router"),
        router_version=get("router_version"),
        route_score=get("route_score"),
        route_reason=get("route_reason"),
        cascade_id=get("cascade_id"),
        cascade_step=get("cascade_step"),
        escalated_from=get("escalated_from"),
        fallback_from=get("fallback_from"),
        tags=facts.tags,
    )


def _environment(resource: Mapping[str, Any]) -> str | None:
    return label(resource.get("deployment.environment.name")) or label(resource.get("deployment.environment"))


def _usage(facts: Facts, scope: Scope) -> Usage:
    values = facts.values
    counts = {name: values[name] for name in _COUNTS if name in values}
    return exclusive_usage(counts, facts.raw, scope.reading)


def _cost_reported(values: Mapping[str, Any], usage: Usage) -> int | None:
    """The client's own estimate; some clients write 0 where their price list has no entry."""
    cost: int | None = values.get("cost_reported_pico")
    if cost == 0 and ((usage.input_tokens or 0) + (usage.output_tokens or 0)) > 0:
        return None
    return cost


def _stream(span: Span, values: Mapping[str, Any], scope: Scope) -> tuple[bool | None, int | None]:
    """Whether the answer was streamed, and then the time to its first token."""
    streaming: bool | None = values.get("streaming")
    if streaming is False:
        return False, None  # some libraries send the whole duration as first-token time
    ttft_ns: int | None = values.get("ttft_ns")
    if ttft_ns is None and span.events:
        ttft_ns = _first_token_ns(span)
    if streaming is None:
        if ttft_ns is not None:
            streaming = True
        elif scope.marks_streams_beside in span.attributes:
            streaming = False
    return streaming, ttft_ns


def _first_token_ns(span: Span) -> int | None:
    times = [event.time_ns for event in span.events if event.name in FIRST_TOKEN_EVENTS]
    return min(times) - span.start_ns if times and min(times) >= span.start_ns else None


def _outcome(span: Span, values: Mapping[str, Any]) -> tuple[Status, str | None, int | None]:
    """Status, error type and HTTP status, from the span, its attributes or the exception it recorded."""
    error_type, http_status = values.get("error_type"), values.get("http_status")
    exception = _exception(span)
    failed = span.status == "error" or error_type is not None or (http_status or 0) >= 400
    # a caught exception is only history where the span says that all went well
    if not failed and (exception is None or span.status == "ok"):
        return "ok", None, http_status
    said = exception.attributes if exception else {}
    if http_status is None:
        message = said.get("exception.message")
        told = f"{span.status_message[:500]}\n{message[:500] if isinstance(message, str) else ''}"
        code = _ERROR_CODE.search(told)
        http_status = int(code[1]) if code else None
    return "error", error_type or label(said.get("exception.type")), http_status


def _exception(span: Span) -> SpanEvent | None:
    for event in reversed(span.events):
        if event.name == "exception":
            return event
    return None


def _broken_off(finish_reason: str | None, usage: Usage, scope: Scope) -> bool:
    """Whether a stream that reported no error still did not run to its end; in doubt it did."""
    if finish_reason == "error":
        return True
    return finish_reason is None and not usage.known and scope.ends_streams_with_a_reason
