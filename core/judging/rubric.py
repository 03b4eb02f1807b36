"""A rubric: what is asked of a judge about an answer, in dimensions with worded levels. Named by its own content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.errors import BadQuestion
from core.judging.options import SCORERS, check_options
from core.judging.storable import check_storable

Input = Literal["question", "answer", "context", "reference"]
INPUTS: tuple[Input, ...] = get_args(Input)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")
_WORDS_MAX = 4000
_DIMENSIONS_MAX = 12
_LEVELS_MAX = 11


@dataclass(frozen=True, slots=True)
class Level:
    """One step of a dimension: what an answer is like that gets this score, 0 (worst) to 1 (best)."""

    score: float
    words: str


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that is asked, apart from all others; its levels go from the worst to the best."""

    name: str
    question: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Rubric:
    """A question to a judge, or a deterministic `scorer` with its `options` that needs none.

    `inputs` are what a request must have to be judged; an answer always.
    """

    name: str
    title: str
    dimensions: tuple[Dimension, ...]
    inputs: tuple[Input, ...] = ("question", "answer")
    instructions: str = ""
    scorer: str | None = None
    options: Mapping[str, Any] | None = None

    @property
    def version(self) -> str:
        """The first 16 hex digits of the SHA-256 of the content: another word is another version."""
        text = json.dumps(rubric_to_json(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def score_name(self, dimension: str) -> str:
        """How scores on a dimension are called: `rubric.dimension`, or the rubric's name where both are one."""
        return self.name if dimension == self.name else f"{self.name}.{dimension}"

    @property
    def score_names(self) -> tuple[str, ...]:
        """The names of the scores that it gives."""
        return tuple(self.score_name(one.name) for one in self.dimensions)


def rubric_to_json(rubric: Rubric) -> dict[str, Any]:
    """Plain JSON that `rubric_from_json` reads back as an equal rubric."""
    return {
        "name": rubric.name,
        "title": rubric.title,
        "instructions": rubric.instructions,
        "inputs": list(rubric.inputs),
        "dimensions": [
            {
                "name": one.name,
                "question": one.question,
                "levels": [{"score": level.score, "words": level.words} for level in one.levels],
            }
            for one in rubric.dimensions
        ],
    } | ({"scorer": rubric.scorer, "options": dict(rubric.options or {})} if rubric.scorer else {})


def rubric_from_json(value: Any) -> Rubric:
    """A rubric from what a person or a file wrote, or a `BadQuestion` that says what to change."""
    if not isinstance(value, Mapping):
        raise BadQuestion("A rubric is a JSON object with name, title and dimensions.")
    known = {"name", "title", "instructions", "inputs", "dimensions", "scorer", "options"}
    if strange := sorted(set(value) - known):
        raise BadQuestion(f"A rubric has no field {strange[0][:60]!r}. It has {', '.join(sorted(known))}.")
    check_storable({str(key): each for key, each in value.items()}, "The rubric")
    name = _name(value.get("name"), "name")
    scorer = value.get("scorer")
    if scorer is not None and scorer not in SCORERS:
        raise BadQuestion(f"There is no scorer {str(scorer)[:40]!r}. Use one of {', '.join(SCORERS)}.")
    options = value.get("options") or {}
    if not isinstance(options, Mapping):
        raise BadQuestion("options is a JSON object.")
    return Rubric(
        name=name,
        title=_words(value.get("title") or name, "title", 200),
        instructions=_words(value.get("instructions") or "", "instructions", empty=True),
        inputs=_inputs(value.get("inputs"), scorer, options),
        dimensions=(_pass_or_fail(name),) if scorer else _dimensions(value.get("dimensions")),
        scorer=scorer,
        options=check_options(scorer, options) if scorer else None,
    )


def reply_schema(rubric: Rubric) -> dict[str, Any]:
    """The JSON schema of a judge's reply: for each dimension first the reason, then the level's number, 1 the worst;
    then how sure it is, 0 to 100."""

    levels = {one.name: list(range(1, len(one.levels) + 1)) for one in rubric.dimensions}
    return _verdict(
        {name: ("level", {"type": "integer", "enum": numbers}) for name, numbers in levels.items()}
    )


def pair_schema(rubric: Rubric) -> dict[str, Any]:
    """The same of a comparison: for each dimension the reason, then which answer is better."""
    winner = {"type": "string", "enum": ["A", "B", "tie"]}
    return _verdict({one.name: ("winner", winner) for one in rubric.dimensions})


def _verdict(choices: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    each = {name: _object({"reason": {"type": "string"}, key: of}) for name, (key, of) in choices.items()}
    return _object({"dimensions": _object(each), "confidence": {"type": "integer"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _pass_or_fail(name: str) -> Dimension:
    return Dimension(name, "Does the answer pass?", (Level(0.0, "fails"), Level(1.0, "passes")))


def _dimensions(value: Any) -> tuple[Dimension, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _DIMENSIONS_MAX:
        raise BadQuestion(f"dimensions is a list of 1 to {_DIMENSIONS_MAX}.")
    found = tuple(_dimension(one, f"dimensions.{at}") for at, one in enumerate(value))
    if len({one.name for one in found}) < len(found):
        raise BadQuestion("Two dimensions have the same name. Give each its own.")
    return found


def _dimension(value: Any, where: str) -> Dimension:
    if not isinstance(value, Mapping):
        raise BadQuestion(f"{where} is a JSON object with name, question and levels.")
    levels = value.get("levels")
    if not isinstance(levels, list) or not 2 <= len(levels) <= _LEVELS_MAX:
        raise BadQuestion(f"{where}.levels is a list of 2 to {_LEVELS_MAX}, the worst first.")
    found = [_level(one, at, len(levels), f"{where}.levels.{at}") for at, one in enumerate(levels)]
    scores = [one.score for one in found]
    if scores != sorted(set(scores)):
        raise BadQuestion(
            f"{where}.levels must rise: each score above the one before, the worst level first."
        )
    return Dimension(
        _name(value.get("name"), f"{where}.name"),
        _words(value.get("question"), f"{where}.question"),
        tuple(found),
    )


def _level(value: Any, at: int, many: int, where: str) -> Level:
    """A level in full, or its words alone: then the scores are evenly spread."""
    if isinstance(value, str):
        return Level(at / (many - 1), _words(value, where))
    if not isinstance(value, Mapping):
        raise BadQuestion(f"{where} is its words, or an object with score and words.")
    score = value.get("score", at / (many - 1))
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise BadQuestion(f"{where}.score is a number from 0 to 1.")
    return Level(float(score), _words(value.get("words"), f"{where}.words"))


def _inputs(value: Any, scorer: str | None, options: Mapping[str, Any]) -> tuple[Input, ...]:
    if scorer is not None:
        return ("question", "answer") if options.get("same_as_question") else ("answer",)
    if value is None:
        return ("question", "answer")
    if not isinstance(value, list) or any(one not in INPUTS for one in value):
        raise BadQuestion(f"inputs is a list of any of {', '.join(INPUTS)}.")
    return tuple(one for one in INPUTS if one in value or one == "answer")


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadQuestion(
            f"{where} is a word of small letters, digits, _ and -, up to 60, such as tone-of-voice."
        )
    return value


def _words(value: Any, where: str, most: int = _WORDS_MAX, *, empty: bool = False) -> str:
    if not isinstance(value, str) or (not value.strip() and not empty):
        raise BadQuestion(f"{where} is missing. Say it in words.")
    if len(value) > most or "\0" in value:
        raise BadQuestion(f"{where} is longer than {most} characters, or holds a NUL. Shorten it.")
    return value.strip()
