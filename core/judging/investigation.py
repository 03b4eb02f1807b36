"""What an alert says of a stream that moved: since when, by how much, through which parts, with examples.

Plain JSON that is stored with the alert, so that it reads the same years later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import stats

from core.stats.change import Change, Part, change_point, decompose
from core.stats.verdict import Effect

HISTORY_MAX = 3000
"""The newest scores of a stream that a change is looked for in."""
PERIOD_MAX = 3000
"""Requests on either side of the change whose parts are compared."""
CHANGE_MIN = 20
_BINS = 48
_NEAR = 5
_BIN_MIN = 10
_SLICES = 8
_EXAMPLES = 10
_REASON_MAX = 600
OF_ALL = ("feature", "tier", "model", "release")
OF_STREAM = ("release", "tenant", "plan")


@dataclass(frozen=True, slots=True)
class Scored:
    """A judged request: its score on the dimension in question, the chance it was drawn with, what the judge said,
    and the values of the dimensions that it may be cut by."""

    trace_id: str
    span_id: str
    started_at: datetime
    score: float
    chance: float
    reason: str | None
    values: Mapping[str, str | None]
    judged_at: datetime | None = None


def judged_since(change: Change, history: Sequence[Scored]) -> datetime:
    """From when on the judge was at the answers after the change: only anchors judged since then can tell whether it
    was the judge that changed. The median around the cut, since answers are not judged in the order of their start;
    where answers wait for their judge, this is later than the change itself."""
    near = history[max(0, change.at - _NEAR) : change.at + _NEAR + 1]
    return sorted(one.judged_at or one.started_at for one in near)[len(near) // 2]


def find_change(history: Sequence[Scored], seed: int) -> Change | None:
    """Where the stream's scores, in order of time, are best cut in two; None of fewer than `CHANGE_MIN`."""
    if len(history) < CHANGE_MIN:
        return None
    scores = np.array([one.score for one in history])
    return change_point(scores, np.random.default_rng(seed))


def effect_of(change: Change, history: Sequence[Scored]) -> Effect:
    """The change as the verdict takes it."""
    return Effect(change.effect, change.effect_low, change.effect_high, len(history) - change.at)


def told(change: Change, history: Sequence[Scored]) -> dict[str, Any]:
    """The change in times and means."""

    def at(place: int) -> str:
        return moment(history[min(place, len(history) - 1)].started_at)

    before, after = history[: change.at], history[change.at :]
    return {
        "at": at(change.at),
        "low": at(change.low),
        "high": at(change.high),
        "judged_since": moment(judged_since(change, history)),
        "before": {"count": len(before), "mean": _mean(before), "from": moment(history[0].started_at)},
        "after": {"count": len(after), "mean": _mean(after), "to": moment(history[-1].started_at)},
        "effect": change.effect,
        "effect_low": change.effect_low,
        "effect_high": change.effect_high,
        "method": "The best cut of the scores in two by least squares; its 95 % interval by a bootstrap of the scores"
        " around the two means; the effect's 95 % interval is Welch's, given the cut.",
    }


def series(history: Sequence[Scored]) -> list[dict[str, Any]]:
    """The scores in order of time as means of equally many, each with its 95 % interval (Student's t)."""
    many = len(history)
    bins = max(1, min(_BINS, many // _BIN_MIN))
    found = []
    for part in np.array_split(np.arange(many), bins):
        if not len(part):
            continue
        inside = [history[at] for at in part]
        values = np.array([one.score for one in inside])
        low = high = None
        if len(values) > 1:
            margin = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
            low, high = max(0.0, float(values.mean()) - margin), min(1.0, float(values.mean()) + margin)
        found.append(
            {
                "from": moment(inside[0].started_at),
                "to": moment(inside[-1].started_at),
                "count": len(values),
                "mean": float(values.mean()),
                "low": low,
                "high": high,
            }
        )
    return found


def moved(before: Sequence[Scored], after: Sequence[Scored], names: Sequence[str]) -> list[dict[str, Any]]:
    """For each dimension by which the requests differ: how much of the change of their mean is a change of traffic
    (mix) and how much a change within its slices; the slices that contributed most."""
    found: list[dict[str, Any]] = []
    if not before or not after:
        return found
    for name in names:
        if len({one.values.get(name) for one in (*before, *after)}) < 2:
            continue
        was, now = _parts(before, name), _parts(after, name)
        shares = decompose(
            {key: part for key, (part, _) in was.items()}, {key: part for key, (part, _) in now.items()}
        )
        ranked = sorted(shares.items(), key=lambda pair: (-abs(pair[1].total), pair[0]))
        found.append(
            {
                "by": name,
                "mix": sum(one.mix for one in shares.values()),
                "within": sum(one.within for one in shares.values()),
                "total": sum(one.total for one in shares.values()),
                "slices_in_all": len(ranked),
                "slices": [
                    {
                        "value": _name(key),
                        "before": _told(was.get(key)),
                        "after": _told(now.get(key)),
                        "mix": one.mix,
                        "within": one.within,
                        "total": one.total,
                    }
                    for key, one in ranked[:_SLICES]
                ],
            }
        )
    return found


def examples(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Ten requests at the same ranks of either period, from the worst twentieth to the best: before and after are
    compared like with like, not the worst of one with the best of the other."""
    ranked = sorted(scored, key=lambda one: (one.score, one.trace_id, one.span_id))
    many = min(_EXAMPLES, len(ranked))
    places = [int((at + 0.5) / many * len(ranked)) for at in range(many)]
    return [
        {
            "trace_id": ranked[at].trace_id,
            "span_id": ranked[at].span_id,
            "started_at": moment(ranked[at].started_at),
            "score": ranked[at].score,
            "reason": (ranked[at].reason or "")[:_REASON_MAX] or None,
            "values": {name: value for name, value in ranked[at].values.items() if value is not None},
        }
        for at in places
    ]


def moment(at: datetime) -> str:
    """A time as JSON has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _mean(scored: Sequence[Scored]) -> float | None:
    return float(np.mean([one.score for one in scored])) if scored else None


def _parts(scored: Sequence[Scored], name: str) -> dict[str, tuple[Part, int]]:
    """Slice → its share of the requests and its mean, each request counting for 1/chance, and how many were judged.
    A value that is not set is a slice of its own, apart from one that is called so."""
    weights: dict[str, list[float]] = {}
    for one in scored:
        value = one.values.get(name)
        sums = weights.setdefault("-" if value is None else f"={value}", [0.0, 0.0, 0.0])
        sums[0] += 1 / one.chance
        sums[1] += one.score / one.chance
        sums[2] += 1
    total = sum(sums[0] for sums in weights.values())
    return {
        key: (Part(weight / total, summed / weight), int(count))
        for key, (weight, summed, count) in weights.items()
    }


def _name(key: str) -> str | None:
    return None if key == "-" else key[1:]


def _told(part: tuple[Part, int] | None) -> dict[str, Any] | None:
    return None if part is None else {"share": part[0].share, "mean": part[0].mean, "count": part[1]}
