"""Spans → what the ledger takes: meaning, price, and what has to be refused, each with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from collector import metrics
from collector.decode import Decoded
from collector.reply import Outcome
from core.conventions import content_from_span, record_from_span, scores_from_span
from core.pricing.price import PriceBook, Priced, price_request
from core.request import Content, ContextSpan, RequestRecord
from core.score import Score
from core.span import Span
from core.store.intake import Batch
from core.store.rows import nanoseconds

log = structlog.get_logger()

# Stored all the same, but worth a word: nobody's clock is this late by intention more than once.
_LATE = timedelta(days=90)
_BIGINT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Clocks:
    """The span start times that are believed."""

    now: datetime
    past: timedelta
    future: timedelta
    _first_ns: int = field(init=False, repr=False)
    _last_ns: int = field(init=False, repr=False)
    _late_ns: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # once a body, not once a span
        object.__setattr__(self, "_first_ns", nanoseconds(self.now - self.past))
        object.__setattr__(self, "_last_ns", nanoseconds(self.now + self.future))
        object.__setattr__(self, "_late_ns", nanoseconds(self.now - _LATE))

    def refuse(self, span: Span) -> str | None:
        """Why this span's start cannot be right, or None."""
        if span.start_ns > self._last_ns:
            return f"start time is more than {_words(self.future)} in the future; check the sender's clock"
        if span.start_ns < self._first_ns:
            return f"start time is more than {_words(self.past)} in the past; check the sender's clock"
        return None

    def late(self, span: Span) -> bool:
        return span.start_ns < self._late_ns


def read_spans(
    decoded: Decoded, project_id: int, book: PriceBook, clocks: Clocks, store_content: bool
) -> tuple[Batch, Outcome]:
    """The batch to commit, and what the sender should hear about the rest."""
    refused: Counter[str] = Counter(rejected.reason for rejected in decoded.rejected)
    requests: list[tuple[RequestRecord, Priced]] = []
    spans: list[ContextSpan] = []
    contents: list[Content] = []
    scores: list[Score] = []
    no_scores: Counter[str] = Counter()
    late = 0
    for span in decoded.spans:
        if reason := clocks.refuse(span):
            refused[reason] += 1
            continue
        late += clocks.late(span)
        try:
            record = record_from_span(span)
            scored, unscored = scores_from_span(span, clocks.now, with_comments=store_content)
            if isinstance(record, ContextSpan):
                spans.append(record)
                scores += scored
                no_scores.update(unscored)
                continue
            priced = in_range(price_request(record, book))
            content = content_from_span(span) if store_content else None
        except Exception:
            # A bulkhead: what one span meets in us must not cost its neighbours.
            log.exception("read.failed", project=project_id, scope=span.scope)
            refused["Tripoint failed on it; the server's log says more"] += 1
            continue
        requests.append((record, priced))
        scores += scored
        no_scores.update(unscored)
        if content:
            contents.append(content)
    batch = Batch(project_id, requests, spans, contents, scores)
    metrics.UNSCORED.inc(no_scores.total())
    return batch, Outcome(sum(refused.values()), _sentence(refused, late, no_scores))


def in_range(priced: Priced) -> Priced:
    """A cost that no column can hold comes from token counts that nobody used: unknown, not wrong."""
    if max(priced.cost_pico or 0, priced.list_pico or 0) <= _BIGINT:
        return priced
    return priced._replace(
        status="unpriced",
        reason="cost_out_of_range",
        cost_pico=None,
        list_pico=None,
        price_version_id=None,
        lines=(),
    )


def merge(outcome: Outcome, refused_by_ledger: int) -> Outcome:
    """The outcome with the rows that the database itself refused."""
    if not refused_by_ledger:
        return outcome
    words = f"{_spans(refused_by_ledger)} refused by the database (see the server's log)"
    return Outcome(outcome.rejected + refused_by_ledger, "; ".join(filter(None, [outcome.message, words])))


def _sentence(refused: Counter[str], late: int, no_scores: Counter[str]) -> str:
    parts = [f"{_spans(count)} rejected: {reason}" for reason, count in refused.most_common(5)]
    if len(refused) > 5:
        parts.append(f"and {len(refused) - 5} other reasons")
    if late:
        parts.append(
            f"{_spans(late)} stored although the start time is more than {_LATE.days} days ago;"
            " check the sender's clock unless this is a backfill"
        )
    parts += [
        f"{_count(count, 'evaluation result')} not kept: {why}" for why, count in no_scores.most_common(5)
    ]
    if len(no_scores) > 5:
        parts.append(f"and evaluation results for {len(no_scores) - 5} other reasons")
    return "; ".join(parts)


def _spans(count: int) -> str:
    return _count(count, "span")


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _words(span: timedelta) -> str:
    return f"{span.days} days" if span.days > 1 else f"{round(span.total_seconds() / 3600)} hours"
