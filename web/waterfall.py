"""A trace as a waterfall: its spans in the order of the tree, each with its place on the time line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.ledger import LedgerRequest, Trace
from core.request import Content, ContextSpan


@dataclass(frozen=True, slots=True)
class Bar:
    """One span; `left` and `width` are per cent of the trace, `first_token` of the bar (None where unknown)."""

    span_id: str
    depth: int
    name: str
    kind: str
    status: str
    duration_ms: float
    left: float
    width: float
    first_token: float | None
    request: LedgerRequest | None
    content: Content | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All bars, and how long the whole took."""

    bars: Sequence[Bar]
    duration_ms: float


_DEEPEST = 40


def waterfall(trace: Trace) -> Waterfall:
    """The trace drawn; spans whose parent never came stand at the root."""
    spans: dict[str, LedgerRequest | ContextSpan] = {span.span_id: span for span in trace.spans}
    spans |= {item.record.span_id: item for item in trace.requests}
    contents = {content.span_id: content for content in trace.contents}
    starts = [_start(span) for span in spans.values()]
    begin, end = min(starts), max(_start(span) + _duration(span) for span in spans.values())
    bars = [_bar(span, depth, begin, max(end - begin, 1), contents) for span, depth in _in_tree_order(spans)]
    return Waterfall(bars, (end - begin) / 1e6)


def _in_tree_order(
    spans: Mapping[str, LedgerRequest | ContextSpan],
) -> list[tuple[LedgerRequest | ContextSpan, int]]:
    children: dict[str | None, list[str]] = {}
    for span_id, span in spans.items():
        parent = _parent(span)
        children.setdefault(parent if parent in spans and parent != span_id else None, []).append(span_id)
    ordered: list[tuple[LedgerRequest | ContextSpan, int]] = []
    seen: set[str] = set()
    # Spans that are each other's ancestors hang from no root; they are drawn all the same.
    for root in [*_by_start(spans, children.get(None, [])), *_by_start(spans, list(spans))]:
        stack = [(root, 0)]
        while stack:
            span_id, depth = stack.pop()
            if span_id in seen:
                continue
            seen.add(span_id)
            ordered.append((spans[span_id], min(depth, _DEEPEST)))
            below = _by_start(spans, children.get(span_id, []))
            stack.extend((child, depth + 1) for child in reversed(below))
    return ordered


def _by_start(spans: Mapping[str, LedgerRequest | ContextSpan], ids: Sequence[str]) -> list[str]:
    return sorted(ids, key=lambda span_id: (_start(spans[span_id]), span_id))


def _bar(
    span: LedgerRequest | ContextSpan, depth: int, begin: int, total: int, contents: Mapping[str, Content]
) -> Bar:
    request = span if isinstance(span, LedgerRequest) else None
    record = span.record if isinstance(span, LedgerRequest) else span
    ttft_ns = request.record.ttft_ns if request else None
    return Bar(
        span_id=record.span_id,
        depth=depth,
        name=record.name,
        kind="request" if isinstance(span, LedgerRequest) else span.kind,
        status=record.status,
        duration_ms=record.duration_ns / 1e6,
        left=100 * (record.started_ns - begin) / total,
        width=100 * record.duration_ns / total,
        first_token=100 * ttft_ns / record.duration_ns
        if ttft_ns is not None and record.duration_ns
        else None,
        request=request,
        content=contents.get(record.span_id),
    )


def _start(span: LedgerRequest | ContextSpan) -> int:
    return span.record.started_ns if isinstance(span, LedgerRequest) else span.started_ns


def _duration(span: LedgerRequest | ContextSpan) -> int:
    return span.record.duration_ns if isinstance(span, LedgerRequest) else span.duration_ns


def _parent(span: LedgerRequest | ContextSpan) -> str | None:
    return span.record.parent_span_id if isinstance(span, LedgerRequest) else span.parent_span_id
