"""What the anchors say of a change: did the judge move too? And the alert about a judge that did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from core.judging.investigation import CHANGE_MIN, moment
from core.stats.anchors import anchor_effect
from core.stats.change import change_point
from core.stats.verdict import Effect, Verdict, who_moved
from core.store import anchors
from core.store.alerts import Found, anchors_key
from core.store.watches import Watched

_RULE = "A scorer is a fixed rule, which cannot move."
_ROUNDS = 60
_ANCHORS_MAX = 3000


def anchors_since(
    connection: Connection, watch: Watched, effect: Effect, since: datetime
) -> tuple[Verdict, dict[str, Any] | None]:
    """The verdict on a stream's change, and what of the anchors it stands on: those of the same rubric version, judged
    by the same judges since the change. Where two judges answer, the one whose anchors moved more speaks."""
    if watch.judge_id is None:
        return Verdict("system", _RULE), None
    judges = [one for one in (watch.judge_id, watch.strong_judge_id) if one is not None]
    heard = []
    for one in anchors.watched(connection, rubric_id=watch.rubric_id, judge_ids=judges):
        if one.dimension == watch.dimension:
            off = anchors.differences(connection, one, watch.rubric_id, since)
            heard.append((one, _effect(off), off))
    if not heard:
        return who_moved(effect, None, False), None
    one, moved, off = max(
        heard, key=lambda found: (found[0].alarms, abs(found[1].value) if found[1] else 0.0)
    )
    return who_moved(effect, moved, one.alarms), _told(one, moved, off)


def judge_moved(connection: Connection, one: anchors.Judging, rubric_id: int, now: datetime) -> Found:
    """The alert about a judge whose anchors are scored otherwise than at first."""
    off = anchors.differences(connection, one, rubric_id, None, _ANCHORS_MAX)
    moved = _effect(off[_cut(off, one.id) :])
    way = "lower" if (moved.value if moved else 0.0) < 0 else "higher"
    much = f"{abs(moved.value):.2f} " if moved else ""
    interval = ""
    if moved:
        low, high = sorted((abs(moved.low), abs(moved.high)))
        interval = f" (95 % interval {low:.2f} to {high:.2f})"
    sentence = (
        f"The judge changed: {one.judge} scores {one.score_name} of the same {len({at for at, _, _ in off})} answers"
        f" {much}{way} than at first{interval}."
    )
    return Found(
        key=anchors_key(one.id),
        severity="notice",
        title=f"Judge {one.judge} scores {one.score_name} {much}{way} than at first",
        verdict="judge",
        body={
            "watch": None,
            "sentence": sentence,
            "verdict": {"who": "judge", "reason": "Anchors never change; their scores did.", "remains": None},
            "evidence": {
                "value": one.state.evidence,
                "threshold": 2 / one.alpha,
                "side": "fall" if way == "lower" else "rise",
                "count": one.state.count,
                "streams": None,
                "alpha": one.alpha,
                "method": "A betting e-process on .5 + (new − first) / 2, in both directions, beyond the least effect"
                " and the error of the first scores.",
            },
            "reference": None,
            "series": [],
            "change": None,
            "moved": [],
            "examples": None,
            "anchors": _told(one, moved, off),
            "found_at": moment(now),
        },
    )


def _cut(off: Sequence[tuple[str, datetime, float]], seed: int) -> int:
    """Where the differences are best cut in two: what comes after is the judge as it is now."""
    if len(off) < CHANGE_MIN:
        return 0
    values = np.array([difference for _, _, difference in off])
    return change_point(values, np.random.default_rng(seed)).at


def _effect(off: Sequence[tuple[str, datetime, float]]) -> Effect | None:
    by_anchor: dict[str, list[float]] = defaultdict(list)
    for place, _, difference in off:
        by_anchor[place].append(difference)
    return anchor_effect(by_anchor)


def _told(
    one: anchors.Judging, effect: Effect | None, off: Sequence[tuple[str, datetime, float]]
) -> dict[str, Any]:
    return {
        "set_id": one.set_id,
        "set": one.set_name,
        "judge": one.judge,
        "dimension": one.score_name,
        "alarms": one.alarms,
        "evidence": one.state.evidence,
        "margin": one.state.margin,
        "judged": len(off),
        "anchors": len({place for place, _, _ in off}),
        "effect": effect and {"value": effect.value, "low": effect.low, "high": effect.high},
        "rounds": _rounds(off),
    }


def _rounds(off: Sequence[tuple[str, datetime, float]]) -> list[dict[str, Any]]:
    """The mean of (new − first) by UTC day, the last sixty."""
    days: dict[str, list[float]] = defaultdict(list)
    for _, at, difference in off:
        days[moment(at)[:10]].append(difference)
    return [
        {"day": day, "count": len(given), "mean": sum(given) / len(given)}
        for day, given in sorted(days.items())[-_ROUNDS:]
    ]
