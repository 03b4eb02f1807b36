"""What the Overview says of quality: means of the scores that were given, or that there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from core.errors import BadQuestion
from core.quality import Mean
from core.question import CostQuestion, Value
from core.store.quality import any_scores, measure
from web.format import count, share


@dataclass(frozen=True, slots=True)
class Quality:
    """The means on every dimension, the most scored first; those of that one by tier. Without any, `refused` may
    say why."""

    dimensions: Sequence[Mean] = ()
    by_tier: Mapping[Value, Mean] | None = None
    refused: str = ""

    @property
    def lead(self) -> Mean | None:
        """The dimension of most scores."""
        return self.dimensions[0] if self.dimensions else None


def quality(engine: Engine, project_id: int, by_tier: CostQuestion) -> Quality:
    """The scores of the requests that a question by tier is about."""
    if not any_scores(engine, project_id, by_tier.window):
        return Quality()
    try:
        answer = measure(engine, project_id, replace(by_tier, metrics=("requests",), order="requests"))
    except BadQuestion as error:
        return Quality(refused=str(error))
    found = sorted((mean for mean in answer.total if mean.scored), key=lambda mean: (-mean.scored, mean.name))
    lead = found[0].name if found else ""
    return Quality(found, {row.group[0]: row.mean for row in answer.rows if row.mean.name == lead})


def figure(mean: Mean) -> str:
    """A mean in two digits, as many as scores bear."""
    return "–" if mean.value is None else f"{mean.value:.2f}"


def interval(mean: Mean) -> str:
    """The 95 % interval in words, or why there is none."""
    if mean.low is None or mean.high is None:
        return mean.reason or ""
    return f"{mean.low:.2f} to {mean.high:.2f}"


def stands_on(mean: Mean) -> str:
    """How many scores of how many requests, and whose."""
    whose = " and ".join(sorted("the API" if source == "api" else source for source in mean.sources))
    scored = f"{count(mean.scored)} scored request{'' if mean.scored == 1 else 's'}"
    return f"mean of {scored} ({share(mean.scored, mean.requests)}), from {whose}"
