"""Two candidates side by side: counted by hand, and against worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from core.judging.pairs import Pair, compare
from core.stats.pairwise import CLUSTERS_MIN, length_controlled


def test_a_few_pairs_counted_by_hand() -> None:
    pairs = [
        Pair(1, 1, 10, 10, "a"),
        Pair(1, 0, 10, 10, "b"),
        Pair(0, 0, 10, 10, "c"),
        Pair(0.5, 1, 10, 10, "d"),
        Pair(1, None, 10, 10, "e"),
        Pair(None, None, 10, 10, "f"),
    ]
    found = compare(pairs)
    assert (found.pairs, found.sessions, found.both) == (5, 5, 4)
    assert found.wins.value == pytest.approx((1 + 0.5 + 0 + 0.75 + 1) / 5)
    assert found.flips is not None and (found.flips.pairs, found.flips.flips) == (4, 0.5)
    assert found.flips.share == pytest.approx((1 + 0.5 + 0 + 0.75) / 4)
    assert found.controlled.value is None and "needs 20 at least" in (found.controlled.reason or "")
    # A tie in one order alone is a flip and no tie.
    assert found.ties == 0 and compare([*pairs, Pair(0.5, 0.5, 10, 10, "g")]).ties == 1


def test_too_little_is_a_reason_and_no_number() -> None:
    nothing, alone = compare([]), compare([Pair(1, 0, 5, 5, "a"), Pair(1, 1, 5, 5, "a")])
    assert nothing.wins.value is None and nothing.flips is None and nothing.pairs == 0
    assert alone.wins.reason == "2 pairs of 1 sessions: a rate with an interval needs 2 sessions."
    won = compare([Pair(1, 1, 5, 5, str(at)) for at in range(40)])
    assert (won.wins.value, won.wins.low) == (1.0, None) and "no interval" in (won.wins.reason or "")
    assert (
        won.controlled.reason
        == "All pairs have the same ratio of lengths, so nothing tells what length does."
    )


def test_length_that_tells_all_leaves_no_rate_at_equal_length() -> None:
    pairs = [Pair(float(at % 2), None, 20 if at % 2 else 5, 10, str(at)) for at in range(100)]
    assert compare(pairs).controlled.reason == (
        "Length alone tells wins from losses, so no rate at equal length can be told."
    )
    assert compare([Pair(1, 1, at + 1, 10, str(at)) for at in range(100)]).controlled.reason == (
        "All verdicts are the same, so nothing tells what length does."
    )


def world(seed: int, size: int, level: float, slope: float, longer: float) -> list[Pair]:
    """Pairs whose judge likes length: the first candidate wins by `level` at equal length, and writes `longer`."""
    chance = np.random.default_rng(seed)
    ratios = np.exp(chance.normal(longer, 0.5, size))
    wins = chance.random((size, 2)) < expit(level + slope * np.tanh(np.log(ratios)))[:, None]
    return [
        Pair(float(one), float(two), round(1000 * ratio), 1000, f"s{at // 2}")
        for at, ((one, two), ratio) in enumerate(zip(wins, ratios, strict=True))
    ]


def test_a_candidate_that_only_writes_more_wins_no_more_at_equal_length() -> None:
    found = compare(world(1, 4000, level=0, slope=2, longer=0.7))
    assert found.wins.low is not None and found.wins.low > 0.65
    assert found.controlled.value == pytest.approx(0.5, abs=0.04)
    assert found.controlled.slope == pytest.approx(2, abs=0.3)


def test_nineteen_of_twenty_intervals_hold_the_true_rate_at_equal_length() -> None:
    truth, held = float(expit(0.4)), 0
    for seed in range(300):
        found = compare(world(seed, 200, level=0.4, slope=1.5, longer=0.3)).controlled
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 300 <= 0.985


def test_as_many_sessions_as_are_needed_are_enough() -> None:
    chance = np.random.default_rng(3)
    for many in (CLUSTERS_MIN - 1, CLUSTERS_MIN):
        wins, ratios = chance.random(many), np.exp(chance.normal(0, 1, many))
        found = length_controlled(wins, ratios, np.arange(many))
        assert (found.value is None) == (many < CLUSTERS_MIN) == (found.reason is not None)
