"""What judges think of the answers of a slice, from a sample of them, and the same corrected by people's labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from core.question import CostQuestion, Value
from core.stats.bias import length_controlled
from core.stats.estimate import CROSS_FIT_MIN, Estimate, Sample, corrected_mean, judge_mean

METHOD = (
    "A sample of the requests was judged, each drawn with a known probability and counted with 1 / that probability"
    " (Hájek). `judge` is what the judge thinks on average. `corrected` moves it by what people's labels of a random"
    " part of the judged requests show it to get wrong: below 100 labels with the judge's score itself (PPI++), from"
    " 100 on with a prediction of the label that was fitted without the request's own session (cross-fitted)."
    " `at_length` is the judge's mean at the answer length common to all rows. Intervals are 95 % and take sessions"
    " as units."
)
CELLS_MAX = 10_000
"""Groups, by dimension of quality, that one answer holds."""
JUDGED_MAX = 100_000
"""Judged requests, by dimension of quality, that one question reads."""

_FITS_MIN = 10
_AT_LENGTH_MAX = 200
# The bootstrap and the folds are drawn alike for every group, so that the same data give the same interval.
_SEED = 20_250_908

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged request on one dimension. `group` is its dimensions' values, then the start of its interval.

    `chance` is the probability with which it was judged, `label_chance` that with which it was then to be labelled
    (None where nobody drew among its like), `label` what people said where it was drawn for them. `length` is its
    output tokens, `confidence` the judge's own, 0 to 1.
    """

    name: str
    group: tuple[object, ...]
    session: str
    value: float
    chance: float
    label_chance: float | None = None
    label: float | None = None
    length: int | None = None
    confidence: float | None = None
    escalated: bool = False
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A group of requests, judged or not: what `Judged.group` says, the same with users by name, and how many."""

    key: tuple[object, ...]
    group: tuple[Value, ...]
    start: datetime | None
    requests: int


@dataclass(frozen=True, slots=True)
class Slice:
    """All that a question's estimates are made of, at one moment. `groups` is how many cells there are in all,
    `requests` how many requests."""

    question: CostQuestion
    as_of: datetime
    requests: int
    groups: int
    cells: Sequence[Cell]
    judged: Sequence[Judged]

    @property
    def names(self) -> list[str]:
        """The dimensions of quality that were judged, the most judged first."""
        found: dict[str, int] = {}
        for one in self.judged:
            found[one.name] = found.get(one.name, 0) + 1
        return sorted(found, key=lambda name: (-found[name], name))


@dataclass(frozen=True, slots=True)
class AtLength:
    """The judge's mean at the answer length common to all groups, or why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """One dimension of quality of one group.

    `judged` of `requests` were judged, in so many `sessions`; `escalated` of them by the strong judge in the end.
    People might have been asked about `open_to_labels` of the judged.
    """

    name: str
    requests: int
    judged: int
    sessions: int
    escalated: int
    open_to_labels: int
    judge: Estimate
    corrected: Estimate | None
    at_length: AtLength

    @property
    def coverage(self) -> float | None:
        """The share of the requests that were judged; None of none."""
        return self.judged / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """One group and dimension: the values that it is grouped by, its interval's first moment (in UTC)."""

    group: tuple[Value, ...]
    start: datetime | None
    quality: Quality


def total(of: Slice, names: Collection[str], *, correct: bool = True) -> list[Quality]:
    """The estimates over all groups, those included that the question's limit cut off."""
    by_name: dict[str, list[Judged]] = {name: [] for name in names}
    for one in of.judged:
        if one.name in by_name:
            by_name[one.name].append(one)
    return [_quality(name, judged, of.requests, correct) for name, judged in by_name.items()]


def rows(
    of: Slice,
    names: Collection[str],
    *,
    by: Sequence[str] | None = None,
    over_time: bool | None = None,
    correct: bool = True,
) -> list[EstimateRow]:
    """The estimates of each group by `by`, some of the question's dimensions (all where it is None), and of each
    interval where `over_time`."""
    whole = of.question.group_by
    places = [whole.index(name) for name in (whole if by is None else by)]
    if of.question.interval and over_time is not False:
        places.append(len(whole))
    cells: dict[tuple[object, ...], Cell] = {}
    for cell in of.cells:
        key = tuple(cell.key[at] for at in places)
        known = cells.get(key)
        group = tuple(cell.group[at] for at in places if at < len(whole))
        start = cell.start if len(whole) in places else None
        cells[key] = Cell(key, group, start, cell.requests + (known.requests if known else 0))
    judged: dict[tuple[str, tuple[object, ...]], list[Judged]] = defaultdict(list)
    for one in of.judged:
        judged[one.name, tuple(one.group[at] for at in places)].append(one)
    found = []
    for name in names:
        at_length = _at_length({key: judged[name, key] for key in cells if (name, key) in judged})
        for key, cell in cells.items():
            quality = _quality(name, judged[name, key], cell.requests, correct)
            length = at_length.get(key, AtLength(reason=quality.judge.reason))
            found.append(EstimateRow(cell.group, cell.start, replace(quality, at_length=length)))
    return found


