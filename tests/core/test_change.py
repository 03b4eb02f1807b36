"""What moved: the cut is where the change was, and contributions add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stats.change import Part, change_point, decompose


def test_intervals_of_the_cut_and_of_the_effect_hold() -> None:
    cuts = effects = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        scores = np.concatenate([chance.beta(8, 2, 200), chance.beta(6.5, 3.5, 120)])
        found = change_point(scores, chance)
        cuts += found.low <= 200 <= found.high
        effects += found.effect_low <= -0.15 <= found.effect_high
    assert cuts >= 85 and effects >= 85, (cuts, effects)


def test_a_clear_change_is_cut_exactly() -> None:
    scores = np.array([0.9] * 30 + [0.2] * 25)
    found = change_point(scores, np.random.default_rng(0))
    assert (found.at, found.low, found.high) == (30, 30, 30)
    assert found.effect == pytest.approx(-0.7)


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="20 scores"):
        change_point(np.zeros(19), np.random.default_rng(0))


PERIODS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=6
)


def period(parts: dict[str, tuple[float, float]]) -> dict[str, Part]:
    whole = sum(share for share, _ in parts.values())
    return {name: Part(share / whole, mean) for name, (share, mean) in parts.items()}


@given(PERIODS, PERIODS)
def test_contributions_add_up_to_the_whole_change(
    was: dict[str, tuple[float, float]], now: dict[str, tuple[float, float]]
) -> None:
    before, after = period(was), period(now)
    change = sum(p.share * p.mean for p in after.values()) - sum(p.share * p.mean for p in before.values())
    assert sum(moved.total for moved in decompose(before, after).values()) == pytest.approx(change, abs=1e-9)


def test_mix_and_within_are_told_apart() -> None:
    same = decompose({"a": Part(0.5, 0.9), "b": Part(0.5, 0.5)}, {"a": Part(0.5, 0.7), "b": Part(0.5, 0.5)})
    assert same["a"].within == pytest.approx(-0.1) and same["a"].mix == 0 and same["b"].total == 0
    moved = decompose(
        {"a": Part(0.5, 0.9), "b": Part(0.5, 0.5)}, {"a": Part(0.25, 0.9), "b": Part(0.75, 0.5)}
    )
    assert sum(one.within for one in moved.values()) == 0
    assert sum(one.mix for one in moved.values()) == pytest.approx(-0.1)
