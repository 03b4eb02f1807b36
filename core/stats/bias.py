"""What a judge likes for the wrong reasons: long answers, and the one that it reads first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Controlled:
    """A group's mean score as it is, and as it would be at the length common to all groups; 95 % interval of the
    latter. Length can be quality, so neither replaces the other."""

    raw: float
    value: float
    low: float
    high: float


def length_controlled(
    scores: Floats, lengths: Floats, groups: Sequence[str], clusters: Ints, weights: Floats | None = None
) -> tuple[dict[str, Controlled], float]:
    """Mean score by group at one answer length, and the slope that was taken out.

    Least squares of the (n,) scores, each with its weight (1 where there are none), on a level for each group and one
    slope on tanh(log(length / typical length)),
    which flattens for extreme lengths (after LC-AlpacaEval, arXiv:2404.04475); the typical length is the geometric
    mean of all. Errors are robust for clusters (Liang & Zeger 1986). Lengths above 0, two answers a group at least.
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    logs, weighed = np.log(lengths), np.ones(len(scores)) if weights is None else weights
    control = np.tanh(logs - np.average(logs, weights=weighed))
    design = np.column_stack([(codes[:, None] == np.arange(len(names))).astype(float), control])
    inverse = np.linalg.pinv(design.T @ (design * weighed[:, None]))
    levels = inverse @ design.T @ (weighed * scores)
    residuals = weighed * (scores - design @ levels)
    _, of = np.unique(clusters, return_inverse=True)
    totals = np.zeros((of.max() + 1, design.shape[1]))
    np.add.at(totals, of, design * residuals[:, None])
    count = len(totals)
    covariance = inverse @ (totals.T @ totals) @ inverse * count / max(count - 1, 1)
    margin = float(stats.t.ppf(0.975, max(count - design.shape[1], 1)))
    found = {}
    for at, name in enumerate(names):
        error = margin * float(covariance[at, at]) ** 0.5
        value = float(levels[at])
        raw = float(np.average(scores[codes == at], weights=weighed[codes == at]))
        found[str(name)] = Controlled(raw, value, value - error, value + error)
    return found, float(levels[-1])


@dataclass(frozen=True, slots=True)
class BothOrders:
    """Pairs judged in both orders: the share that went to the first candidate, the mean of both orders, and how often
    the verdict turned with the order (95 % Wilson interval)."""

    pairs: int
    share: float
    flips: float
    flips_low: float
    flips_high: float


def both_orders(forward: Floats, backward: Floats) -> BothOrders:
    """Of (pairs,) verdicts for the same candidate, 1 won, 0 lost, 0.5 tie: read first in `forward`, second in
    `backward`. A pair whose two verdicts differ is a flip; its mean is what an order-blind judge would have said."""
    pairs = len(forward)
    flipped = float((forward != backward).mean())
    low, high = wilson(flipped, pairs)
    return BothOrders(pairs, float((forward + backward).mean() / 2), flipped, low, high)


def wilson(share: float, many: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share of `many` draws (Wilson 1927)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    middle = (share + z * z / (2 * many)) / (1 + z * z / many)
    margin = z / (1 + z * z / many) * (share * (1 - share) / many + z * z / (4 * many * many)) ** 0.5
    return max(0.0, middle - margin), min(1.0, middle + margin)
