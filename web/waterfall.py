"""A trace as a waterfall: its spans in the order of the tree, each with its place on the time line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.ledger import LedgerRequest, Trace
from core.request import Content, ContextSpan
from core.store.rows import instant


@dataclass(frozen=True, slots=True)
class Bar:
    """One span. `left`, `width` and `waiting` (until the first token, None where unknown) are thousandths of the
    trace, as the drawing's own coordinates; a bar is never too thin to be seen."""

    span_id: str
    depth: int
    name: str
    kind: str
    status: str
    duration_ms: float
    left: float
    width: float
    waiting: float | None
    request: LedgerRequest | None
    content: Content | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All bars, when the whole began and how long it took, and the times that its scale names."""

    bars: Sequence[Bar]
    begin: datetime
    duration_ms: float
    scale_ms: Sequence[float]

    @property
    def failed(self) -> int:
        """How many spans failed."""
        return sum(bar.status == "error" for bar in self.bars)


# Deeper spans stand no further to the right: their names need the room.
_DEEPEST = 12
_WIDTH = 1000
_THINNEST = 4


def waterfall(trace: Trace) -> Waterfall:
    """The trace drawn; spans whose parent never came stand at the root."""
    spans: dict[str, LedgerRequest | ContextSpan] = {span.span_id: span for span in trace.spans}
    spans |= {item.record.span_id: item for item in trace.requests}
    contents = {content.span_id: content for content in trace.contents}
    starts = [_start(span) for span in spans.values()]
    begin, end = min(starts), max(_start(span) + _duration(span) for span in spans.values())
    bars = [_bar(span, depth, begin, max(end - begin, 1), contents) for span, depth in _in_tree_order(spans)]
    whole = (end - begin) / 1e6
    return Waterfall(bars, instant(begin), whole, [whole * part / 4 for part in range(5)])


def total(trace: Trace) -> dict[str, int | None]:
    """The money and tokens of a trace's counted requests over what is known, and how many have no price."""
    counted = [item for item in trace.requests if item.counted]
    priced = [item.cost_pico for item in counted if item.cost_pico is not None]
    return {
        "requests": len(counted),
        "uncounted": len(trace.requests) - len(counted),
        "cost": sum(priced) if priced else None,
        "unpriced": len(counted) - len(priced),
        "input": _sum(item.record.usage.input_tokens for item in counted),
        "output": _sum(item.record.usage.output_tokens for item in counted),
    }


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


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
    span: LedgerRequest | ContextSpan, depth: int, begin: int, whole: int, contents: Mapping[str, Content]
) -> Bar:
    request = span if isinstance(span, LedgerRequest) else None
    record = span.record if isinstance(span, LedgerRequest) else span
    width = max(_WIDTH * record.duration_ns / whole, _THINNEST)
    ttft_ns = request.record.ttft_ns if request else None
    return Bar(
        span_id=record.span_id,
        depth=depth,
        name=record.name or "(no name)",
        kind="request" if request else getattr(record, "kind", "span"),
        status=record.status,
        duration_ms=record.duration_ns / 1e6,
        left=min(_WIDTH * (record.started_ns - begin) / whole, _WIDTH - width),
        width=width,
        waiting=None if ttft_ns is None else min(_WIDTH * ttft_ns / whole, width),
        request=request,
        content=contents.get(record.span_id),
    )


def _start(span: LedgerRequest | ContextSpan) -> int:
    return span.record.started_ns if isinstance(span, LedgerRequest) else span.started_ns


def _duration(span: LedgerRequest | ContextSpan) -> int:
    return span.record.duration_ns if isinstance(span, LedgerRequest) else span.duration_ns


def _parent(span: LedgerRequest | ContextSpan) -> str | None:
    return span.record.parent_span_id if isinstance(span, LedgerRequest) else span.parent_span_id
