"""How far the judge agrees with people, beside how far people agree with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.stats.agreement import Agreement, icc, weighted_kappa

METHOD = (
    "Weighted kappa (Cohen 1968, quadratic weights) and ICC(2,1) (absolute agreement of single raters), 1 the same and"
    " 0 as by chance, with 95 % bootstrap intervals over requests. The judge is compared with the first person who"
    " labelled each request, and people with each other where two did: that is the ceiling, since nobody can agree with"
    " people better than they do among themselves. Requests are those that were drawn for people."
)
# Drawn alike for every question, so that the same data give the same interval.
_SEED = 20_250_908


@dataclass(frozen=True, slots=True)
class Rated:
    """One judged request on one dimension, as the judge, the first and the second person put it."""

    name: str
    judge: float
    first: float
    second: float | None


@dataclass(frozen=True, slots=True)
class Agreeing:
    """One dimension: `labelled` requests were labelled, `twice` of them by two people."""

    name: str
    labelled: int
    twice: int
    judge_kappa: Agreement
    judge_icc: Agreement
    people_kappa: Agreement
    people_icc: Agreement


def agreements(rated: Sequence[Rated]) -> list[Agreeing]:
    """Each dimension's, the most labelled first."""
    by_name: dict[str, list[Rated]] = defaultdict(list)
    for one in rated:
        by_name[one.name].append(one)
    found = [_agreeing(name, all_of_it) for name, all_of_it in by_name.items()]
    return sorted(found, key=lambda one: (-one.labelled, one.name))


def _agreeing(name: str, rated: Sequence[Rated]) -> Agreeing:
    twice = [(one.first, one.second) for one in rated if one.second is not None]
    judge = np.array([(one.judge, one.first) for one in rated], dtype=float).reshape(-1, 2)
    people = np.array(twice, dtype=float).reshape(-1, 2)
    chance = np.random.default_rng(_SEED)
    return Agreeing(
        name,
        len(rated),
        len(twice),
        weighted_kappa(judge[:, 0], judge[:, 1], chance),
        icc(judge, chance),
        weighted_kappa(people[:, 0], people[:, 1], chance),
        icc(people, chance),
    )
