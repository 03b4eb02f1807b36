"""Who is likely to be labelled: whoever the judge may be wrong about, and nobody never."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.stats.estimate import Sample, corrected_mean
from core.stats.labelling import UNIFORM, Pool, expected_residuals, fold_of, label_chances


def a_pool(size: int = 500, seed: int = 0, labelled: float = 0.3, before: float = 0.0) -> Pool:
    """A judge that errs where it is undecided."""
    chance = np.random.default_rng(seed)
    scores = chance.choice([0.0, 0.5, 1.0], size)
    misses = np.where(scores == 0.5, 0.5, 0.05) + chance.normal(0, 0.02, size)
    known = chance.random(size) < labelled
    return Pool(
        scores,
        chance.normal(size=(size, 2)),
        np.where(known, misses, np.nan),
        chance.integers(0, 5, size),
        np.full(size, before),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.floats(0.1, 600), st.floats(0, 1), st.integers(0, 1000))
def test_no_probability_is_zero_none_falls_and_together_they_bring_what_was_wanted(
    size: int, wanted: float, before: float, seed: int
) -> None:
    pool = a_pool(size, seed, before=before)
    chances = label_chances(pool, wanted)
    assert (chances > 0).all() and (chances <= 1).all() and (chances >= pool.before).all()
    room = size * (1 - before)
    assert (chances - pool.before).sum() == pytest.approx(min(wanted, room), abs=1e-6)


def test_more_go_where_the_judge_errs_and_an_even_share_everywhere() -> None:
    pool = a_pool(2000)
    chances = label_chances(pool, 100)
    unsure, sure = chances[pool.scores == 0.5].mean(), chances[pool.scores != 0.5].mean()
    assert unsure > 2 * sure
    assert chances.min() >= UNIFORM * 100 / 2000 * 0.99


def test_without_labels_all_are_as_likely() -> None:
    chances = label_chances(a_pool(200, labelled=0.0), 50)
    assert np.ptp(chances) < 1e-12 and chances[0] == pytest.approx(0.25)


def test_an_answers_own_label_changes_nothing_for_its_fold() -> None:
    pool = a_pool(300)
    at = int(np.flatnonzero(~np.isnan(pool.residuals))[0])
    changed = pool.residuals.copy()
    changed[at] = 1.0
    same = pool.folds == pool.folds[at]
    before, after = expected_residuals(pool), expected_residuals(replace(pool, residuals=changed))
    assert (before[same] == after[same]).all() and (before[~same] != after[~same]).any()


def test_nothing_to_draw_from_is_nothing_drawn() -> None:
    assert len(label_chances(a_pool(0), 5)) == 0


def test_a_trace_stays_in_its_fold() -> None:
    folds = [fold_of(f"{n:032x}") for n in range(1000)]
    assert folds == [fold_of(f"{n:032x}") for n in range(1000)]
    assert set(folds) == {0, 1, 2, 3, 4}
    assert min(np.bincount(folds)) > 150


@pytest.mark.slow
def test_labels_drawn_so_correct_a_judge_without_bias_in_less_than_even_draws_need() -> None:
    """The mean of all answers is .5 by construction; the judge is off where it is undecided."""
    chance = np.random.default_rng(1)
    errors: dict[str, list[float]] = {"even": [], "drawn": []}
    covered = 0
    for _ in range(150):
        size = 1500
        scores = chance.choice([0.0, 0.5, 1.0], size)
        people = np.clip(
            np.where(scores == 0.5, (chance.random(size) < 0.7).astype(float), scores)
            + chance.normal(0, 0.02, size),
            0,
            1,
        )
        truth = people.mean()
        pilot = chance.random(size) < 0.1
        pool = Pool(
            scores,
            np.zeros((size, 1)),
            np.where(pilot, np.abs(people - scores), np.nan),
            chance.integers(0, 5, size),
            np.zeros(size),
        )
        for name, chances in (("even", np.full(size, 90 / size)), ("drawn", label_chances(pool, 90))):
            seen = chance.random(size) < chances
            sample = Sample(
                scores,
                np.ones(size),
                np.arange(size),
                np.where(seen, people, np.nan),
                np.where(seen, chances, 1.0),
            )
            found = corrected_mean(sample, chance, finite=True)
            assert found.value is not None and found.low is not None and found.high is not None
            errors[name].append(found.value - truth)
            covered += name == "drawn" and found.low <= truth <= found.high
    drawn, even = np.array(errors["drawn"]), np.array(errors["even"])
    assert abs(drawn.mean()) < 3 * drawn.std() / 150**0.5
    assert (drawn**2).mean() < 0.85 * (even**2).mean()
    assert covered >= 0.88 * 150
