"""The mean quality of all requests of a slice, from a judge's scores of some and people's labels of fewer.

A judge's mean is biased by whatever the judge gets wrong; labels of a known sample tell how much. Each estimator
here is a Hájek mean of the scores plus a Hájek mean of what the scores miss, and its variance is that of its
linearised contributions, added up by cluster (a session's answers are alike).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Literal["judge", "labels", "ppi++", "cross-fitted"]
# Bilinear: the covariance of two sums, from what each judged request contributes to them.
_Covariance = Callable[[Floats, Floats], float]

LABELS_MIN = 30
"""Labels, of as many clusters, below which no corrected mean is given."""
CROSS_FIT_MIN = 100
"""Labels from which a fitted correction is worth its noise."""
_CALM = 200
_RESAMPLES = 1999
_FOLDS = 5
_RIDGES = np.logspace(-2, 4, 13)


@dataclass(frozen=True, slots=True)
class Sample:
    """The judged requests of a slice, n of them.

    scores: (n,) the judge's, 0 to 1. chance: (n,) probability with which each was judged. clusters: (n,) a number for
    each session (or request). labels: (n,) the human score, NaN where there is none. label_chance: (n,) probability
    with which each was judged *and* labelled. features: (n, k) what may predict the label beside the score.
    """

    scores: Floats
    chance: Floats
    clusters: Ints
    labels: Floats
    label_chance: Floats
    features: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.chance) and not ((self.chance > 0).all() and (self.chance <= 1).all()):
            raise ValueError("a judged request has a probability above 0 and of 1 at most")
        if not (self.label_chance[self.labelled] > 0).all():
            raise ValueError("a labelled request has a probability above 0")

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(n,) where there is a label."""
        return ~np.isnan(self.labels)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval, or why there is none. `judged` and `labels` are what it stands on; `gain` is the
    judge's weight λ in it (0: the labels alone, 1: fully trusted)."""

    method: Method
    judged: int
    labels: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    gain: float | None = None
    reason: str | None = None


def judge_mean(sample: Sample, level: float = 0.95, *, finite: bool = False) -> Estimate:
    """What the judge thinks, on average: the Hájek mean of its scores (Hájek 1971). Blind to the judge's own bias.

    `finite` asks for the mean of exactly these requests; otherwise the interval is for the process that made them.
    """
    weights = 1 / sample.chance
    judged = len(sample.scores)
    if judged < 2:
        return Estimate("judge", judged, 0, reason=f"{judged} judged requests: an interval needs 2 at least.")
    mean, parts = _mean(sample.scores, weights, sample.clusters, 0)
    error = _covariance(sample, finite)(parts, parts) ** 0.5
    return _given("judge", sample, mean, error, _student(_clusters(sample.clusters) - 1), level, None)


def label_mean(sample: Sample, level: float = 0.95, *, finite: bool = False) -> Estimate:
    """What people think, on average, of the labelled requests alone."""
    return _corrected("labels", sample, np.zeros(len(sample.scores)), level, finite, None, gain=0.0)


def corrected_mean(
    sample: Sample, chance: np.random.Generator, level: float = 0.95, *, finite: bool = False
) -> Estimate:
    """The judge's mean, corrected by labels; the method goes by their number alone, never by the result.

    From `CROSS_FIT_MIN` labels on the scores are first mapped to labels by a ridge regression on all features, each
    answer by a fit that never saw its fold (cross-prediction, arXiv:2309.16598). Below that the score itself serves.
    Either enters with the weight that gives the least variance (PPI++, arXiv:2311.01453). Under `LABELS_MIN`
    labelled clusters there is no value, but a reason.
    """
    if sample.features is not None and sample.labelled.sum() >= CROSS_FIT_MIN:
        return cross_fitted(sample, chance, level, finite=finite)
    return _corrected("ppi++", sample, sample.scores, level, finite, chance)


def cross_fitted(
    sample: Sample, chance: np.random.Generator, level: float = 0.95, *, finite: bool = False
) -> Estimate:
    """`corrected_mean` by cross-prediction whatever the number of labels."""
    few = _too_few("cross-fitted", sample)
    if few:
        return few
    return _corrected("cross-fitted", sample, _predictions(sample, chance), level, finite, chance)


def _corrected(
    method: Method,
    sample: Sample,
    predicted: Floats,
    level: float,
    finite: bool,
    chance: np.random.Generator | None,
    gain: float | None = None,
) -> Estimate:
    """Hájek mean of the labels + gain × (that of the predictions of all − that of the predictions of the labelled)."""
    if few := _too_few(method, sample):
        return few
    judged, labelled = 1 / sample.chance, np.where(sample.labelled, 1 / sample.label_chance, 0.0)
    labels = np.where(sample.labelled, sample.labels, 0.0)
    covariance = _covariance(sample, finite)
    of_all, all_parts = _mean(predicted, judged, sample.clusters, 0)
    of_labelled, labelled_parts = _mean(predicted, labelled, sample.clusters, 1)
    human, human_parts = _mean(labels, labelled, sample.clusters, 1)
    difference = all_parts - labelled_parts
    if gain is None:
        spread = covariance(difference, difference)
        gain = -covariance(human_parts, difference) / spread if spread > 0 else 0.0
    value = human + gain * (of_all - of_labelled)
    parts = human_parts + gain * difference
    error = max(covariance(parts, parts), 0.0) ** 0.5
    residuals = (labels - gain * predicted)[sample.labelled]
    quantile = _quantile(residuals, labelled[sample.labelled], sample.clusters[sample.labelled], chance)
    return _given(method, sample, value, error, quantile, level, gain)


