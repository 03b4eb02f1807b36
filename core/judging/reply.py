"""A judge's reply as scores, or as unreadable with the reason. Kind to its form, and never a guess at its content."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from core.judging.material import Material
from core.judging.objects import Found, objects_in, objects_with
from core.judging.rubric import Dimension, Rubric

LONGEST = 50_000
"""Characters of a reply; a longer one is no verdict."""
_REASON_MAX = 2000

_NUMBER = re.compile(r"(?:level\s*)?(\d{1,2})(?:\.0+)?(?:\s*/\s*(\d{1,2}))?", re.IGNORECASE)
_NUMBER_AND_WORDS = re.compile(
    r"(?:level\s*)?(\d{1,2})\s*(?:[-:.)–—]|\s)\s*(\S.*)", re.IGNORECASE | re.DOTALL
)
_PLAIN = re.compile(r"[\W_]+")
_LOOKS_LIKE_ONE = re.compile(r"\{\s*[\"'].{0,300}?dimensions", re.DOTALL)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """The scores by dimension, 0 to 1, why, and how sure the judge is, 0 to 1 (None where it did not say so clearly).

    Of a pair, a score is 1 where the material's own answer is better, 0 where the other is, and 0.5 for neither.
    """

    scores: dict[str, float]
    reasons: dict[str, str]
    confidence: float | None = None


class Unreadable(Exception):
    """The reply holds no verdict, or more than one; `reason` says so in words for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_reply(text: str, rubric: Rubric, material: Material) -> Reply:
    """The verdict on an answer. Raises `Unreadable` and nothing else.

    One that stands in the judged texts is not the judge's own and does not count; of two that differ none does.
    """
    return _read(text, rubric, material.texts(), "level", _score)


def read_pair(text: str, rubric: Rubric, material: Material, other_answer: str, swapped: bool) -> Reply:
    """The verdict on two answers, as they were asked about with the same arguments."""
    first, second = (0.0, 1.0) if swapped else (1.0, 0.0)
    values = {"a": first, "b": second, "tie": 0.5, "answer a": first, "answer b": second}

    def won(_: Dimension, winner: Any) -> float:
        value = values.get(winner.strip().casefold()) if isinstance(winner, str) else None
        if value is None:
            raise Unreadable(f"the winner {_shown(winner)} is neither A nor B nor tie")
        return value

    return _read(text, rubric, (*material.texts(), other_answer), "winner", won)


def _read(
    text: str, rubric: Rubric, judged: tuple[str, ...], key: str, value_of: Callable[[Dimension, Any], float]
) -> Reply:
    text = _answered(text)
    planted = _squashed("\n".join(judged))
    verdicts = [(found, verdict) for found in objects_in(text) if (verdict := _verdict_in(found)) is not None]
    if not verdicts:
        raise Unreadable("the reply holds no verdict in JSON" if text.strip() else "the reply is empty")
    read = [
        _reply(verdict, rubric, key, value_of)
        for found, verdict in verdicts
        if _squashed(found.text) not in planted
    ]
    own = [one for one in read if not _stands_in(one, judged, rubric, key, value_of)]
    if not own:
        raise Unreadable("the only verdict in the reply is one that the judged text holds")
    if any((one.scores, one.confidence) != (own[0].scores, own[0].confidence) for one in own):
        raise Unreadable("the reply holds two verdicts that differ")
    return own[-1]


def _answered(text: str) -> str:
    """What the judge says after its thoughts, which are a draft: open models write them first, between two words."""
    if len(text) > LONGEST:
        raise Unreadable(f"the reply has {len(text):,} characters, more than the {LONGEST:,} of any verdict")
    if not text.lstrip().startswith("<think>"):
        return text
    _, ended, answer = text.partition("</think>")
    if not ended:
        raise Unreadable("the reply ends within the judge's thoughts")
    return answer


