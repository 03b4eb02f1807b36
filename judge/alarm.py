"""An alert about a stream that has moved: what is stored of it, worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from core.judging import investigation
from core.judging.investigation import Scored
from core.stats.change import Change
from core.stats.verdict import Effect, Verdict
from core.store import judged
from core.store.alerts import Found, key_of
from core.store.watches import Watched
from judge.witness import anchors_since

_WHO = {
    "system": "The system changed",
    "judge": "The judge changed",
    "both": "The system and the judge changed",
    "undetermined": "Something changed, the system or its judge",
}


def investigate(connection: Connection, watch: Watched, streams: int, now: datetime) -> Found:
    """The alert about a watch among so many, with everything that its page shows."""
    history = judged.history(connection, watch, investigation.HISTORY_MAX)
    body = _about(watch) | {
        "evidence": _evidence(watch, streams),
        "reference": _reference(watch),
        "series": investigation.series(history) if history else [],
        "found_at": investigation.moment(now),
    }
    change = investigation.find_change(history, seed=watch.id)
    if change is None:
        verdict = Verdict("undetermined", "Too few of the stream's scores are still stored to say more.")
        body |= {"change": None, "moved": [], "examples": None, "anchors": None}
    else:
        verdict, witness = anchors_since(
            connection,
            watch,
            investigation.effect_of(change, history),
            investigation.judged_since(change, history),
        )
        body |= {"anchors": witness, **_parts(connection, watch, change, history)}
    body |= {"verdict": _verdict(verdict), "sentence": _sentence(watch, verdict, change, history)}
    return Found(
        key=key_of(watch.id),
        severity="notice" if verdict.who == "judge" else "page",
        title=_title(watch, change, history),
        verdict=verdict.who,
        body=body,
    )


def look_again(
    connection: Connection, watch: Watched, body: Mapping[str, Any], now: datetime
) -> dict[str, Any] | None:
    """Who moved, from anchors that were judged since the alert opened; None while that is still not clear."""
    change = body["change"]
    if not change:
        return None
    effect = Effect(change["effect"], change["effect_low"], change["effect_high"], change["after"]["count"])
    verdict, witness = anchors_since(
        connection, watch, effect, datetime.fromisoformat(change["judged_since"])
    )
    if verdict.who == "undetermined":
        return None
    return {
        "verdict": _verdict(verdict),
        "sentence": f"{_WHO[verdict.who]}. {verdict.reason}",
        "anchors": witness,
        "at": investigation.moment(now),
    }


def _parts(
    connection: Connection, watch: Watched, change: Change, history: Sequence[Scored]
) -> dict[str, Any]:
    cut = history[change.at].started_at
    before, after = judged.around(
        connection, watch, history[0].started_at, cut, history[-1].started_at, investigation.PERIOD_MAX
    )
    of_stream = (history[: change.at], history[change.at :])
    return {
        "change": investigation.told(change, history),
        "moved": [
            {
                "scope": "all",
                "before": len(before),
                "after": len(after),
                "parts": investigation.moved(before, after, investigation.OF_ALL),
            },
            {
                "scope": "stream",
                "before": len(of_stream[0]),
                "after": len(of_stream[1]),
                # Thinned to one chance, so that each counts for one.
                "parts": investigation.moved(
                    _alike(of_stream[0]), _alike(of_stream[1]), investigation.OF_STREAM
                ),
            },
        ],
        "examples": {
            "before": investigation.examples(of_stream[0]),
            "after": investigation.examples(of_stream[1]),
        },
    }


def _alike(scored: Sequence[Scored]) -> list[Scored]:
    return [replace(one, chance=1.0) for one in scored]


def _about(watch: Watched) -> dict[str, Any]:
    return {
        "watch": {
            "id": watch.id,
            "stream_id": watch.stream_id,
            "feature": watch.feature,
            "tier": watch.tier,
            "model": watch.model,
            "rubric": watch.rubric,
            "version": watch.version,
            "title": watch.title,
            "dimension": watch.dimension,
            "score_name": watch.score_name,
            "judge": watch.judge,
            "strong_judge": watch.strong_judge,
        }
    }


def _evidence(watch: Watched, streams: int) -> dict[str, Any]:
    state = watch.state
    return {
        "value": state.evidence,
        "threshold": state.threshold,
        "side": state.side,
        "count": state.count,
        "streams": streams,
        "alpha": state.reference and state.reference.alpha,
        "method": "A betting e-process with a mixture over all starts of the change, in both directions; among all"
        " streams of the project by e-BH.",
    }


def _reference(watch: Watched) -> dict[str, Any] | None:
    known = watch.state.reference
    if known is None:
        return None
    return {
        "count": known.count,
        "mean": known.mean,
        "low": known.low,
        "high": known.high,
        "least_effect": known.least_effect,
        "since": watch.since and investigation.moment(watch.since),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    left = verdict.remains
    return {
        "who": verdict.who,
        "reason": verdict.reason,
        "remains": left and {"value": left.value, "low": left.low, "high": left.high},
    }


def name_of(watch: Watched | Mapping[str, Any]) -> str:
    """A stream in words, such as chat · premium · gpt-5."""
    values = (
        watch if isinstance(watch, Mapping) else {n: getattr(watch, n) for n in ("feature", "tier", "model")}
    )
    parts = [values[name] or f"no {name}" for name in ("feature", "tier", "model")]
    return " · ".join(part if len(part) <= 60 else f"{part[:59]}…" for part in parts)


def _direction(change: Change) -> str:
    return "fell" if change.effect < 0 else "rose"


def _title(watch: Watched, change: Change | None, history: Sequence[Scored]) -> str:
    if change is None:
        return f"{watch.score_name} of {name_of(watch)} moved"
    words = investigation.told(change, history)
    was, now = words["before"]["mean"], words["after"]["mean"]
    return f"{watch.score_name} of {name_of(watch)} {_direction(change)} from {was:.2f} to {now:.2f}"


def _sentence(watch: Watched, verdict: Verdict, change: Change | None, history: Sequence[Scored]) -> str:
    if change is None:
        return f"{_WHO[verdict.who]}: {watch.score_name} of {name_of(watch)} moved. {verdict.reason}"
    ends = sorted((abs(change.effect_low), abs(change.effect_high)))
    at = history[change.at].started_at
    return (
        f"{_WHO[verdict.who]}: {watch.score_name} of {name_of(watch)} {_direction(change)} by"
        f" {abs(change.effect):.2f} (95 % interval {ends[0]:.2f} to {ends[1]:.2f}) about {at:%Y-%m-%d %H:%M} UTC."
        f" {verdict.reason}"
    )