def _quality(name: str, judged: Sequence[Judged], requests: int, correct: bool) -> Quality:
    sessions = len({one.session for one in judged})
    open_to_labels = [one for one in judged if one.label_chance is not None]
    return Quality(
        name=name,
        requests=requests,
        judged=len(judged),
        sessions=sessions,
        escalated=sum(one.escalated for one in judged),
        open_to_labels=len(open_to_labels),
        judge=_judge(judged, sessions),
        corrected=_corrected(open_to_labels, len(judged)) if correct else None,
        at_length=AtLength(reason="One row has no length to share: group by something."),
    )


def _judge(judged: Sequence[Judged], sessions: int) -> Estimate:
    count = len(judged)
    if count == 0:
        return Estimate("judge", 0, 0, reason="No request was judged.")
    if count > 1 and sessions == 1:
        return Estimate(
            "judge",
            count,
            0,
            reason=f"All {count} judged requests are of one session: an interval needs 2 at least.",
        )
    sample = _sample(judged)
    found = replace(judge_mean(sample), labels=0)
    if found.value is not None and np.ptp(sample.scores) == 0:
        reason = f"All {count} scores are the same, so they do not tell how much scores vary: no interval."
        return replace(found, low=None, high=None, error=None, reason=reason)
    return found


def _corrected(judged: Sequence[Judged], of: int) -> Estimate:
    """The corrected mean of those that people might have been asked about; the others have no place in it."""
    if of and not judged:
        return Estimate(
            "ppi++", 0, 0, reason="None of these was drawn from for people. Begin under Review queue."
        )
    found = corrected_mean(_sample(judged), np.random.default_rng(_SEED))
    if found.value is None or found.error is None:
        return found
    value = min(1.0, max(0.0, found.value))
    if found.error < 1e-12:
        reason = (
            "All labels differ from the judge alike, so they do not tell how much they vary: no interval."
        )
        return replace(found, value=value, low=None, high=None, error=None, reason=reason)
    return replace(found, value=value)


def _sample(judged: Sequence[Judged]) -> Sample:
    _, clusters = np.unique(
        np.array([one.session for one in judged], dtype=object).astype(str), return_inverse=True
    )
    chance = np.array([one.chance for one in judged])
    many = sum(one.label is not None for one in judged)
    return Sample(
        scores=np.array([one.value for one in judged], dtype=float),
        chance=chance,
        clusters=np.asarray(clusters, dtype=np.int64),
        labels=np.array([np.nan if one.label is None else one.label for one in judged], dtype=float),
        label_chance=chance * np.array([one.label_chance or 0.0 for one in judged]),
        features=features(judged) if many >= CROSS_FIT_MIN else None,
    )


def features(judged: Sequence[Judged]) -> Floats:
    """(n, 3) what may tell how far a judge errs: the answer's length, the judge's confidence, whether it escalated.
    What is unknown is as the average of the known."""
    lengths = _filled([None if one.length is None else float(np.log1p(one.length)) for one in judged])
    sure = _filled([one.confidence for one in judged])
    return np.column_stack([lengths, sure, np.array([float(one.escalated) for one in judged])])


def _filled(values: Sequence[float | None]) -> Floats:
    found = np.array([np.nan if value is None else value for value in values], dtype=float)
    known = ~np.isnan(found)
    return np.where(known, found, found[known].mean() if known.any() else 0.0)


def _at_length(
    groups: Mapping[tuple[object, ...], Sequence[Judged]],
) -> dict[tuple[object, ...], AtLength]:
    """Each group's mean at the length common to all that have enough answers of known length."""
    known = {key: [one for one in judged if one.length] for key, judged in groups.items()}
    fitting = {key: judged for key, judged in known.items() if len(judged) >= _FITS_MIN}
    few = f"A mean at equal length needs {_FITS_MIN} judged answers of known length in this row, and in another one."
    if len(fitting) > _AT_LENGTH_MAX:
        many = f"A mean at equal length is worked out for {_AT_LENGTH_MAX} rows at most. Group by less."
        return {key: AtLength(reason=many) for key in groups}
    found = {key: AtLength(reason=few) for key in groups}
    everyone = [one for judged in fitting.values() for one in judged]
    if len(fitting) < 2 or len({one.length for one in everyone}) < 2:
        return found
    codes = {key: f"{at:06d}" for at, key in enumerate(fitting)}
    sample = _sample(everyone)
    controlled, _ = length_controlled(
        sample.scores,
        np.array([float(one.length or 1) for one in everyone]),
        [codes[key] for key, judged in fitting.items() for _ in judged],
        sample.clusters,
        1 / sample.chance,
    )
    for key, code in codes.items():
        one = controlled[code]
        found[key] = AtLength(
            min(1.0, max(0.0, one.value)), min(1.0, max(0.0, one.low)), max(0.0, min(1.0, one.high))
        )
    return found
