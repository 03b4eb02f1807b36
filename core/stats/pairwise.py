"""The win rate that one candidate would have if its answers were as long as the other's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLUSTERS_MIN = 20
"""Sessions below which a curve through verdicts tells more of noise than of length."""
_STEPS = 50
_FLAT = 1e-9
# Where the curve is this steep or high, wins and losses are told apart by length alone, or nearly all are one.
_DIVERGED = 15.0


@dataclass(frozen=True, slots=True)
class WinRate:
    """A share with its 95 % interval, and the slope on length that was taken out; or the `reason` why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    slope: float | None = None
    reason: str | None = None


def length_controlled(wins: Floats, ratios: Floats, clusters: Ints, level: float = 0.95) -> WinRate:
    """The win rate at equal length, of (n,) verdicts from 0 (lost) to 1 (won).

    logit P(win) = a + b tanh(log(ratio)), with `ratios` the (n,) lengths of the candidate's answers over the other's
    (after LC-AlpacaEval, arXiv:2404.04475); the rate is that of ratio 1. Verdicts may be fractions, so it is the
    quasi-likelihood of Papke & Wooldridge (1996), and errors are robust for clusters (Liang & Zeger 1986), with
    Student's t of their number less two. Length can be quality, so this does not replace the plain rate.
    """
    _, of = np.unique(clusters, return_inverse=True)
    many = int(of.max()) + 1 if len(of) else 0
    if many < CLUSTERS_MIN:
        return WinRate(
            reason=f"{many} sessions: a curve through verdicts and lengths needs {CLUSTERS_MIN} at least."
        )
    control = np.tanh(np.log(ratios))
    if np.ptp(control) < _FLAT:
        return WinRate(reason="All pairs have the same ratio of lengths, so nothing tells what length does.")
    if np.ptp(wins) < _FLAT:
        return WinRate(reason="All verdicts are the same, so nothing tells what length does.")
    design = np.column_stack([np.ones(len(wins)), control])
    fitted = _fit(design, wins)
    if fitted is None:
        return WinRate(reason="Length alone tells wins from losses, so no rate at equal length can be told.")
    chance = expit(design @ fitted)
    bread = np.linalg.inv(design.T @ (design * (chance * (1 - chance))[:, None]))
    totals = np.zeros((many, 2))
    np.add.at(totals, of, design * (wins - chance)[:, None])
    covariance = bread @ (totals.T @ totals) @ bread * many / (many - 1)
    margin = float(stats.t.ppf((1 + level) / 2, many - 2)) * float(covariance[0, 0]) ** 0.5
    middle = float(fitted[0])
    low, value, high = (float(expit(at)) for at in (middle - margin, middle, middle + margin))
    return WinRate(value, low, high, float(fitted[1]))


def _fit(design: Floats, wins: Floats) -> Floats | None:
    """Newton's steps to the largest likelihood; None where it lies at infinity."""
    at = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = expit(design @ at)
        slope = design.T @ (wins - chance)
        curve = design.T @ (design * (chance * (1 - chance))[:, None])
        try:
            step = np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError:
            return None
        at = at + step
        if not np.isfinite(at).all() or np.abs(at).max() > _DIVERGED:
            return None
        if np.abs(step).max() < 1e-10:
            return at
    return None