def _too_few(method: Method, sample: Sample) -> Estimate | None:
    labels, judged = int(sample.labelled.sum()), len(sample.scores)
    clusters = _clusters(sample.clusters[sample.labelled])
    if clusters >= LABELS_MIN:
        return None
    of = f" of {clusters} sessions" if clusters < labels else ""
    return Estimate(
        method, judged, labels, reason=f"{labels} labels{of}: a corrected mean needs {LABELS_MIN} at least."
    )


def _mean(values: Floats, weights: Floats, clusters: Ints, phase: int) -> tuple[float, Floats]:
    """A Hájek mean, and (n, 2) what each request adds to its error by being judged (phase 0) or labelled (phase 1);
    enlarged as a sample variance is, C / (C − 1)."""
    total = weights.sum()
    mean = float(weights @ values / total)
    count = _clusters(clusters[weights > 0])
    parts = np.zeros((len(values), 2))
    parts[:, phase] = weights * (values - mean) / total * (count / (count - 1)) ** 0.5
    return mean, parts


def _covariance(sample: Sample, finite: bool) -> _Covariance:
    """How two sums of contributions, (n, 2) each, vary together.

    For the process that made the requests, clusters are drawn anew: products of their totals. For a finite set only
    the draws of judging and, among the judged, of labelling are chance (Särndal et al. 1992, 9.3): who was drawn for
    certain adds nothing.
    """
    if not finite:
        _, codes = np.unique(sample.clusters, return_inverse=True)

        def by_cluster(one: Floats, other: Floats) -> float:
            return float(np.bincount(codes, one.sum(1)) @ np.bincount(codes, other.sum(1)))

        return by_cluster
    unjudged = 1 - sample.chance
    unlabelled = np.where(sample.labelled, 1 - sample.label_chance, 0.0)

    def by_draw(one: Floats, other: Floats) -> float:
        judging = one[:, 0] * other[:, 0] + one[:, 0] * other[:, 1] + one[:, 1] * other[:, 0]
        return float(unjudged @ judging + unlabelled @ (one[:, 1] * other[:, 1]))

    return by_draw


def _clusters(clusters: Ints) -> int:
    return len(np.unique(clusters))


def _quantile(
    residuals: Floats, weights: Floats, clusters: Ints, chance: np.random.Generator | None
) -> Callable[[Floats], Floats]:
    """Quantiles of (estimate − truth) / error: Student's t, or for few or skewed labels the bootstrap's own (Efron
    1981; Hall 1988), which follow the skew."""
    _, codes = np.unique(clusters, return_inverse=True)
    mass, totals = np.bincount(codes, weights), np.bincount(codes, weights * residuals)
    count = len(mass)
    alike = np.ptp(residuals) < 1e-12
    if chance is None or alike or (count >= _CALM and abs(float(stats.skew(residuals))) < 1):
        return _student(count - 1)
    mean = totals.sum() / mass.sum()
    drawn = chance.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(float)
    drawn_mass = drawn @ mass
    means = drawn @ totals / drawn_mass
    squares = drawn @ totals**2 - 2 * means * (drawn @ (totals * mass)) + means**2 * (drawn @ mass**2)
    errors = np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / drawn_mass
    ratios = np.divide(means - mean, errors, out=np.zeros_like(means), where=errors > 0)
    return lambda at: np.quantile(ratios, at)


def _student(freedom: int) -> Callable[[Floats], Floats]:
    """Quantiles of Student's t, by its own function: a distribution of scipy takes a thousand times as long."""
    return lambda at: np.asarray(special.stdtrit(max(1, freedom), at))


def _given(
    method: Method,
    sample: Sample,
    value: float,
    error: float,
    quantile: Callable[[Floats], Floats],
    level: float,
    gain: float | None,
) -> Estimate:
    tail = (1 - level) / 2
    low, high = (float(value - error * at) for at in quantile(np.array([1 - tail, tail])))
    return Estimate(
        method,
        len(sample.scores),
        int(sample.labelled.sum()),
        value,
        max(0.0, low),
        min(1.0, high),
        error,
        gain,
    )


def _predictions(sample: Sample, chance: np.random.Generator) -> Floats:
    """(n,) each request's label as told by a ridge regression that saw none of its fold; clusters stay together."""
    columns = [sample.scores[:, None]] + ([] if sample.features is None else [sample.features])
    features = np.hstack(columns)
    _, codes = np.unique(sample.clusters, return_inverse=True)
    folds = (chance.permutation(codes.max() + 1) % _FOLDS)[codes]
    predicted = np.empty(len(sample.scores))
    for fold in range(_FOLDS):
        inside, seen = folds == fold, (folds != fold) & sample.labelled
        predicted[inside] = ridge(features[seen], sample.labels[seen], features[inside])
    return predicted


def ridge(seen: Floats, labels: Floats, asked: Floats) -> Floats:
    """Predictions by ridge regression on standardised features, the penalty chosen by generalised cross-validation
    (Golub, Heath & Wahba 1979)."""
    centre, scale = seen.mean(0), seen.std(0)
    scale[scale == 0] = 1
    left, singular, right = np.linalg.svd((seen - centre) / scale, full_matrices=False)
    mean = labels.mean()
    turned = left.T @ (labels - mean)
    count = len(labels)
    outside = float((labels - mean) @ (labels - mean) - turned @ turned)
    best, best_loss = np.zeros(len(singular)), np.inf
    for penalty in _RIDGES:
        kept = singular**2 / (singular**2 + penalty)
        loss = (outside + float((((1 - kept) * turned) ** 2).sum())) / (1 - (kept.sum() + 1) / count) ** 2
        if loss < best_loss and kept.sum() + 1 < count:
            best, best_loss = kept, loss
    slopes = right.T @ np.divide(best * turned, singular, out=np.zeros_like(turned), where=singular > 0)
    return np.asarray((asked - centre) / scale @ slopes + mean)
