"""Who moved: the system that answers, or the judge that scores its answers?

Anchors are answers that never change, so whatever changes in their scores is the judge's doing. What is left of a
stream's change when the judge's is taken away is the system's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy import stats

Who = Literal["system", "judge", "both", "undetermined"]

ANCHORS_MIN = 30
"""Anchors that must have been judged again since the change before their silence says anything."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of a mean score (after minus before) with its 95 % interval; `count` is the scores after it."""

    value: float
    low: float
    high: float
    count: int

    @property
    def error(self) -> float:
        """The standard error that the interval was made of, as if it were a normal one."""
        return (self.high - self.low) / 2 / float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who moved, why we think so, and what remains of the stream's change without the judge's; None without any
    anchor."""

    who: Who
    reason: str
    remains: Effect | None = None


def remaining(stream: Effect, anchors: Effect) -> Effect:
    """The stream's change less the judge's; the two come from other answers, so their errors add up in squares."""
    value = stream.value - anchors.value
    margin = float(stats.norm.ppf(0.975)) * (stream.error**2 + anchors.error**2) ** 0.5
    return Effect(value, value - margin, value + margin, min(stream.count, anchors.count))


def who_moved(stream: Effect, anchors: Effect | None, anchors_alarm: bool) -> Verdict:
    """The verdict on a stream that has moved, from what the anchors did since then.

    Their alarm says that the judge moved. The system moved where what remains of the stream's change without the
    judge's is still one: its interval excludes zero. Without an alarm the anchors acquit the judge only if enough of
    them were judged since then to have seen a change like the stream's: then the same must hold.
    """
    if anchors is None or anchors.count == 0:
        return Verdict("undetermined", "No anchor was judged again since the change.")
    remains = remaining(stream, anchors)
    system = remains.low > 0 or remains.high < 0
    if anchors_alarm:
        if system:
            return Verdict(
                "both", "The anchors moved too, and that alone does not explain the stream's change.", remains
            )
        return Verdict("judge", "The anchors moved too, and that explains the stream's change.", remains)
    if anchors.count < ANCHORS_MIN:
        return Verdict(
            "undetermined",
            f"Only {anchors.count} anchors were judged again since the change; {ANCHORS_MIN} are needed.",
            remains,
        )
    if system:
        return Verdict(
            "system", f"{anchors.count} anchors were judged again and did not move with it.", remains
        )
    return Verdict(
        "undetermined",
        f"{anchors.count} anchors were judged again: they do not show that the judge moved, and their scores vary too"
        " much to rule it out.",
        remains,
    )
