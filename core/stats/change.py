"""What moved: when a stream changed, by how much, and through which of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_RESAMPLES = 400
_EDGE = 5


@dataclass(frozen=True, slots=True)
class Change:
    """The scores from number `at` on (0-based) differ; `low` to `high` is where the change lies with the level asked
    for. `effect` is after minus before, with its interval."""

    at: int
    low: int
    high: int
    effect: float
    effect_low: float
    effect_high: float


def change_point(scores: Floats, chance: np.random.Generator, level: float = 0.95) -> Change:
    """The best single cut of (n,) scores in order of time, n ≥ 20, by least squares (Hinkley 1970).

    The interval is a parametric bootstrap: both sides' residuals are drawn anew around their means and cut again. The
    effect's interval is Welch's and takes the cut as given, so it is a little narrow where the interval of the cut is
    wide.
    """
    if len(scores) < 4 * _EDGE:
        raise ValueError(f"a change point needs {4 * _EDGE} scores at least")
    at = int(_cuts(scores[None, :])[0])
    before, after = scores[:at], scores[at:]
    drawn = np.hstack([chance.choice(part, (_RESAMPLES, len(part))) for part in (before, after)])
    tail = (1 - level) / 2
    # The basic bootstrap: how far the cuts of the resamples lie from ours is how far ours lies from the truth.
    off = np.quantile(_cuts(drawn) - at, [tail, 1 - tail])
    low, high = (int(np.clip(at - one, 0, len(scores))) for one in off[::-1])
    effect, spread = float(after.mean() - before.mean()), _welch(before, after)
    margin = spread[0] * float(stats.t.ppf(1 - tail, spread[1]))
    return Change(at, low, high, effect, effect - margin, effect + margin)


def _cuts(rows: Floats) -> NDArray[np.int64]:
    """(rows,) where each row is best cut in two: the largest between-parts sum of squares."""
    many = rows.shape[1]
    left = np.arange(1, many)
    sums = np.cumsum(rows, axis=1)
    total = sums[:, -1:]
    gap = sums[:, :-1] / left - (total - sums[:, :-1]) / (many - left)
    between = left * (many - left) / many * gap**2
    between[:, : _EDGE - 1] = between[:, many - _EDGE :] = -1
    return np.asarray(between.argmax(1) + 1)


def _welch(one: Floats, other: Floats) -> tuple[float, float]:
    """Standard error of a difference of means, and its degrees of freedom."""
    parts = [float(np.var(part, ddof=1)) / len(part) for part in (one, other)]
    error = sum(parts)
    if error == 0:
        return 0.0, float(len(one) + len(other) - 2)
    freedom = error**2 / sum(part**2 / (len(of) - 1) for part, of in zip(parts, (one, other), strict=True))
    return error**0.5, freedom


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of the traffic in one period: its share of the requests and its mean score."""

    share: float
    mean: float


@dataclass(frozen=True, slots=True)
class Moved:
    """What one slice contributed to the change of the mean: by taking more or less of the traffic, and by scoring
    otherwise."""

    mix: float
    within: float

    @property
    def total(self) -> float:
        return self.mix + self.within


def decompose(before: Mapping[str, Part], after: Mapping[str, Part]) -> dict[str, Moved]:
    """What each slice contributed to (mean after − mean before); all contributions add up to it.

    The symmetric decomposition (Kitagawa 1955): within = mean share × change of its mean, mix = change of its share ×
    (its mean over both periods − the overall mean over both), so a slice that grew matters only as far as it differs.
    A slice that is missing in one period has moved by its mix alone.
    """
    overall = sum(part.share * part.mean for period in (before, after) for part in period.values()) / 2
    moved = {}
    for name in before.keys() | after.keys():
        was, now = before.get(name), after.get(name)
        share_was, share_now = (part.share if part else 0.0 for part in (was, now))
        means = [part.mean for part in (was, now) if part]
        within = (share_was + share_now) / 2 * (now.mean - was.mean) if was and now else 0.0
        moved[name] = Moved((share_now - share_was) * (sum(means) / len(means) - overall), within)
    return moved
