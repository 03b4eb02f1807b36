"""How far raters agree beyond chance, with an interval; beside a judge stands what people reach among themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ITEMS_MIN = 20
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient (1: the same, 0: as by chance) over `items` rated by all, with its interval; None with a reason
    where there are too few items or all are rated alike."""

    items: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def weighted_kappa(one: Floats, other: Floats, chance: np.random.Generator, level: float = 0.95) -> Agreement:
    """Cohen's kappa with quadratic weights (Cohen 1968) of two raters' (items,) scores, its interval by bootstrap
    over items. Scores need not be integers: disagreement is the squared difference."""
    return _bootstrapped(np.column_stack([one, other]), _kappa, chance, level)


def icc(
    ratings: Floats, chance: np.random.Generator, level: float = 0.95, *, mean_of_raters: bool = False
) -> Agreement:
    """ICC(2,1), absolute agreement of single raters drawn from many, of (items, raters) scores; ICC(2,k), that of the
    raters' mean, where `mean_of_raters` (Shrout & Fleiss 1979). Its interval by bootstrap over items."""
    return _bootstrapped(ratings, _icc_mean if mean_of_raters else _icc_single, chance, level)


def _bootstrapped(
    ratings: Floats, coefficient: Callable[[Floats], float], chance: np.random.Generator, level: float
) -> Agreement:
    rated = ratings[~np.isnan(ratings).any(1)]
    items = len(rated)
    if items < ITEMS_MIN:
        return Agreement(items, reason=f"{items} items rated by all: {ITEMS_MIN} are needed.")
    value = coefficient(rated)
    if np.isnan(value):
        return Agreement(items, reason="All ratings are the same: agreement beyond chance has no meaning.")
    drawn = np.array([coefficient(rated[chance.integers(0, items, items)]) for _ in range(_RESAMPLES)])
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Agreement(items, value, float(low), float(high))


def _kappa(ratings: Floats) -> float:
    one, other = ratings.T
    # The mean squared difference of pairs put together at random.
    by_chance = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    if by_chance == 0:
        return float("nan")
    return float(1 - ((one - other) ** 2).mean() / by_chance)


def _squares(ratings: Floats) -> tuple[float, float, float, int, int]:
    """Mean squares between items, between raters and of the rest; how many items and raters."""
    items, raters = ratings.shape
    rows, columns, grand = ratings.mean(1), ratings.mean(0), ratings.mean()
    between_items = raters * float(((rows - grand) ** 2).sum()) / (items - 1)
    between_raters = items * float(((columns - grand) ** 2).sum()) / (raters - 1)
    rest = ratings - rows[:, None] - columns[None, :] + grand
    return between_items, between_raters, float((rest**2).sum()) / ((items - 1) * (raters - 1)), items, raters


def _icc_single(ratings: Floats) -> float:
    between_items, between_raters, rest, items, raters = _squares(ratings)
    below = between_items + (raters - 1) * rest + raters * (between_raters - rest) / items
    return (between_items - rest) / below if below > 0 else float("nan")


def _icc_mean(ratings: Floats) -> float:
    between_items, between_raters, rest, items, _ = _squares(ratings)
    below = between_items + (between_raters - rest) / items
    return (between_items - rest) / below if below > 0 else float("nan")
