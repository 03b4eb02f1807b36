"""What one family of instrumentations says about itself: the form of every table in this room.

A new family is one new module that builds a Family, and one line in `registry.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.conventions import values
from core.usage import Reading

Billing = Literal["request", "sum", "never"]


@dataclass(frozen=True, slots=True)
class Role:
    """What a span is: a request, a span whose tokens may be the sum of requests below it, or neither."""

    kind: str
    billing: Billing = "sum"


def request(operation: str) -> Role:
    """A billable call to a model."""
    return Role(operation, "request")


NEVER_FETCH = Role("fetch", "never")
AGENT, WORKFLOW, TASK, TOOL = Role("agent"), Role("workflow"), Role("task"), Role("tool")
CHAIN, RETRIEVER, MEMORY, HTTP, SPAN = (
    Role("chain"),
    Role("retriever"),
    Role("memory"),
    Role("http"),
    Role("span"),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known about one instrumentation scope beyond its attribute names.

    `reading`: whether its input number includes cached tokens.
    `native`: it is the provider's own SDK, whose numbers win over a third party's.
    `marks_streams_beside`: wherever it sends this attribute it also marks every streamed call as such,
    so an unmarked call was not streamed.
    `ends_streams_with_a_reason`: it reports a finish reason for every stream that ended, so a stream
    with neither reason nor usage was broken off.
    """

    reading: Reading | None = None
    native: bool = False
    marks_streams_beside: str | None = None
    ends_streams_with_a_reason: bool = False


@dataclass(frozen=True, slots=True)
class Blob:
    """A JSON attribute that hides fields: field → keys to try at its top level."""

    attribute: str
    fields: Mapping[str, Sequence[str]]
    tags: bool = False  # its other short values become tags


@dataclass(frozen=True, slots=True)
class Texts:
    """Where the content is: whole attributes first, then numbered ones, then events."""

    whole: Sequence[str] = ()
    system: Sequence[str] = ()
    numbered: Sequence[str] = ()
    events: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """One family's table.

    `fields` maps a field of FIELDS to the attribute names that carry it, best first. `last_resorts` are
    tried only after every family's names and JSON attributes. `tag_prefixes` open the names of free tags.
    `kinds` maps an attribute to the meaning of its values, in lower case.
    """

    name: str
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    last_resorts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tag_prefixes: Sequence[str] = ()
    kinds: Mapping[str, Mapping[str, Role]] = field(default_factory=dict)
    blobs: Sequence[Blob] = ()
    first_token_events: Sequence[str] = ()
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    asked: Texts = Texts()
    answered: Texts = Texts()


def _each(reader: values.Reader, *fields: str) -> dict[str, tuple[str, values.Reader]]:
    return {name: (name, reader) for name in fields}


# The fields that tables may name: field → (what it fills, how its value is read). Units belong to the
# name of an attribute, never to the size of its value, so the two TTFT fields differ by unit alone.
FIELDS: Mapping[str, tuple[str, values.Reader]] = {
    **_each(values.label, "feature", "feature_hint", "user", "session", "tenant", "plan", "tier"),
    **_each(values.label, "router", "router_version", "route_reason"),
    **_each(values.label, "cascade_id", "escalated_from", "fallback_from"),
    **_each(
        values.label, "provider", "request_model", "response_model", "response_id", "region", "error_type"
    ),
    **_each(values.count, "input", "output", "total", "reasoning"),
    **_each(values.count, "cache_read", "cache_write", "cache_write_5m", "cache_write_1h"),
    **_each(values.word, "operation", "service_tier", "service_tier_asked", "cache"),
    **_each(values.small, "cascade_step", "attempt", "retries"),
    **_each(values.number, "route_score", "cache_similarity"),
    **_each(values.flag, "streaming", "batch", "aborted"),
    "ttft_s": ("ttft_ns", values.seconds),
    "ttft_ms": ("ttft_ns", values.milliseconds),
    "http_status": ("http_status", values.http_status),
    "finish_reason": ("finish_reason", values.finish_reason),
    "server_address": ("server_address", values.host),
    "cost_reported": ("cost_reported_pico", values.dollars),
}

# What applications put into free metadata under names of their own, whatever library carries it.
# A `tier` there is the customer's subscription, never the tier of a model.
FREE_METADATA: Mapping[str, Sequence[str]] = {
    "feature": ("feature",),
    "user": ("user_id", "userId"),
    "session": ("session_id", "sessionId"),
    "tenant": ("tenant", "tenant_id"),
    "plan": ("plan", "tier"),
}
