"""Scores that need no judge: pass or fail by a rule, the same for the same text every time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from core.judging.language import languages_of
from core.judging.material import LONGEST, Material, missing
from core.judging.options import UNITS
from core.judging.patterns import found
from core.judging.refusal import SHORT, refusal_in
from core.judging.reply import Reply, Unreadable
from core.judging.rubric import Rubric
from core.judging.schema import mismatch

_FENCE = re.compile(r"\s*```[a-zA-Z0-9]*\n(.*)\n```\s*", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)|[。！？]+|\n\s*\n")
_SURE = 0.5

Verdict = tuple[bool, str]
"""Whether it passes, and why."""


def score_text(rubric: Rubric, material: Material) -> Reply:
    """1 or 0 (the score of the best or the worst level) with its reason. Raises `Unreadable` where the rule cannot be
    applied to this text, with the reason."""
    if rubric.scorer is None:
        raise ValueError(f"the rubric {rubric.name} needs a judge")
    if (lacks := missing(material, rubric)) is not None:
        raise Unreadable(lacks)
    passes, why = _SCORERS[rubric.scorer](material, rubric.options or {})
    dimension = rubric.dimensions[0]
    level = dimension.levels[-1 if passes else 0]
    return Reply({dimension.name: level.score}, {dimension.name: why[:500].replace("\0", "\ufffd")})


def _json_schema(material: Material, options: Mapping[str, Any]) -> Verdict:
    text = _whole(material)
    if options.get("fences") and (fenced := _FENCE.fullmatch(text)):
        text = fenced[1]
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return False, "It is JSON that is nested too deep."
    except ValueError as error:
        return False, f"It is not JSON: {error}."
    try:
        wrong = mismatch(options["schema"], value)
    except (ValueError, RecursionError, OverflowError) as error:
        return False, f"It cannot be held against the schema: {error}."
    return (
        (True, "It fits the schema.") if wrong is None else (False, f"It does not fit the schema, {wrong}.")
    )


def _regex(material: Material, options: Mapping[str, Any]) -> Verdict:
    text, ignore_case = _whole(material), bool(options.get("ignore_case"))
    for pattern in options.get("must_match", ()):
        if not found(pattern, text, ignore_case):
            return False, f"Nothing in it matches {pattern}."
    for pattern in options.get("must_not_match", ()):
        if found(pattern, text, ignore_case):
            return False, f"Something in it matches {pattern}."
    return True, "It keeps to every pattern."


def _refusal(material: Material, options: Mapping[str, Any]) -> Verdict:
    words = refusal_in(material.answer or "", options.get("phrases", ()), options.get("short", SHORT))
    return (True, "It does not begin as a refusal.") if words is None else (False, f'It refuses: "{words}".')


def _length(material: Material, options: Mapping[str, Any]) -> Verdict:
    text = material.answer or ""
    counts = {
        "characters": len(text),
        "words": len(text.split()),
        "sentences": sum(any(map(str.isalnum, one)) for one in _SENTENCE_END.split(text)),
    }
    for unit in UNITS:
        least, most = options.get(f"min_{unit}"), options.get(f"max_{unit}")
        if most is not None and counts[unit] > most:
            return False, f"It has {counts[unit]:,} {unit}, more than {most:,}."
        if least is not None and counts[unit] < least:
            _whole(material)
            return False, f"It has {counts[unit]:,} {unit}, fewer than {least:,}."
    if any(name.startswith("max_") for name in options):
        _whole(material)
    return True, ", ".join(f"{counts[unit]:,} {unit}" for unit in UNITS)


def _language(material: Material, options: Mapping[str, Any]) -> Verdict:
    chances = _languages(material.answer or "", "answer")
    wanted = options.get("languages") or [next(iter(_languages(material.question or "", "question")))]
    likeliest, chance = next(iter(chances.items()))
    if sum(chances[one] for one in wanted) >= _SURE:
        return True, f"It is in {likeliest} ({chance:.0%} sure)."
    if chance < _SURE:
        raise Unreadable(f"its language is not clear: {likeliest} is the likeliest, by {chance:.0%}")
    return False, f"It is in {likeliest} ({chance:.0%} sure), not in {' or '.join(wanted)}."


def _languages(text: str, which: str) -> Mapping[str, float]:
    chances = languages_of(text)
    if not chances:
        raise Unreadable(f"the {which} has too few letters to tell its language")
    return chances


def _whole(material: Material) -> str:
    """The answer, where nothing was cut from it: what is left out could decide."""
    text = material.answer or ""
    if len(text) > LONGEST:
        raise Unreadable(f"the answer is longer than {LONGEST:,} characters and was cut")
    return text


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_SCORERS: Mapping[str, Callable[[Material, Mapping[str, Any]], Verdict]] = {
    "json_schema": _json_schema,
    "regex": _regex,
    "refusal": _refusal,
    "length": _length,
    "language": _language,
}
