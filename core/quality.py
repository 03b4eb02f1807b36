"""The mean of the scores that requests were given: what it stands on, and what it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from core.question import CostQuestion, Judging, Value
from core.score import Source
from core.stats.estimate import Sample, judge_mean

METHOD = (
    "Each request counts with the mean of its raters' newest scores. The interval is a 95 % confidence interval"
    " (Student's t) that takes sessions as units, since answers of one session are alike; a request without a session"
    " is one of its trace. These scores are from whoever scored, not from a sample: the mean stands for the scored"
    " requests only, and says nothing of the others."
)
ROWS_MAX = 10_000
SCORED_MAX = 100_000
"""Scored requests, by dimension, that one question reads."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One request's score on one dimension: the mean of its raters' newest. `group` is its dimensions' values and the
    start of its interval, `session` what it clusters with."""

    name: str
    group: tuple[object, ...]
    session: str
    value: float
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean score on the dimension `name`, 0 to 1, with a 95 % interval, or the `reason` why either is missing.

    `scored` of `requests` have a score, in so many `sessions`; `sources` counts the scored requests by who scored.
    """

    name: str
    requests: int
    scored: int
    sessions: int
    sources: Mapping[Source, int]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def coverage(self) -> float | None:
        """The share of the requests that have a score; None of none."""
        return self.scored / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One group and dimension: the values that it is grouped by, its interval's first moment (in UTC), its mean."""

    group: tuple[Value, ...]
    start: datetime | None
    mean: Mean


@dataclass(frozen=True, slots=True)
class QualityAnswer:
    """Rows by group and dimension, and the means over all groups, at one moment; what judging came to beside them."""

    question: CostQuestion
    as_of: datetime
    groups: int
    total: Sequence[Mean]
    rows: Sequence[QualityRow]
    judging: Judging


def mean_of(name: str, scored: Sequence[Scored], requests: int) -> Mean:
    """The mean of some scored requests among `requests`."""
    count, sessions = len(scored), {one.session for one in scored}
    sources: dict[Source, int] = {}
    for one in scored:
        for source in one.sources:
            sources[source] = sources.get(source, 0) + 1
    value = low = high = None
    if reason := _too_few(count, len(sessions)):
        return Mean(name, requests, count, len(sessions), sources, reason=reason)
    values = np.array([one.value for one in scored])
    _, clusters = np.unique([one.session for one in scored], return_inverse=True)
    certain = np.ones(count)
    estimate = judge_mean(Sample(values, certain, clusters, np.full(count, np.nan), certain))
    value = estimate.value
    if np.ptp(values) > 0:
        low, high = estimate.low, estimate.high
    else:
        reason = f"All {count} scores are the same, so they do not tell how much scores vary: no interval."
    return Mean(name, requests, count, len(sessions), sources, value, low, high, reason)


def _too_few(count: int, sessions: int) -> str | None:
    if count == 0:
        return "No request was scored."
    if count == 1:
        return "1 request was scored: a mean with an interval needs 2 at least."
    if sessions == 1:
        return f"All {count} scored requests are of one session: an interval needs 2 at least."
    return None
