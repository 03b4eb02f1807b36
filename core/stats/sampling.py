"""Which requests a judge sees: each is drawn by its own hash, with a probability that is known and never zero.

Poisson sampling: requests are drawn one by one, so that a decision can be made when a request is settled, and
made again later with the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A stratum that was looked at seldom borrows the spread of all, as if from so many further answers.
_PRIOR_ANSWERS = 5.0


@dataclass(frozen=True, slots=True)
class Stratum:
    """What is known of a stratum before it is sampled: how many requests, the spread (standard deviation) of the
    scores of its pilot and how many those were, and what judging one costs, in any unit common to all."""

    size: int
    spread: float | None = None
    pilot: int = 0
    cost: float = 1.0


def draw(trace_id: str, span_id: str, salt: str) -> float:
    """A number in [0, 1) that a request has for ever under a salt: it is chosen where its probability is larger.

    Two policies with one salt choose nested sets; other salts choose independently.
    """
    digest = hashlib.blake2b(f"{trace_id}:{span_id}".encode(), digest_size=8, key=salt.encode()[:64]).digest()
    # 53 bits, so that the quotient is exact and stays below 1.
    return (int.from_bytes(digest) >> 11) / 2**53


def uniform(strata: Sequence[Stratum], budget: float, least: float = 0.0) -> Floats:
    """The same probability in every stratum, as large as the budget allows."""
    return _probabilities(strata, np.ones(len(strata)), budget, floor=0, least=least)


def neyman(strata: Sequence[Stratum], budget: float, *, floor: int = 10, least: float = 0.01) -> Floats:
    """(strata,) probabilities that estimate the mean of all with the least variance for the budget.

    Sample sizes are in proportion to size × spread / √cost (Neyman 1934; Särndal, Swensson & Wretman 1992, 3.7.3),
    with at least `floor` requests (or all) and a probability of `least` in each stratum; where even that costs more
    than the budget, all give way alike. Spreads are those of the pilot, drawn towards the spread of all.
    """
    return _probabilities(strata, _spreads(strata), budget, floor=floor, least=least)


def _spreads(strata: Sequence[Stratum]) -> Floats:
    pilots = np.array([float(one.pilot) if one.spread is not None else 0.0 for one in strata])
    variances = np.array([(one.spread or 0.0) ** 2 for one in strata])
    # Without any pilot every stratum is as good as another.
    common = float(pilots @ variances / pilots.sum()) if pilots.sum() else 1.0
    shrunk = (pilots * variances + _PRIOR_ANSWERS * common) / (pilots + _PRIOR_ANSWERS)
    return np.asarray(np.sqrt(shrunk))


def _probabilities(
    strata: Sequence[Stratum], spreads: Floats, budget: float, *, floor: int, least: float
) -> Floats:
    if budget <= 0:
        raise ValueError("a budget must be above zero")
    sizes = np.array([float(one.size) for one in strata])
    costs = np.array([one.cost for one in strata])
    lowest = np.maximum(np.minimum(floor, sizes), least * sizes)
    if lowest @ costs >= budget:
        wanted = lowest * (budget / (lowest @ costs))
    else:
        wanted = _filled(sizes * spreads / np.sqrt(costs), lowest, sizes, costs, budget)
    with np.errstate(invalid="ignore"):
        return np.where(sizes > 0, np.clip(wanted / sizes, 0, 1), 1.0)


def _filled(appetite: Floats, lowest: Floats, highest: Floats, costs: Floats, budget: float) -> Floats:
    """Amounts in proportion to the appetite, between their bounds, that use up the budget: the factor is found by
    halving, since what it costs grows with it."""
    if highest @ costs <= budget:
        return highest
    eager = np.maximum(appetite, np.finfo(float).tiny)
    low, high = 0.0, float(np.max(highest / eager))
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * eager, lowest, highest) @ costs > budget:
            high = middle
        else:
            low = middle
    return np.clip(low * eager, lowest, highest)
