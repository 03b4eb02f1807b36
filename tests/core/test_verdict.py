"""Who moved: every way in which a stream and the anchors can agree or differ."""

from __future__ import annotations

import pytest

from core.stats.verdict import Effect, remaining, who_moved

FELL = Effect(-0.20, -0.26, -0.14, 120)


@pytest.mark.parametrize(
    ("anchors", "alarm", "who"),
    [
        (Effect(0.00, -0.02, 0.02, 60), False, "system"),
        (Effect(-0.19, -0.23, -0.15, 60), True, "judge"),
        (Effect(-0.08, -0.11, -0.05, 60), True, "both"),
        # The judge became kinder, and the system fell by more than is seen.
        (Effect(0.15, 0.11, 0.19, 60), True, "both"),
        (None, False, "undetermined"),
        (Effect(0.0, 0.0, 0.0, 0), False, "undetermined"),
        (Effect(0.00, -0.02, 0.02, 29), False, "undetermined"),
        # Enough of them, but they vary so much that a change like the stream's could hide in it.
        (Effect(-0.10, -0.25, 0.05, 60), False, "undetermined"),
        # Few anchors that alarm are enough: the alarm has its own guarantee.
        (Effect(-0.20, -0.26, -0.14, 12), True, "judge"),
    ],
)
def test_the_verdict(anchors: Effect | None, alarm: bool, who: str) -> None:
    found = who_moved(FELL, anchors, alarm)
    assert found.who == who and found.reason.endswith(".")
    assert (found.remains is None) == (anchors is None or anchors.count == 0)


def test_what_remains_is_worked_out_by_hand() -> None:
    """Margins .06 and .08 make .1."""
    left = remaining(FELL, Effect(-0.15, -0.23, -0.07, 60))
    assert left.value == pytest.approx(-0.05)
    assert (left.low, left.high) == (pytest.approx(-0.15), pytest.approx(0.05))
