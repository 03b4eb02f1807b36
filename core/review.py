"""What people are asked to label, and how far along they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from core.errors import BadQuestion
from core.judging.material import Material
from core.judging.rubric import Rubric

LEASE = timedelta(minutes=15)
"""For so long an item is one person's; whoever is slower may still save."""
A_DAY_MAX = 1000
NOW_MAX = 1000
"""Items that may be asked for at once."""
REASON_MAX = 500
SECOND_SHARE = 0.2
"""The share of the items that two people label, unless somebody chose another."""
COMMENT_MAX = 2000
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")
POOL_DAYS = 28
"""Answers are drawn from those judged of so many last days."""


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to be labelled. What the judge thought of it is nowhere in here."""

    id: int
    rubric: Rubric
    trace_id: str
    span_id: str
    started_at: datetime
    material: Material
    leased_until: datetime
    raters: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How many answers a day people want to label by a rubric, and which share of them twice."""

    rubric_name: str
    a_day: int
    second_share: float
    filled_on: date | None
    set_by: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The queue of one rubric: items that wait and that are done, those that wait for this very rater, and how many he
    labelled and skipped; `asked` of all were picked by hand."""

    rubric_name: str
    open: int
    done: int
    asked: int
    for_you: int
    by_you: int
    skipped_by_you: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw brought: `new` items, of a pool of so many judged answers that still have their text."""

    rubric_name: str
    pool: int
    new: int


@dataclass(frozen=True, slots=True)
class Queue:
    """The plans and the progress of a project."""

    plans: Sequence[Plan]
    progress: Sequence[Progress]


def check_rubric_name(name: str) -> str:
    """The name where a rubric may have it."""
    if not _NAME.fullmatch(name):
        raise BadQuestion(
            f"rubric={name[:60]!r} is not a rubric's name. Use one that answers were judged by here."
        )
    return name


def check_words(name: str, words: str, most: int) -> str:
    """A text within bounds that can be stored, without the spaces around it."""
    if len(words) > most:
        raise BadQuestion(f"{name} is longer than {most} characters. Shorten it.")
    if "\0" in words:
        raise BadQuestion(f"{name} holds the character NUL. Leave it out.")
    try:
        words.encode()
    except UnicodeEncodeError:
        raise BadQuestion(f"{name} holds half a character. Send whole UTF-8.") from None
    return words.strip()


def check_levels(rubric: Rubric, levels: Mapping[str, int]) -> dict[str, int]:
    """A level's number (1 is the worst) for each dimension of the rubric, or a `BadQuestion`."""
    names = [one.name for one in rubric.dimensions]
    if strange := sorted(set(levels) - set(names)):
        raise BadQuestion(f"There is no dimension {strange[0][:60]!r} here. Use {', '.join(names)}.")
    for one in rubric.dimensions:
        level = levels.get(one.name)
        if level is None:
            raise BadQuestion(f"{one.name} has no level. Choose one of 1 to {len(one.levels)}, 1 the worst.")
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= len(one.levels):
            raise BadQuestion(f"{one.name} has levels 1 to {len(one.levels)}, 1 the worst.")
    return {name: levels[name] for name in names}


def check_reason(reason: str) -> str:
    """Why somebody skips: in words, within bounds."""
    words = check_words("The reason", reason, REASON_MAX)
    if not words:
        raise BadQuestion("Say why you skip this one: it tells what the labels leave out.")
    return words