def _verdict_in(found: Found) -> Mapping[str, Any] | None:
    """What claims to be a verdict: an object with `dimensions`, on its own or in one other; {} where it is broken."""
    if found.value is None:
        broken = "dimensions" in found.text if found.rest else _LOOKS_LIKE_ONE.match(found.text)
        return {} if broken else None
    if "dimensions" in found.value:
        return found.value
    inner = [one for one in found.value.values() if isinstance(one, dict) and "dimensions" in one]
    return inner[0] if len(inner) == 1 else {} if inner else None


def _stands_in(
    reply: Reply,
    judged: tuple[str, ...],
    rubric: Rubric,
    key: str,
    value_of: Callable[[Dimension, Any], float],
) -> bool:
    """Whether the judged texts hold this verdict in another layout: other spaces, another order of names."""
    for text in judged:
        for found in objects_with("dimensions", text):
            try:
                if (verdict := _verdict_in(found)) and _reply(verdict, rubric, key, value_of) == reply:
                    return True
            except Unreadable:
                continue
    return False


def _squashed(text: str) -> str:
    """Letters and digits alone, so that spaces, quotes and escapes make no difference."""
    return _PLAIN.sub("", unicodedata.normalize("NFKC", text).casefold())


def _reply(
    verdict: Mapping[str, Any], rubric: Rubric, key: str, value_of: Callable[[Dimension, Any], float]
) -> Reply:
    if not verdict:
        raise Unreadable("the verdict is not whole JSON")
    said = verdict["dimensions"]
    if not isinstance(said, dict):
        raise Unreadable("dimensions is no object")
    scores, reasons = {}, {}
    for dimension in rubric.dimensions:
        one = said.get(dimension.name)
        if not isinstance(one, dict) or key not in one:
            raise Unreadable(f"the verdict has no {key} for {dimension.name}")
        scores[dimension.name] = value_of(dimension, one[key])
        reason = one.get("reason")
        reasons[dimension.name] = _writable(reason)[:_REASON_MAX] if isinstance(reason, str) else ""
    return Reply(scores, reasons, _confidence(verdict.get("confidence")))


def _score(dimension: Dimension, level: Any) -> float:
    """A level by its number, such as 4, "4" or "4/5", by its words, or by both where they agree."""
    number = _level(dimension, level)
    if number is None or not 1 <= number <= len(dimension.levels):
        raise Unreadable(
            f"the level {_shown(level)} of {dimension.name} is none of 1 to {len(dimension.levels)}"
        )
    return dimension.levels[number - 1].score


def _level(dimension: Dimension, level: Any) -> int | None:
    if isinstance(level, bool):
        return None
    if isinstance(level, int):
        return level
    if isinstance(level, float):
        return int(level) if math.isfinite(level) and level == int(level) else None
    if not isinstance(level, str) or len(level) > 5000:
        return None
    if number := _NUMBER.fullmatch(level.strip()):
        of = number[2]
        return int(number[1]) if of is None or int(of) == len(dimension.levels) else None
    words = [_squashed(one.words) for one in dimension.levels]
    if numbered := _NUMBER_AND_WORDS.fullmatch(level.strip()):
        at = int(numbered[1])
        if 1 <= at <= len(words) and _squashed(numbered[2]) == words[at - 1]:
            return at
    named = [at for at, one in enumerate(words, 1) if one == _squashed(level) and one]
    return named[0] if len(named) == 1 else None


def _confidence(value: Any) -> float | None:
    """0 to 1, where it is clearly a number from 0 to 100: 0.9 may be meant either way, so it is unknown."""
    if isinstance(value, str) and (number := re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*%?\s*", value)):
        value = float(number[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return None
    return value / 100 if value == 0 or value >= 1 else None


def _shown(value: Any) -> str:
    return _writable(repr(value)[:60])


def _writable(text: str) -> str:
    """Without NULs and halves of surrogate pairs, which no table holds."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
