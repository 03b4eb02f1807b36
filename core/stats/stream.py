"""A stream of scores: it learns its reference, then is watched in both directions, one score at a time.

Of α, half pays for the reference (its mean is only known within a bound) and half for the watches; each half is
shared by the two directions. So P(a false alarm ever, in either direction) ≤ α for each stream by itself; over many
streams `changed` bounds the share of false ones among those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from core.stats.drift import Mode, Side, Watch, against_reference, e_benjamini_hochberg, observe

SIDES: tuple[Side, ...] = ("fall", "rise")
MODES: tuple[Mode, ...] = ("pfa", "arl")
REFERENCE_MIN = 30
Status = Literal["learning", "watching"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a project asks of its watches: the chance of a false alarm that it bears, how many scores make a
    reference, the least effect worth an alarm, and how many scores apart the dashboard's false alarms may come."""

    alpha: float = 0.01
    reference: int = 200
    least_effect: float = 0.02
    run_length: int = 10_000


@dataclass(frozen=True, slots=True)
class Reference:
    """What a stream is compared with: the mean and spread of its first `count` scores; an alarm says that the mean
    lies below `low` or above `high`. The terms are those of the day on which it was learnt."""

    count: int
    mean: float
    spread: float
    low: float
    high: float
    alpha: float
    least_effect: float
    run_length: int


@dataclass(frozen=True, slots=True)
class Stream:
    """All that must be kept of a stream to go on later: while it learns its scores, then four watches."""

    learnt: tuple[float, ...] = ()
    reference: Reference | None = None
    watches: Mapping[tuple[Mode, Side], Watch] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        return "learning" if self.reference is None else "watching"

    @property
    def count(self) -> int:
        """The scores seen since the reference, or of it while it is learnt."""
        return self.watches["pfa", "fall"].count if self.reference else len(self.learnt)

    @property
    def evidence(self) -> float | None:
        """The e-value against "nothing has moved", both directions together: the mean of two e-values is one."""
        return self._of("pfa")

    @property
    def signal(self) -> float | None:
        """The sooner, less certain evidence for dashboards; false ones come `run_length` scores apart on average."""
        return self._of("arl")

    @property
    def threshold(self) -> float | None:
        """The evidence at which this stream, were it the only one, has moved."""
        return 2 / self.reference.alpha if self.reference else None

    @property
    def side(self) -> Side | None:
        """The direction of the larger evidence."""
        if self.reference is None:
            return None
        return max(SIDES, key=lambda side: self.watches["pfa", side].evidence)

    @property
    def noticed(self) -> bool:
        """Whether the dashboard's evidence is at its threshold now."""
        return self.reference is not None and (self.signal or 0.0) >= self.reference.run_length

    def _of(self, mode: Mode) -> float | None:
        if self.reference is None:
            return None
        return sum(self.watches[mode, side].evidence for side in SIDES) / 2


def feed(stream: Stream, scores: Sequence[float], terms: Terms) -> Stream:
    """The stream after further scores, in order; the same in one call as in many, as long as the terms are."""
    rest = list(scores)
    if stream.reference is None:
        wanted = max(terms.reference, REFERENCE_MIN) - len(stream.learnt)
        learnt, rest = (*stream.learnt, *rest[: max(wanted, 0)]), rest[max(wanted, 0) :]
        if len(learnt) < max(terms.reference, REFERENCE_MIN):
            return Stream(learnt)
        stream = _begun(learnt, terms)
    if not rest:
        return stream
    moved = {key: observe(watch, rest)[0] for key, watch in stream.watches.items()}
    return Stream(reference=stream.reference, watches=moved)


def _begun(learnt: Sequence[float], terms: Terms) -> Stream:
    baselines = {
        side: against_reference(learnt, side, terms.alpha / 2, terms.least_effect)[0] for side in SIDES
    }
    values = np.array(learnt)
    reference = Reference(
        count=len(learnt),
        mean=float(values.mean()),
        spread=float(values.std(ddof=1)),
        low=baselines["fall"],
        high=baselines["rise"],
        alpha=terms.alpha,
        least_effect=terms.least_effect,
        run_length=terms.run_length,
    )
    watches = {(mode, side): Watch(baselines[side], side, mode) for mode in MODES for side in SIDES}
    return Stream(reference=reference, watches=watches)


def changed(evidence: Mapping[str, float], alpha: float) -> set[str]:
    """The streams that have moved, among all that are watched at this moment, by their evidence: of those named, a
    share α at most is expected to be false, however many there are (e-BH at α/2; the other half is the references')."""
    return e_benjamini_hochberg(evidence, alpha / 2)


def stream_to_json(stream: Stream) -> dict[str, Any]:
    """Plain JSON that `stream_from_json` reads back as an equal stream."""
    if stream.reference is None:
        return {"learnt": list(stream.learnt)}
    names = Reference.__dataclass_fields__
    return {
        "reference": {name: getattr(stream.reference, name) for name in names},
        "watches": {f"{mode} {side}": watch_to_json(one) for (mode, side), one in stream.watches.items()},
    }


def stream_from_json(value: Mapping[str, Any]) -> Stream:
    """A stream as it was stored."""
    if "reference" not in value:
        return Stream(tuple(value.get("learnt", ())))
    reference = Reference(**value["reference"])
    baselines: dict[Side, float] = {"fall": reference.low, "rise": reference.high}
    watches = {
        (mode, side): watch_from_json(value["watches"][f"{mode} {side}"], baselines[side], side, mode)
        for mode in MODES
        for side in SIDES
    }
    return Stream(reference=reference, watches=watches)


def watch_to_json(watch: Watch) -> dict[str, Any]:
    """What changes in a watch; its baseline, side and mode are known to whoever reads it back."""
    return {"count": watch.count, "wealth": list(watch.wealth), "peak": watch.peak}


def watch_from_json(value: Mapping[str, Any], baseline: float, side: Side, mode: Mode) -> Watch:
    """A watch as it was stored."""
    return Watch(baseline, side, mode, value["count"], tuple(value["wealth"]), value["peak"])


def equal_chance(own: float, known: Sequence[float], drawn: float) -> bool:
    """Whether a request that was drawn with the chance `own` stays when its stream is thinned to one chance for all:
    the least that any of its strata has (`known`). `drawn` is the request's own number in [0, 1)."""
    return drawn * own < min([own, *known])
