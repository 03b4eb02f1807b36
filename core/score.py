"""What somebody thought of an answer: one score on one dimension, from wherever it comes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from core.errors import BadQuestion

Sent = Literal["api", "feedback", "evaluation"]
Source = Literal["api", "feedback", "evaluation", "judge", "scorer", "label"]
SOURCES: tuple[Sent, ...] = get_args(Sent)
"""Where a score that is sent may come from; judges, scorers and labels write theirs here."""

NAME_MAX = 200
LABEL_MAX = 200
AUTHOR_MAX = 512
COMMENT_MAX = 2000
ID_MAX = 200
BODY_SCORES_MAX = 1000
"""Scores that are taken at once."""
PAST = timedelta(days=3650)
FUTURE = timedelta(days=1)
"""How far from now a score may have been given."""

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Score:
    """One rater's score of one answer on the dimension `name`, 0 (worst) to 1 (best); `label` is the same in words.

    `span_id` is the request's, that of a span around it, or None for the whole trace. The same `id` in the same
    trace is the same score. Of one rater's scores of a request on a dimension the newest by `recorded_at` counts.
    `source` tells who gave it: a user (feedback), an evaluator (evaluation), or a program that did not say (api).
    """

    trace_id: str
    span_id: str | None
    name: str
    value: float
    recorded_at: datetime
    id: str
    source: Source = "api"
    label: str | None = None
    author: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreList:
    """Scores of one trace, newest first; `complete` is False where there are more than are here."""

    items: Sequence[Score]
    complete: bool = True


def check_score(
    *,
    trace_id: str,
    name: str,
    value: float,
    now: datetime,
    span_id: str | None = None,
    source: str = "api",
    label: str | None = None,
    author: str | None = None,
    comment: str | None = None,
    recorded_at: datetime | None = None,
    id: str | None = None,
) -> Score:
    """A score from a sender's words, or a `BadQuestion` that says what to change. True is 1, False is 0.

    Without an `id` the whole score is its own key, its time included; without `recorded_at` that time is now.
    """
    trace, span = trace_id.lower(), span_id.lower() if span_id is not None else None
    if not _is_id(trace, 32):
        raise BadQuestion("trace_id must be 32 hex digits and not all zero.")
    if span is not None and not _is_id(span, 16):
        raise BadQuestion("span_id must be 16 hex digits and not all zero; leave it out for the whole trace.")
    if source not in SOURCES:
        raise BadQuestion(f"There is no source {source[:40]!r}. Use one of {', '.join(SOURCES)}.")
    if not (named := _text("name", name, NAME_MAX)):
        raise BadQuestion("name is empty. Name the dimension, such as helpfulness.")
    at = _time(recorded_at, now)
    score = Score(
        trace_id=trace,
        span_id=span,
        name=named,
        value=_value(value),
        recorded_at=at,
        id=_text("id", id, ID_MAX) or "",
        source=source,
        label=_text("label", label, LABEL_MAX),
        author=_text("author", author, AUTHOR_MAX),
        comment=_text("comment", comment, COMMENT_MAX),
    )
    return score if score.id else _with_natural_key(score)


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and set(text) <= _HEX and set(text) != {"0"}


def _value(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    # NaN is in no range either.
    if not 0 <= number <= 1:
        raise BadQuestion(
            f"value={number:g} is outside 0 to 1. Scale it: 4 of 5 stars is 0.75 where 1 star is the worst."
        )
    return number


def _text(name: str, text: str | None, most: int) -> str | None:
    if text is None:
        return None
    if len(text) > most:
        raise BadQuestion(f"{name} is longer than {most} characters. Shorten it.")
    if "\0" in text:
        raise BadQuestion(f"{name} holds the character NUL. Leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadQuestion(f"{name} holds half a character. Send whole UTF-8.") from None
    return text.strip() or None


def _time(recorded_at: datetime | None, now: datetime) -> datetime:
    if recorded_at is None:
        return now
    try:
        at = (recorded_at if recorded_at.tzinfo is not None else recorded_at.replace(tzinfo=UTC)).astimezone(
            UTC
        )
    except OverflowError:
        raise BadQuestion("recorded_at is out of range.") from None
    if not now - PAST <= at <= now + FUTURE:
        raise BadQuestion(
            f"recorded_at={at.isoformat()[:25]} is more than a day ahead or ten years ago. Check the clock."
        )
    return at


def _with_natural_key(score: Score) -> Score:
    said = (
        score.span_id,
        score.name,
        score.value,
        score.recorded_at.isoformat(),
        score.source,
        score.label,
        score.author,
        score.comment,
    )
    key = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    return replace(score, id=f"auto-{key[:40]}")
