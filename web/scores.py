"""A trace's scores, those of judges, of people who labelled and of all others apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.score import Score

_KINDS = (
    ("judged", "By judges and scorers", ("judge", "scorer")),
    ("labels", "Labels by people", ("label",)),
    ("sent", "Sent by users, evaluators and programs", ("feedback", "evaluation", "api")),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """Scores of one kind, under their title."""

    kind: str
    title: str
    scores: Sequence[Score]


def listed(scores: Sequence[Score]) -> list[Kind]:
    """The kinds of which there are any, in the order in which a page shows them."""
    found = [
        Kind(kind, title, [one for one in scores if one.source in sources]) for kind, title, sources in _KINDS
    ]
    return [kind for kind in found if kind.scores]
