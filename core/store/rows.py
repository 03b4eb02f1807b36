"""Between a request as a value and a request as a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Any

from core.request import Context, ContextSpan, RequestRecord
from core.usage import Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400 * 1_000_000_000

# The context fields that keep their names as columns; user and feature are told apart below.
CONTEXT_COLUMNS = (
    "session",
    "tenant",
    "plan",
    "tier",
    "router",
    "router_version",
    "route_score",
    "route_reason",
    "cascade_id",
    "cascade_step",
    "escalated_from",
    "fallback_from",
)
_USAGE_COLUMNS = (
    "uncached_input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "visible_output",
    "reasoning",
)
# Fields of the record that are columns of the same name.
_PLAIN_COLUMNS = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "source",
    "source_version",
    "native",
    "aggregate",
    "response_id",
    "service",
    "environment",
    "release",
    "provider",
    "request_model",
    "response_model",
    "operation",
    "service_tier",
    "batch",
    "region",
    "server_address",
    "cache",
    "cache_similarity",
    "streaming",
    "attempt",
    "retries",
    "status",
    "error_type",
    "http_status",
    "finish_reason",
    "cost_reported_pico",
)
_SPAN_COLUMNS = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "source",
    "kind",
    "service",
    "status",
    "error_type",
)
_plain = attrgetter(*_PLAIN_COLUMNS)
_usage = attrgetter(*_USAGE_COLUMNS)
_context = attrgetter(*CONTEXT_COLUMNS)
_span = attrgetter(*_SPAN_COLUMNS)


def day_of(started_ns: int) -> date:
    """The UTC day on which a span started: its partition."""
    return date.fromordinal(_EPOCH.toordinal() + started_ns // _DAY_NS)


def instant(ns: int) -> datetime:
    """Unix nanoseconds as a time, cut to PostgreSQL's microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def nanoseconds(at: datetime) -> int:
    """The inverse of `instant`, exact."""
    passed = at - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000


def _duration_us(started_ns: int, duration_ns: int) -> int:
    # The end is cut as the start is, so that a child inside its parent stays inside.
    return (started_ns + duration_ns) // 1000 - started_ns // 1000


def request_values(record: RequestRecord) -> dict[str, Any]:
    """The columns that a record fills, the user still by name under `user_name`."""
    usage, context = record.usage, record.context
    values: dict[str, Any] = dict(zip(_PLAIN_COLUMNS, _plain(record), strict=True))
    values.update(_context_values(context))
    values["feature"] = context.feature or context.feature_hint
    values.update(zip(_USAGE_COLUMNS, _usage(usage), strict=True))
    values["usage_reading"] = usage.reading
    values["usage_raw"] = dict(usage.raw) or None
    values["day"] = day_of(record.started_ns)
    values["started_at"] = instant(record.started_ns)
    values["duration_us"] = _duration_us(record.started_ns, record.duration_ns)
    values["ttft_us"] = None if record.ttft_ns is None else record.ttft_ns // 1000
    return values


def span_values(span: ContextSpan) -> dict[str, Any]:
    """The columns that a context span fills, the user still by name under `user_name`."""
    values: dict[str, Any] = dict(zip(_SPAN_COLUMNS, _span(span), strict=True))
    values.update(_context_values(span.context))
    values["feature_hint"] = span.context.feature_hint
    values["day"] = day_of(span.started_ns)
    values["started_at"] = instant(span.started_ns)
    values["duration_us"] = _duration_us(span.started_ns, span.duration_ns)
    return values


def _context_values(context: Context) -> dict[str, Any]:
    values: dict[str, Any] = dict(zip(CONTEXT_COLUMNS, _context(context), strict=True))
    values["feature"] = context.feature
    values["user_name"] = context.user
    values["tags"] = dict(context.tags) or None
    return values


def first_as_sent(record: RequestRecord) -> dict[str, Any] | None:
    """What a fresh row must remember of the wire: a feature that was only hinted at."""
    context = record.context
    if context.feature is None and context.feature_hint is not None:
        return {"feature": None, "feature_hint": context.feature_hint}
    return None


def as_sent(record: RequestRecord, settled: RequestRecord) -> dict[str, Any] | None:
    """The columns in which the settled record differs from the sent one, with the sent values."""
    before, after = request_values(record), request_values(settled)
    before["feature"] = record.context.feature
    changed = {name: value for name, value in before.items() if value != after[name]}
    # A user that was sent is never replaced, so no name can land in here (erasure relies on it).
    if changed.get("user_name") is not None:
        raise AssertionError("the settle replaced a user that the sender named")
    if record.context.feature is None and record.context.feature_hint is not None:
        changed["feature_hint"] = record.context.feature_hint
    for name in ("started_at", "day"):
        changed.pop(name, None)
    return changed or None


def sent_record(row: Mapping[Any, Any]) -> RequestRecord:
    """The record as it was sent, from a row with its user's name."""
    return record_of({**row, **(row["as_sent"] or {})})


def record_of(row: Mapping[Any, Any]) -> RequestRecord:
    """The record that a row holds now."""
    started_ns = nanoseconds(row["started_at"])
    return RequestRecord(
        started_ns=started_ns,
        duration_ns=row["duration_us"] * 1000,
        ttft_ns=None if row["ttft_us"] is None else row["ttft_us"] * 1000,
        context=_context_of(row),
        usage=Usage(
            **{name: row[name] for name in _USAGE_COLUMNS},
            reading=row["usage_reading"],
            raw=row["usage_raw"] or {},
        ),
        **{name: row[name] for name in _PLAIN_COLUMNS},
    )


def span_of(row: Mapping[Any, Any]) -> ContextSpan:
    """The context span that a row holds."""
    return ContextSpan(
        started_ns=nanoseconds(row["started_at"]),
        duration_ns=row["duration_us"] * 1000,
        context=_context_of(row),
        **{name: row[name] for name in _SPAN_COLUMNS},
    )


def _context_of(row: Mapping[Any, Any]) -> Context:
    return Context(
        feature=row["feature"],
        feature_hint=row.get("feature_hint"),
        user=row["user_name"],
        tags=row["tags"] or {},
        **{name: row[name] for name in CONTEXT_COLUMNS},
    )
