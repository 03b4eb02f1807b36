"""What an alert says: the numbers add up, and are the ones that were planted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.judging.investigation import Scored, examples, find_change, judged_since, moved, series, told

START = datetime(2026, 11, 1, tzinfo=UTC)


def scored(
    at: int, score: float, chance: float = 1, reason: str | None = None, **values: str | None
) -> Scored:
    return Scored(f"{at:032x}", f"{at:016x}", START + timedelta(minutes=at), score, chance, reason, values)


def test_the_change_is_told_in_times_and_means() -> None:
    chance = np.random.default_rng(1)
    history = [scored(at, float(chance.binomial(4, 0.8 if at < 300 else 0.5) / 4)) for at in range(500)]
    change = find_change(history, 1)
    assert change
    words = told(change, history)
    assert words["low"] <= "2026-11-01T05:00:00Z" <= words["high"]
    assert words["effect_low"] < -0.3 < words["effect_high"] < 0
    assert words["before"]["count"] + words["after"]["count"] == 500
    assert words["effect"] == pytest.approx(words["after"]["mean"] - words["before"]["mean"])
    assert find_change(history[:19], 1) is None


def test_the_series_holds_every_score_once() -> None:
    for many in (1, 9, 25, 1234):
        bins = series([scored(at, at % 5 / 4) for at in range(many)])
        assert sum(one["count"] for one in bins) == many and 1 <= len(bins) <= 48
        mean = sum(one["count"] * one["mean"] for one in bins) / many
        assert mean == pytest.approx(np.mean([at % 5 / 4 for at in range(many)]))
        assert all(one["low"] is None or one["low"] <= one["mean"] <= one["high"] for one in bins)


def test_mix_and_within_are_worked_by_hand() -> None:
    """Before half a / half b at 1 and 0; after a quarter a. By weight: a's requests were drawn with a half, so one
    judged stands for two."""
    before = [scored(1, 1, 0.5, tier="a"), scored(2, 0, 1, tier="b"), scored(3, 0, 1, tier="b")]
    after = [scored(4, 1, 1, tier="a"), *(scored(at, 0, 1, tier="b") for at in (5, 6, 7))]
    (found,) = moved(before, after, ["tier", "model"])
    assert found["by"] == "tier"
    assert (found["mix"], found["within"], found["total"]) == pytest.approx((-0.25, 0, -0.25))
    assert [one["value"] for one in found["slices"]] in (["a", "b"], ["b", "a"])
    shares = {one["value"]: (one["before"]["share"], one["after"]["share"]) for one in found["slices"]}
    assert shares == {"a": (0.5, 0.25), "b": (0.5, 0.75)}


def test_a_slice_that_got_worse_is_named_first_and_one_not_set_is_its_own() -> None:
    before = [scored(at, 0.8, release="1" if at % 2 else None) for at in range(20)]
    after = [scored(at, 0.8 if at % 2 else 0.2, release="1" if at % 2 else None) for at in range(20)]
    (found,) = moved(before, after, ["release"])
    assert found["slices"][0]["value"] is None
    assert found["within"] == pytest.approx(-0.3) and found["mix"] == pytest.approx(0)


def test_examples_stand_at_the_same_ranks_and_keep_their_reason() -> None:
    ranked = [scored(at, at / 99, reason="because") for at in range(100)]
    shown = examples(ranked[::-1])
    assert [round(one["score"] * 99) for one in shown] == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert shown[0]["reason"] == "because"
    assert len(examples(ranked[:3])) == 3 and examples([]) == []


def test_anchors_count_from_when_the_answers_after_the_change_were_judged() -> None:
    # A day's answers, judged in one go a week later.
    later = START + timedelta(days=7)
    history = [
        replace(scored(at, 0.9 if at < 60 else 0.5), judged_at=later + timedelta(seconds=at))
        for at in range(120)
    ]
    change = find_change(history, seed=1)
    assert change is not None
    assert judged_since(change, history) == later + timedelta(seconds=60)
