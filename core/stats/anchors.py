"""The anchors' watch: does a judge still score the same answers as it did at first?

The first score of each anchor is its reference, and a chance draw like any other: over few anchors their mean is off by
a little, for ever, and a watch that took it as exact would alarm in the end. So the second round tells how much scores
of one answer vary, and the watch begins beyond what the reference's own error may be, and beyond the least effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from core.stats.drift import Side, Watch, observe
from core.stats.stream import SIDES, watch_from_json, watch_to_json
from core.stats.verdict import ANCHORS_MIN, Effect

LEARNT_MAX = 200


@dataclass(frozen=True, slots=True)
class AnchorWatch:
    """One judge on one dimension of a set. `margin` is how far the mean of (new − first) must lie from zero to be a
    change; None while the differences of the second round are learnt."""

    learnt: tuple[float, ...] = ()
    margin: float | None = None
    watches: Mapping[Side, Watch] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Anchors judged since the watch began."""
        return self.watches["fall"].count if self.margin is not None else 0

    @property
    def evidence(self) -> float | None:
        """The e-value against "the judge has not moved", both directions together."""
        if self.margin is None:
            return None
        return sum(self.watches[side].evidence for side in SIDES) / 2

    def alarms(self, alpha: float) -> bool:
        """Whether either direction ever reached its threshold: P ≤ α without a change. Half of α is the reference's."""
        return any(one.alarms(4 / alpha) for one in self.watches.values())


def feed_anchors(
    watch: AnchorWatch, differences: Sequence[float], alpha: float, least_effect: float, size: int
) -> AnchorWatch:
    """The watch after further differences (new − first, −1 to 1), in order. The first `size` of them, though
    `ANCHORS_MIN` at least, set its margin: the least effect, and the error that the mean of `size` first scores has
    with probability 1 − α/2 (normal; two scores of one answer differ with twice the variance of one)."""
    rest = list(differences)
    if watch.margin is None:
        wanted = min(max(size, ANCHORS_MIN), LEARNT_MAX)
        cut = wanted - len(watch.learnt)
        learnt, rest = (*watch.learnt, *rest[:cut]), rest[cut:]
        if len(learnt) < wanted:
            return AnchorWatch(learnt)
        error = float(np.std(learnt, ddof=1)) / (2 * size) ** 0.5
        margin = min(least_effect + float(stats.norm.ppf(1 - alpha / 4)) * error, 0.98)
        baselines: dict[Side, float] = {"fall": 0.5 - margin / 2, "rise": 0.5 + margin / 2}
        watch = AnchorWatch((), margin, {side: Watch(baselines[side], side) for side in SIDES})
    halves = [0.5 + one / 2 for one in rest]
    return AnchorWatch(
        (), watch.margin, {side: observe(one, halves)[0] for side, one in watch.watches.items()}
    )


def anchor_effect(differences: Mapping[str, Sequence[float]]) -> Effect | None:
    """The mean of (new − first), each anchor counting once with the mean of its own; the 95 % interval takes the
    anchors as units (Student's t). None of fewer than two anchors."""
    means = np.array([float(np.mean(given)) for given in differences.values() if len(given)])
    if len(means) < 2:
        return None
    mean = float(means.mean())
    margin = float(stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5)
    return Effect(mean, mean - margin, mean + margin, sum(len(given) for given in differences.values()))


def anchors_to_json(watch: AnchorWatch) -> dict[str, Any]:
    """Plain JSON that `anchors_from_json` reads back as an equal watch."""
    if watch.margin is None:
        return {"learnt": list(watch.learnt)}
    return {"margin": watch.margin, **{side: watch_to_json(one) for side, one in watch.watches.items()}}


def anchors_from_json(value: Mapping[str, Any]) -> AnchorWatch:
    """A watch as it was stored."""
    if "margin" not in value:
        return AnchorWatch(tuple(value.get("learnt", ())))
    margin = value["margin"]
    baselines: dict[Side, float] = {"fall": 0.5 - margin / 2, "rise": 0.5 + margin / 2}
    watches = {side: watch_from_json(value[side], baselines[side], side, "pfa") for side in SIDES}
    return AnchorWatch((), margin, watches)
