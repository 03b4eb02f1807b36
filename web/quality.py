"""What the Overview says of quality: means of what judges and others gave, or that there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from core import judged
from core.errors import BadQuestion
from core.quality import Mean
from core.question import CostQuestion, Value
from core.store.estimates import any_judged, read_judged
from core.store.quality import any_scores, measure
from web.format import count, share


@dataclass(frozen=True, slots=True)
class Shown:
    """A mean as the Overview shows it: `scored` of `requests` stand behind it, `words` say whose scores they are.
    `sampled` says that they were drawn by chance, so that it stands for all requests."""

    name: str
    scored: int
    requests: int
    sessions: int
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    words: str
    sampled: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """The means on every dimension: those of a judged sample first, then the most scored; those of the first one by
    tier, and `of_all` in the way in which they were made. Without any, `refused` may say why."""

    dimensions: Sequence[Shown] = ()
    by_tier: Mapping[Value, Shown] | None = None
    of_all: Shown | None = None
    refused: str = ""

    @property
    def lead(self) -> Shown | None:
        """The first dimension."""
        return self.dimensions[0] if self.dimensions else None


def quality(engine: Engine, project_id: int, by_tier: CostQuestion) -> Quality:
    """The scores of the requests that a question by tier is about."""
    asked = replace(by_tier, metrics=("requests",), order="requests")
    refused: list[str] = []
    sample = _judged(engine, project_id, asked, refused)
    sent = _sent(engine, project_id, asked, refused)
    first = sample if sample.dimensions else sent
    found = [*sample.dimensions, *sent.dimensions]
    return replace(first, dimensions=found) if found else Quality(refused=" ".join(refused))


def _judged(engine: Engine, project_id: int, asked: CostQuestion, refused: list[str]) -> Quality:
    if not any_judged(engine, project_id, asked.window):
        return Quality()
    try:
        found = read_judged(engine, project_id, asked)
    except BadQuestion as error:
        refused.append(str(error))
        return Quality()
    whole = judged.total(found, found.names)
    if not whole:
        return Quality()
    lead = found.names[:1]
    # All tiers by one mean: the corrected ones only where each has labels enough.
    tiers = [row for row in judged.rows(found, lead) if row.quality.judged]
    correct = all(row.quality.corrected and row.quality.corrected.value is not None for row in tiers)
    return Quality(
        [_of_sample(one) for one in whole],
        {row.group[0]: _of_sample(row.quality, correct) for row in tiers},
        _of_sample(whole[0], correct),
    )


def _of_sample(one: judged.Quality, correct: bool = True) -> Shown:
    corrected = one.corrected if correct and one.corrected and one.corrected.value is not None else None
    estimate = corrected or one.judge
    by = f"judged sample, corrected by {count(corrected.labels)} labels" if corrected else "judged sample"
    return Shown(
        name=one.name,
        scored=one.judged,
        requests=one.requests,
        sessions=one.sessions,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        reason=estimate.reason,
        words=f"{by}: {count(one.judged)} of {count(one.requests)} requests",
        sampled=True,
    )


def _sent(engine: Engine, project_id: int, asked: CostQuestion, refused: list[str]) -> Quality:
    if not any_scores(engine, project_id, asked.window):
        return Quality()
    try:
        answer = measure(engine, project_id, asked)
    except BadQuestion as error:
        refused.append(str(error))
        return Quality()
    found = sorted((mean for mean in answer.total if mean.scored), key=lambda mean: (-mean.scored, mean.name))
    if not found:
        return Quality()
    tiers = {row.group[0]: _of_scores(row.mean) for row in answer.rows if row.mean.name == found[0].name}
    return Quality([_of_scores(mean) for mean in found], tiers, _of_scores(found[0]))


def _of_scores(mean: Mean) -> Shown:
    whose = " and ".join(sorted("the API" if source == "api" else source for source in mean.sources))
    scored = f"{count(mean.scored)} scored request{'' if mean.scored == 1 else 's'}"
    return Shown(
        name=mean.name,
        scored=mean.scored,
        requests=mean.requests,
        sessions=mean.sessions,
        value=mean.value,
        low=mean.low,
        high=mean.high,
        reason=mean.reason,
        words=f"mean of {scored} ({share(mean.scored, mean.requests)}), from {whose}",
        sampled=False,
    )


def figure(mean: Shown) -> str:
    """A mean in two digits, as many as scores bear."""
    return "–" if mean.value is None else f"{mean.value:.2f}"


def interval(mean: Shown) -> str:
    """The 95 % interval in words, or why there is none."""
    if mean.low is None or mean.high is None:
        return mean.reason or ""
    return f"{mean.low:.2f} to {mean.high:.2f}"


def stands_on(mean: Shown) -> str:
    """How many scores of how many requests, and whose."""
    return mean.words
