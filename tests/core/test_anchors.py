"""The anchors' watch: quiet while the judge is the same, loud when it is not, whatever the luck of its first scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.stats.anchors import AnchorWatch, anchor_effect, anchors_from_json, anchors_to_json, feed_anchors

SIZE = 60


def rounds(chance: np.random.Generator, many: int, shift: float = 0.0, noise: float = 0.12) -> list[float]:
    """(new − first) of so many rounds of one set: the first scores are drawn once, the new ones each time."""
    truth = chance.uniform(0.2, 0.8, SIZE)
    first = np.clip(truth + chance.normal(0, noise, SIZE), 0, 1)
    new = np.clip(truth + shift + chance.normal(0, noise, (many, SIZE)), 0, 1)
    return [float(one) for one in (new - first).ravel()]


def watch(differences: list[float]) -> AnchorWatch:
    return feed_anchors(AnchorWatch(), differences, 0.01, 0.02, SIZE)


def test_the_same_judge_raises_no_alarm_in_a_year_of_rounds() -> None:
    chance = np.random.default_rng(1)
    alarmed = sum(watch(rounds(chance, 365)).alarms(0.01) for _ in range(12))
    assert alarmed == 0


@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_another_judge_is_noticed_within_four_rounds(shift: float) -> None:
    chance = np.random.default_rng(2)
    for _ in range(10):
        known = watch(rounds(chance, 2))
        assert not known.alarms(0.01)
        moved = feed_anchors(known, rounds(chance, 4, shift), 0.01, 0.02, SIZE)
        assert moved.alarms(0.01) and (moved.evidence or 0) > 200


def test_a_judge_that_never_varies_leaves_the_least_effect_as_margin() -> None:
    assert watch([0.0] * SIZE).margin == pytest.approx(0.02)
    assert watch([0.0] * (SIZE - 1)).margin is None


def test_in_pieces_and_stored_in_between_it_is_the_same() -> None:
    differences = rounds(np.random.default_rng(3), 4)
    pieces = AnchorWatch()
    for at in range(0, len(differences), 17):
        pieces = feed_anchors(pieces, differences[at : at + 17], 0.01, 0.02, SIZE)
        pieces = anchors_from_json(json.loads(json.dumps(anchors_to_json(pieces))))
    assert pieces == watch(differences) and pieces.count == 3 * SIZE


def test_the_effect_counts_each_anchor_once() -> None:
    effect = anchor_effect({"a": [-0.2, -0.2, -0.2], "b": [0.0], "c": []})
    assert effect and effect.value == pytest.approx(-0.1) and effect.count == 4
    assert effect.low < -0.1 < effect.high
    assert anchor_effect({"a": [0.1, 0.2]}) is None
