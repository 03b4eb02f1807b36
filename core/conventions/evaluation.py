"""Evaluation results on the wire → scores: OpenTelemetry's event `gen_ai.evaluation.result`, on a span.

Some libraries have no events and send a span of that name instead, about its parent; both are read. Attributes of our
own, which the SDK's `feedback()` sets, say who scored and which span is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from core.conventions.values import label, number
from core.errors import BadQuestion
from core.score import AUTHOR_MAX, COMMENT_MAX, LABEL_MAX, Score, check_score
from core.span import Span

RESULT = "gen_ai.evaluation.result"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scores_from_span(
    span: Span, now: datetime, *, with_comments: bool = True
) -> tuple[list[Score], list[str]]:
    """The scores that a span carries, and a sentence for each result on it that is none."""
    scores: list[Score] = []
    refused: list[str] = []
    found: list[tuple[Mapping[str, Any], int, str | None]]
    found = [(event.attributes, event.time_ns, span.span_id) for event in span.events if event.name == RESULT]
    if span.name == RESULT and not found:
        found = [(span.attributes, span.start_ns, span.parent_span_id)]
    for attributes, at_ns, of in found:
        try:
            scores.append(_score(attributes, span.trace_id, of, at_ns or span.end_ns, now, with_comments))
        except BadQuestion as error:
            refused.append(str(error))
    return scores, refused


def _score(
    said: Mapping[str, Any], trace_id: str, span_id: str | None, at_ns: int, now: datetime, with_comment: bool
) -> Score:
    name = label(said.get("gen_ai.evaluation.name"))
    if name is None:
        raise BadQuestion("it has no gen_ai.evaluation.name")
    told = said.get("gen_ai.evaluation.score.value")
    value = float(told) if isinstance(told, bool) else number(told)
    if value is None:
        failed = label(said.get("error.type"))
        why = f"; the evaluation failed with {failed[:80]}" if failed else ""
        raise BadQuestion(f"{name[:80]!r} has no number in gen_ai.evaluation.score.value{why}")
    meant = said.get("tripoint.score.span_id")
    comment = said.get("gen_ai.evaluation.explanation")
    return check_score(
        trace_id=trace_id,
        # Empty says: the whole trace.
        span_id=(meant or None) if isinstance(meant, str) else span_id,
        name=name,
        value=value,
        source="feedback" if said.get("tripoint.score.source") == "feedback" else "evaluation",
        label=_cut(said.get("gen_ai.evaluation.score.label"), LABEL_MAX),
        author=_cut(said.get("tripoint.score.author"), AUTHOR_MAX),
        comment=_cut(comment, COMMENT_MAX) if with_comment else None,
        recorded_at=_EPOCH + timedelta(microseconds=min(at_ns, 2**62) // 1000),
        now=now,
    )


def _cut(value: Any, most: int) -> str | None:
    """A text, which on the wire may be longer than what is kept of it."""
    return value[:most].replace("\0", "") if isinstance(value, str) else None
