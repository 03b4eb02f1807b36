"""What a deterministic scorer may be told, checked when its rubric is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.errors import BadQuestion
from core.judging import refusal
from core.judging.language import LANGUAGES
from core.judging.patterns import check_pattern
from core.judging.schema import check_schema

_MOST = 20
UNITS = ("characters", "words", "sentences")


def check_options(scorer: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in their one form, or a `BadQuestion` that says what to change."""
    known, read = _SCORERS[scorer]
    if strange := sorted(set(options) - set(known)):
        raise BadQuestion(
            f"The scorer {scorer} has no option {str(strange[0])[:60]!r}. It has {', '.join(known)}."
        )
    return read(options)


def _json_schema(options: Mapping[str, Any]) -> dict[str, Any]:
    check_schema(options.get("schema"), "options.schema")
    return {"schema": options["schema"], "fences": _flag(options, "fences")}


def _regex(options: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: _texts(options, name) for name in ("must_match", "must_not_match")}
    if not any(lists.values()):
        raise BadQuestion(
            "The scorer regex needs must_match or must_not_match: a regular expression or a list of them."
        )
    for name, patterns in lists.items():
        for at, pattern in enumerate(patterns):
            check_pattern(pattern, f"options.{name}.{at}")
    return {**lists, "ignore_case": _flag(options, "ignore_case")}


def _refusal(options: Mapping[str, Any]) -> dict[str, Any]:
    short = options.get("short", refusal.SHORT)
    if not _is_count(short) or short > 60_000:
        raise BadQuestion("options.short is the number of characters up to which an answer may be a refusal.")
    return {"phrases": _texts(options, "phrases"), "short": short}


def _length(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if not _is_count(value) or value > 60_000:
            raise BadQuestion(f"options.{name} is a whole number from 0 to 60,000.")
    if not options:
        raise BadQuestion("The scorer length needs a bound, such as max_characters or min_words.")
    for unit in UNITS:
        if options.get(f"min_{unit}", 0) > options.get(f"max_{unit}", 60_000):
            raise BadQuestion(f"options.min_{unit} is above options.max_{unit}: no answer could pass.")
    return dict(options)


def _language(options: Mapping[str, Any]) -> dict[str, Any]:
    languages, same = _texts(options, "languages"), _flag(options, "same_as_question")
    if bool(languages) == same:
        raise BadQuestion(
            'The scorer language needs either languages, such as ["en", "de"], or same_as_question.'
        )
    if strange := [one for one in languages if one not in LANGUAGES]:
        raise BadQuestion(
            f"options.languages has {strange[0][:20]!r}; use ISO 639 codes such as en, de, fr, es, zh, ja."
        )
    return {"same_as_question": True} if same else {"languages": languages}


def _texts(options: Mapping[str, Any], name: str) -> list[str]:
    """A text alone is a list of one."""
    value = options.get(name, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or len(value) > _MOST:
        raise BadQuestion(f"options.{name} is a text or a list of up to {_MOST}.")
    if any(not isinstance(one, str) or not one.strip() or len(one) > 1000 or "\0" in one for one in value):
        raise BadQuestion(f"options.{name} holds what is no text of 1 to 1,000 characters.")
    return value


def _flag(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise BadQuestion(f"options.{name} is true or false.")
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_SCORERS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "json_schema": (("schema", "fences"), _json_schema),
    "regex": (("must_match", "must_not_match", "ignore_case"), _regex),
    "refusal": (("phrases", "short"), _refusal),
    "length": (tuple(f"{end}_{unit}" for unit in UNITS for end in ("min", "max")), _length),
    "language": (("languages", "same_as_question"), _language),
}
SCORERS = tuple(_SCORERS)
