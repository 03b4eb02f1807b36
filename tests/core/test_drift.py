"""Drift: wealth that is never negative and fair under the null, alarms when something moved, state that restarts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stats.drift import (
    Watch,
    against_reference,
    bets_for,
    e_benjamini_hochberg,
    grown,
    lower_bound,
    observe,
)

SCORES = st.lists(st.floats(0, 1), max_size=60)
BASELINES = st.floats(0.001, 0.999)
SIDES = st.sampled_from(["fall", "rise"])


@given(SCORES, BASELINES, SIDES, st.sampled_from(["pfa", "arl"]))
def test_wealth_is_never_negative(scores: list[float], baseline: float, side: str, mode: str) -> None:
    watch, _ = observe(Watch(baseline, side, mode), scores)  # type: ignore[arg-type]
    assert all(one >= 0 for one in watch.wealth)
    assert watch.peak >= watch.evidence or not scores


@given(BASELINES, SIDES, st.integers(1, 10**9))
def test_no_step_gains_under_the_null(baseline: float, side: str, count: int) -> None:
    """For scores of 0 and 1 with the mean of the baseline, the step's expectation is worked out exactly: what is
    there keeps its expectation, so E[evidence] stays 1."""
    bets = bets_for(baseline, side)  # type: ignore[arg-type]
    sign = 1 if side == "fall" else -1
    wealth = np.full(len(bets), 0.1)
    up, down = (
        grown(wealth, count, 1 + bets * sign * (baseline - score), "pfa").sum() for score in (1.0, 0.0)
    )
    expected = baseline * up + (1 - baseline) * down
    started = 1 / math.log2(count + 1) - 1 / math.log2(count + 2)
    assert expected == pytest.approx(wealth.sum() + started, rel=1e-9)


def test_evidence_begins_at_one() -> None:
    assert Watch(0.8, "fall").evidence == 1


@given(SCORES, st.integers(0, 60), BASELINES, SIDES)
def test_a_watch_restarts_where_it_stopped(scores: list[float], cut: int, baseline: float, side: str) -> None:
    start = Watch(baseline, side)  # type: ignore[arg-type]
    once, _ = observe(start, scores)
    half, _ = observe(start, scores[:cut])
    twice, _ = observe(half, scores[cut:])
    assert twice == once


@pytest.mark.parametrize(("side", "before", "after"), [("fall", 0.85, 0.65), ("rise", 0.3, 0.55)])
def test_a_change_is_found_soon_and_no_earlier(side: str, before: float, after: float) -> None:
    chance = np.random.default_rng(2)
    scores = np.concatenate([chance.random(1000) < before, chance.random(2000) < after]).astype(float)
    watch, first = observe(Watch(before, side), scores, 1 / 0.005)  # type: ignore[arg-type]
    assert first is not None and 1000 < first < 1250
    assert watch.alarms(1 / 0.005)


def test_false_alarms_stay_under_alpha_though_every_score_is_looked_at() -> None:
    chance = np.random.default_rng(3)
    alarms = 0
    for _ in range(200):
        _, first = observe(Watch(0.7, "fall"), chance.beta(7, 3, 500), 1 / 0.05)
        alarms += first is not None
    # At most 10 in expectation; 20 would be over three standard errors more.
    assert alarms <= 20


def test_a_score_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        observe(Watch(0.5, "fall"), [0.2, 1.2])


def test_a_stream_of_a_million_equal_scores_neither_overflows_nor_loses_its_alarm() -> None:
    wealth = np.zeros(len(bets_for(0.9, "fall")))
    for count in range(1, 5000):
        wealth = grown(wealth, count, 1 + bets_for(0.9, "fall") * 0.9, "pfa")
    assert np.isfinite(wealth).all() and wealth.sum() > 1e200


def test_a_bound_from_a_reference_holds_as_often_as_it_says() -> None:
    chance = np.random.default_rng(4)
    misses = sum(lower_bound(chance.beta(8, 2, 400), 0.05) > 0.8 for _ in range(200))
    assert misses <= 20  # 10 expected at most, three standard errors above
    near = lower_bound(chance.beta(8, 2, 4000), 0.05)
    assert 0.77 < near < 0.8


def test_a_baseline_from_a_reference_leaves_room_for_its_own_error_and_the_least_effect() -> None:
    reference = list(np.random.default_rng(5).beta(8, 2, 2000))
    plain, alpha = against_reference(reference, "fall", 0.01)
    moved, _ = against_reference(reference, "fall", 0.01, least_effect=0.05)
    rise, _ = against_reference(reference, "rise", 0.01)
    assert alpha == 0.005
    assert plain < np.mean(reference) < rise
    assert moved == pytest.approx(plain - 0.05)
    with pytest.raises(ValueError, match="30 reference scores"):
        against_reference(reference[:29], "fall", 0.01)


def test_e_bh_by_hand() -> None:
    # Four streams at α = .1: the k-th largest must reach 40 / k. 45 ≥ 40, 21 ≥ 20, 12 < 13.3.
    evidence = {"a": 12.0, "b": 45.0, "c": 21.0, "d": 0.2}
    assert e_benjamini_hochberg(evidence, 0.1) == {"b", "c"}
    assert e_benjamini_hochberg({"a": 9.0}, 0.1) == set()
    assert e_benjamini_hochberg({}, 0.1) == set()
    # A later rank may carry the earlier ones: 14 ≥ 40/3 takes all three.
    assert e_benjamini_hochberg({"a": 14.0, "b": 14.0, "c": 14.0, "d": 0.0}, 0.1) == {"a", "b", "c"}
