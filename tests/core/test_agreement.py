"""Agreement and the judge's two weaknesses, against published and hand-worked figures."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats.agreement import icc, weighted_kappa
from core.stats.bias import both_orders, length_controlled, wilson

# Six targets, four judges: the example of Shrout & Fleiss (1979), table 2.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    ratings = np.tile(SHROUT_FLEISS, (4, 1)).astype(float)
    # Their six targets give .29 and .62; four copies of each move the degrees of freedom, so the six are asked below.
    from core.stats import agreement

    assert round(agreement._icc_single(SHROUT_FLEISS.astype(float)), 2) == 0.29
    assert round(agreement._icc_mean(SHROUT_FLEISS.astype(float)), 2) == 0.62
    found = icc(ratings, np.random.default_rng(0))
    assert found.items == 24 and found.low is not None and found.value is not None and found.high is not None
    assert found.low < found.value < found.high


def test_kappa_by_hand() -> None:
    # 20 pairs, 4 off by one step of .25; variances and means from the marginals.
    one = np.array([0, 0.25, 0.5, 0.75, 1] * 4)
    other = one.copy()
    other[[0, 5, 10, 15]] += 0.25
    disagreed = 4 * 0.0625 / 20
    by_chance = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    assert weighted_kappa(one, other, np.random.default_rng(0)).value == pytest.approx(
        1 - disagreed / by_chance
    )


def test_chance_agrees_by_chance() -> None:
    chance = np.random.default_rng(1)
    found = weighted_kappa(chance.random(2000), chance.random(2000), chance)
    assert found.low is not None and found.high is not None and found.low < 0 < found.high


def test_few_or_equal_ratings_give_a_reason() -> None:
    chance = np.random.default_rng(2)
    assert "20 are needed" in (weighted_kappa(np.zeros(19), np.zeros(19), chance).reason or "")
    assert "same" in (weighted_kappa(np.ones(30), np.ones(30), chance).reason or "")
    gaps = np.where(np.arange(40) % 2, np.nan, 0.5)
    assert weighted_kappa(gaps, np.ones(40), chance).items == 20


def test_length_is_taken_out_of_equal_answers_and_not_of_better_ones() -> None:
    chance = np.random.default_rng(3)
    groups = ["short"] * 500 + ["long"] * 500
    lengths = np.exp(np.where(np.arange(1000) < 500, 4.5, 5.5) + chance.normal(0, 0.5, 1000))
    control = np.tanh(np.log(lengths) - np.log(lengths).mean())
    scores = 0.5 + 0.2 * control + chance.normal(0, 0.05, 1000)
    better = scores + np.where(np.arange(1000) < 500, 0.0, 0.1)
    equal, slope = length_controlled(scores, lengths, groups, np.arange(1000))
    apart, _ = length_controlled(better, lengths, groups, np.arange(1000))
    assert slope == pytest.approx(0.2, abs=0.02)
    assert equal["long"].raw - equal["short"].raw > 0.1
    assert abs(equal["long"].value - equal["short"].value) < 0.015
    assert apart["long"].value - apart["short"].value == pytest.approx(0.1, abs=0.015)
    assert equal["long"].low < 0.5 < equal["long"].high


def test_both_orders_by_hand() -> None:
    found = both_orders(np.array([1, 1, 0, 0.5]), np.array([1, 0, 0, 0.5]))
    assert (found.pairs, found.share, found.flips) == (4, 0.5, 0.25)


def test_wilson_by_hand() -> None:
    # 15 of 50: Wilson 1927 at z = 1.96 gives .191 to .438.
    assert wilson(0.3, 50) == pytest.approx((0.191, 0.438), abs=5e-4)


def test_a_weight_of_two_is_the_answer_twice() -> None:
    scores, lengths = np.array([0.2, 0.9, 0.5, 0.7, 0.1, 0.6]), np.array([5.0, 40, 10, 30, 8, 90])
    groups, clusters = list("aabbab"), np.arange(6)
    weights = np.array([1, 2, 1, 3, 1, 2])
    weighed, slope = length_controlled(scores, lengths, groups, clusters, weights.astype(float))
    again = np.repeat(np.arange(6), weights)
    copied, same = length_controlled(
        scores[again], lengths[again], [groups[n] for n in again], clusters[again]
    )
    assert slope == pytest.approx(same)
    for name in "ab":
        assert weighed[name].value == pytest.approx(copied[name].value)
        assert weighed[name].raw == pytest.approx(copied[name].raw)
        assert weighed[name].high - weighed[name].low == pytest.approx(copied[name].high - copied[name].low)
