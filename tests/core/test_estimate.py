"""Estimates: unbiased under any design, honest intervals, and no value from too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.stats.estimate import (
    CROSS_FIT_MIN,
    LABELS_MIN,
    Estimate,
    Sample,
    corrected_mean,
    cross_fitted,
    judge_mean,
    label_mean,
)


def sample_of(
    size: int, seed: int = 0, labelled: float = 0.1, bias: float = 0.1, **changes: object
) -> Sample:
    """Answers whose judge is too kind by `bias`, labelled with one probability."""
    chance = np.random.default_rng(seed)
    human = chance.beta(4, 2, size)
    scores = np.clip(human + bias + chance.normal(0, 0.1, size), 0, 1)
    seen = chance.random(size) < labelled
    sample = Sample(
        scores,
        np.ones(size),
        np.arange(size),
        np.where(seen, human, np.nan),
        np.full(size, labelled),
        chance.normal(size=(size, 2)),
    )
    return replace(sample, **changes)


def within(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hajek_is_unbiased_over_random_designs(seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth_of = chance.beta(2, 1, 2000)
    # Any probabilities, however they go with the quality.
    wanted = np.clip(0.05 + chance.random() * truth_of ** chance.integers(1, 4), 0.05, 1)
    values = []
    for _ in range(200):
        seen = chance.random(2000) < wanted
        many = int(seen.sum())
        empty = np.full(many, np.nan)
        values.append(
            judge_mean(Sample(truth_of[seen], wanted[seen], np.arange(many), empty, wanted[seen])).value
        )
    error = float(np.std(values)) / 200**0.5
    assert abs(float(np.mean(values)) - truth_of.mean()) < 5 * error


def test_the_weights_worked_by_hand() -> None:
    # Two at 1/2 and one at 1/4: weights 2, 2 and 4; (2·1 + 2·.5 + 4·0) / 8 = .375.
    sample = Sample(
        np.array([1, 0.5, 0]), np.array([0.5, 0.5, 0.25]), np.arange(3), np.full(3, np.nan), np.ones(3)
    )
    assert judge_mean(sample).value == 0.375


@pytest.mark.slow
@pytest.mark.parametrize("finite", [True, False])
def test_corrected_intervals_cover_the_truth_where_the_judges_own_do_not(finite: bool) -> None:
    truth, size = 2 / 3, 1500
    hits = {"judge": 0, "ppi++": 0, "cross-fitted": 0, "labels": 0}
    for seed in range(100):
        sample = sample_of(size, seed)
        chance = np.random.default_rng(seed)
        goal = truth
        if finite:
            # The same draws that the sample was made of.
            goal = float(np.random.default_rng(seed).beta(4, 2, size).mean())
        hits["judge"] += within(judge_mean(sample, finite=finite), goal)
        hits["labels"] += within(label_mean(sample, finite=finite), goal)
        hits["ppi++"] += within(corrected_mean(replace(sample, features=None), chance, finite=finite), goal)
        hits["cross-fitted"] += within(cross_fitted(sample, chance, finite=finite), goal)
    assert hits.pop("judge") <= 2
    # 100 tries at .95: 88 is more than three standard errors low.
    assert min(hits.values()) >= 88, hits


def test_a_good_judge_narrows_the_interval_and_a_useless_one_does_no_harm() -> None:
    sample = sample_of(4000, 3)
    chance = np.random.default_rng(0)
    own = label_mean(sample)
    good = corrected_mean(replace(sample, features=None), chance)
    useless = corrected_mean(replace(sample, scores=chance.random(4000), features=None), chance)
    assert own.error and good.error and useless.error
    assert good.error < 0.75 * own.error
    assert useless.error <= 1.01 * own.error
    assert useless.gain is not None and abs(useless.gain) < 0.2


def test_sessions_whose_answers_are_alike_widen_the_interval() -> None:
    chance = np.random.default_rng(1)
    of_session = np.repeat(chance.beta(2, 2, 100), 20)
    alone = Sample(of_session, np.ones(2000), np.arange(2000), np.full(2000, np.nan), np.ones(2000))
    together = replace(alone, clusters=np.repeat(np.arange(100), 20))
    one, other = judge_mean(alone), judge_mean(together)
    assert one.error and other.error
    assert other.error == pytest.approx(one.error * 20**0.5, rel=0.02)


@pytest.mark.parametrize("estimate", [label_mean, lambda s: corrected_mean(s, np.random.default_rng(0))])
def test_too_few_labels_give_a_reason_and_no_value(estimate: object) -> None:
    sample = sample_of(1000)
    labels = sample.labels.copy()
    labels[np.flatnonzero(sample.labelled)[LABELS_MIN - 1 :]] = np.nan
    given_few = estimate(replace(sample, labels=labels))  # type: ignore[operator]
    assert given_few.value is None and given_few.low is None
    assert "29 labels" in given_few.reason and "30" in given_few.reason


def test_many_labels_of_few_sessions_are_few() -> None:
    sample = replace(sample_of(1000, labelled=0.5), clusters=np.arange(1000) % 10)
    reason = label_mean(sample).reason
    assert reason and "10 sessions" in reason


def test_the_method_goes_by_the_number_of_labels_alone() -> None:
    chance = np.random.default_rng(0)
    assert corrected_mean(sample_of(400, labelled=0.15), chance).method == "ppi++"
    many = corrected_mean(sample_of(4000, labelled=0.15), chance)
    assert many.method == "cross-fitted" and many.labels >= CROSS_FIT_MIN


def test_all_labels_alike_are_a_point_and_not_an_error() -> None:
    sample = sample_of(500, labelled=0.5)
    alike = replace(sample, labels=np.where(sample.labelled, 1.0, np.nan), scores=np.ones(500), features=None)
    estimate = corrected_mean(alike, np.random.default_rng(0))
    assert (estimate.value, estimate.low, estimate.high) == (1, 1, 1)


def test_intervals_stay_between_0_and_1() -> None:
    sample = sample_of(300, labelled=0.2)
    high = replace(sample, labels=np.where(sample.labelled, np.where(sample.labels > 0.2, 1.0, 0.0), np.nan))
    estimate = corrected_mean(high, np.random.default_rng(0))
    assert estimate.high is not None and estimate.high <= 1


def test_a_probability_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        sample_of(10, chance=np.zeros(10))
