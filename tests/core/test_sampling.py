"""Sampling: probabilities that keep to the budget, never zero, and draws that repeat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stats.sampling import Stratum, draw, neyman, uniform

STRATA = st.lists(
    st.builds(
        Stratum,
        size=st.integers(0, 100_000),
        spread=st.none() | st.floats(0, 0.5),
        pilot=st.integers(1, 200),
        cost=st.floats(0.01, 100),
    ),
    min_size=1,
    max_size=12,
)


@given(STRATA, st.floats(1, 1e6))
def test_no_eligible_request_has_no_chance_and_no_budget_is_exceeded(
    strata: list[Stratum], budget: float
) -> None:
    for rates in (neyman(strata, budget), uniform(strata, budget)):
        assert ((rates > 0) & (rates <= 1)).all()
        spent = sum(rate * one.size * one.cost for rate, one in zip(rates, strata, strict=True))
        assert spent <= budget * (1 + 1e-6)


def test_sizes_follow_size_times_spread_over_the_root_of_cost() -> None:
    # By hand: 1,000 × .2 / √1 = 200 and 1,000 × .4 / √4 = 200: as many of each, at 1 and 4 apiece 100 for 500.
    strata = [Stratum(1000, 0.2, 10_000, cost=1), Stratum(1000, 0.4, 10_000, cost=4)]
    assert neyman(strata, 500) == pytest.approx([0.1, 0.1], rel=1e-3)


def test_a_rare_stratum_keeps_its_floor() -> None:
    rates = neyman([Stratum(100_000, 0.4, 100), Stratum(20, 0.0, 100)], 5000)
    assert rates[1] >= 10 / 20
    assert rates[0] == pytest.approx(4990 / 100_000, rel=0.02)


def test_a_budget_for_all_takes_all() -> None:
    assert list(neyman([Stratum(10, 0.1, 5), Stratum(7)], 1000)) == [1, 1]


def test_a_pilot_that_saw_no_spread_is_not_believed_blindly() -> None:
    rates = neyman([Stratum(1000, 0.0, 5), Stratum(1000, 0.4, 50)], 200, floor=0, least=0)
    assert rates[0] > 0.3 * rates[1]


def test_a_draw_repeats_is_uniform_and_goes_by_its_salt() -> None:
    draws = np.array([draw(f"{at:032x}", f"{at:016x}", "policy") for at in range(20_000)])
    others = np.array([draw(f"{at:032x}", f"{at:016x}", "other") for at in range(20_000)])
    assert draw(f"{7:032x}", f"{7:016x}", "policy") == draws[7]
    for share in (0.01, 0.25, 0.9):
        assert abs((draws < share).mean() - share) < 4 * (share * (1 - share) / 20_000) ** 0.5
    assert abs(np.corrcoef(draws, others)[0, 1]) < 0.03
    assert ((draws >= 0) & (draws < 1)).all()
