"""Has the mean of a stream moved? Tests that may be looked at after every score, with a stated false-alarm rate.

A watch bets against "the mean is still at least (or at most) the baseline". If that is true no strategy can expect
to gain, so a wealth of 1/α is reached with a probability of α at most, however often it is looked at (Ville 1939;
Waudby-Smith & Ramdas, arXiv:2010.09686). It holds for every stream with E[score | past] on the right side of the
baseline, not only for independent scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Side = Literal["fall", "rise"]
Mode = Literal["pfa", "arl"]

# Shares of the largest bet that cannot lose all: from cautious (small shifts) to bold (large ones). Five found a
# change of any size as soon as twelve did, or sooner (`python -m benchmarks statistics`).
_SHARES = np.array([0.06, 0.13, 0.28, 0.6, 0.97])
# Wealth is not counted above this: it would overflow, and has long said what it says.
_RICH = 1e250


@dataclass(frozen=True, slots=True)
class Watch:
    """One stream against one baseline; all that must be kept to go on later.

    `baseline` is in (0, 1). In mode "pfa" the start of the change is mixed over all times with weights
    1/log₂(t+1) − 1/log₂(t+2), and `evidence` stays an e-process: P(it ever reaches 1/α) ≤ α without a change. In mode
    "arl" each score starts a bet of one (Shiryaev–Roberts; Shin, Ramdas & Rinaldo, arXiv:2203.03532): sooner, but the
    promise is only that false alarms at evidence A come A scores apart on average.
    """

    baseline: float
    side: Side
    mode: Mode = "pfa"
    count: int = 0
    wealth: tuple[float, ...] = (0.0,) * len(_SHARES)
    peak: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.baseline < 1:
            raise ValueError("a baseline lies between 0 and 1")

    @property
    def evidence(self) -> float:
        """The e-value (pfa) or the e-detector (arl) after `count` scores."""
        rest = 1 / math.log2(self.count + 2) if self.mode == "pfa" else 0.0
        return sum(self.wealth) + rest

    def alarms(self, threshold: float) -> bool:
        """Whether the evidence has ever reached the threshold: 1/α in mode "pfa", the run length in "arl"."""
        return self.peak >= threshold


def observe(watch: Watch, scores: Sequence[float], threshold: float = math.inf) -> tuple[Watch, int | None]:
    """The watch after further scores (each 0 to 1, in order of time), and how many of them it took until the
    evidence first reached the threshold, None where it did not. The same in one call as in many."""
    values = np.asarray(scores, dtype=float)
    if len(values) and not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores lie between 0 and 1")
    wealth = np.array(watch.wealth)
    peak, count, first = watch.peak, watch.count, None
    bets = bets_for(watch.baseline, watch.side)
    sign = 1.0 if watch.side == "fall" else -1.0
    for at, value in enumerate(values, 1):
        count += 1
        wealth = grown(wealth, count, 1 + bets * (sign * (watch.baseline - value)), watch.mode)
        evidence = float(wealth.sum()) + (1 / math.log2(count + 2) if watch.mode == "pfa" else 0.0)
        peak = max(peak, evidence)
        if first is None and evidence >= threshold:
            first = at
    kept = replace(watch, count=count, wealth=tuple(float(one) for one in wealth), peak=peak)
    return kept, first


def bets_for(baseline: float, side: Side) -> Floats:
    """(bets,) stakes: against a fall a score of 1 loses at most 97 % of a stake, against a rise a score of 0."""
    worst = 1 - baseline if side == "fall" else baseline
    return np.asarray(_SHARES / worst)


def grown(wealth: Floats, count: int, factors: Floats, mode: Mode) -> Floats:
    """(…, bets) wealth after its `count`-th score: what is there, and the share that starts now, times its factors."""
    assert (factors > 0).all(), "a bet may not lose everything"
    start = 1.0 if mode == "arl" else 1 / math.log2(count + 1) - 1 / math.log2(count + 2)
    return np.asarray(np.minimum((wealth + start / factors.shape[-1]) * factors, _RICH))


def against_reference(
    reference: Sequence[float], side: Side, alpha: float, least_effect: float = 0.0
) -> tuple[float, float]:
    """A baseline for a mean that is known only from `reference` scores (at least 30), and the α that is left.

    Half of α pays for the baseline: it is the bound that the reference's true mean is beyond with probability 1 − α/2
    (a betting bound, the tightest that holds for every law on [0, 1]), moved by the least effect worth an alarm. The
    watch runs at the other half, so that a false alarm stays as rare as α altogether.
    """
    values = np.asarray(reference, dtype=float)
    if len(values) < 30:
        raise ValueError("a baseline needs 30 reference scores at least")
    mirrored = values if side == "fall" else 1 - values
    bound = max(lower_bound(mirrored, alpha / 2) - least_effect, 1e-6)
    return (bound if side == "fall" else 1 - bound), alpha / 2


def lower_bound(scores: Floats, alpha: float) -> float:
    """A number that the mean of the law behind independent scores on [0, 1] exceeds with probability 1 − α.

    It is the smallest mean m that a mixture of bets on "above m" has not made implausible: whose wealth stays under
    1/α (Waudby-Smith & Ramdas, section 4).
    """
    low, high = 0.0, float(scores.mean())
    for _ in range(40):
        middle = (low + high) / 2
        if middle <= 0:
            return 0.0
        gains = np.log1p((_SHARES / middle)[:, None] * (scores - middle))
        logs = gains.sum(1)
        if np.logaddexp.reduce(logs) - math.log(len(_SHARES)) >= math.log(1 / alpha):
            low = middle
        else:
            high = middle
    return low


def e_benjamini_hochberg(evidence: Mapping[str, float], alpha: float) -> set[str]:
    """The streams among many that have changed, of which in expectation a share α at most has not, however the
    streams depend on one another (e-BH; Wang & Ramdas, arXiv:2009.02824)."""
    ranked = sorted(evidence.items(), key=lambda pair: -pair[1])
    many = len(ranked)
    chosen = [rank for rank, (_, value) in enumerate(ranked, 1) if rank * value >= many / alpha]
    return {name for name, _ in ranked[: max(chosen, default=0)]}
