"""Which judged answers people should label: the more a judge may be wrong, the likelier, and none never.

Active statistical inference (arXiv:2403.03208): an answer's probability is proportional to the error that is
predicted for it, mixed with a uniform floor, so that the labels drawn still stand for all judged answers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.stats.estimate import ridge

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNIFORM = 0.5
"""The share of the labels that is spread evenly, however sure the prediction is."""
LEARN_MIN = 30
"""Labelled answers before an error is predicted at all."""
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Pool:
    """Judged answers that people may be asked about, n of them.

    scores: (n,) the judge's mean over all dimensions. features: (n, k) what else may tell how far it errs. residuals:
    (n,) |person − judge| where there is a label, else NaN. folds: (n,) a number by which the answers of one trace stay
    together. before: (n,) the probability that each has had so far, 0 for none.
    """

    scores: Floats
    features: Floats
    residuals: Floats
    folds: Ints
    before: Floats

    def __len__(self) -> int:
        return len(self.scores)


def fold_of(trace_id: str) -> int:
    """The fold of a trace, for ever the same."""
    return hashlib.blake2b(trace_id.encode(), digest_size=2).digest()[0] % _FOLDS


def label_chances(pool: Pool, wanted: float) -> Floats:
    """(n,) probabilities that give `wanted` more labels on average than those of `before`, none of them lower.

    No probability depends on the answer's own label, and none is zero.
    """
    if not len(pool) or wanted <= 0:
        return pool.before
    appetite = _appetite(expected_residuals(pool))
    room = float((1 - pool.before).sum())
    if wanted >= room:
        return np.ones(len(pool))
    low, high = 0.0, 1.0 / float(appetite.min())
    # What more labels a factor brings grows with it, so it is found by halving.
    for _ in range(100):
        middle = (low + high) / 2
        if float((_raised(pool, appetite, middle) - pool.before).sum()) > wanted:
            high = middle
        else:
            low = middle
    return _raised(pool, appetite, high)


def _raised(pool: Pool, appetite: Floats, factor: float) -> Floats:
    return np.maximum(pool.before, np.minimum(1.0, factor * appetite))


def _appetite(expected: Floats) -> Floats:
    mean = float(expected.mean())
    share = expected / mean if mean > 0 else np.ones(len(expected))
    return UNIFORM + (1 - UNIFORM) * share


def expected_residuals(pool: Pool) -> Floats:
    """(n,) how far the judge is expected to be off, from the labels of other folds alone; the same for all where they
    are too few to learn from."""
    known = ~np.isnan(pool.residuals)
    if known.sum() < LEARN_MIN:
        return np.ones(len(pool))
    # A judge that has reason to doubt seldom gives the best or the worst mark.
    columns = np.column_stack([pool.scores, pool.scores * (1 - pool.scores), pool.features])
    expected = np.empty(len(pool))
    for fold in range(_FOLDS):
        inside = pool.folds == fold
        seen = known & ~inside
        if inside.any():
            expected[inside] = (
                ridge(columns[seen], pool.residuals[seen], columns[inside])
                if seen.sum() >= LEARN_MIN // 2
                else pool.residuals[seen].mean()
                if seen.any()
                else 1.0
            )
    return np.clip(expected, 0.0, 1.0)
