"""Rubrics: read from what people write, named by their content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.errors import BadQuestion
from core.judging.builtin import BUILT_IN, FAITHFULNESS
from core.judging.rubric import Level, reply_schema, rubric_from_json, rubric_to_json

TONE: dict[str, Any] = {
    "name": "tone",
    "title": "Tone of voice",
    "dimensions": [
        {"name": "warmth", "question": "Is it warm?", "levels": ["cold", "neutral", "warm"]},
        {
            "name": "clarity",
            "question": "Is it clear?",
            "levels": [{"score": 0.2, "words": "no"}, {"score": 1, "words": "yes"}],
        },
    ],
}


@pytest.mark.parametrize("rubric", BUILT_IN, ids=lambda one: one.name)
def test_a_built_in_rubric_is_read_back_as_itself(rubric: Any) -> None:
    read = rubric_from_json(rubric_to_json(rubric))
    assert read == rubric and read.version == rubric.version


def test_levels_in_words_alone_are_spread_evenly() -> None:
    rubric = rubric_from_json(TONE)
    assert rubric.dimensions[0].levels == (Level(0, "cold"), Level(0.5, "neutral"), Level(1, "warm"))
    assert rubric.score_names == ("tone.warmth", "tone.clarity")
    assert FAITHFULNESS.score_names == ("faithfulness",)


def test_another_word_is_another_version() -> None:
    changed = replace(FAITHFULNESS, instructions=FAITHFULNESS.instructions + " Be strict.")
    assert changed.version != FAITHFULNESS.version == rubric_from_json(rubric_to_json(FAITHFULNESS)).version


def test_the_schema_asks_for_the_reason_before_the_level() -> None:
    warmth = reply_schema(rubric_from_json(TONE))["properties"]["dimensions"]["properties"]["warmth"]
    assert list(warmth["properties"]) == ["reason", "level"]
    assert warmth["properties"]["level"]["enum"] == [1, 2, 3] and warmth["additionalProperties"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Tone of Voice"}, "name is a word of small letters"),
        ({"colour": 1}, "no field 'colour'"),
        ({"dimensions": []}, "dimensions is a list of 1 to 12"),
        ({"inputs": ["question", "answr"]}, "inputs is a list of any of question, answer"),
        ({"scorer": "vibes"}, "There is no scorer 'vibes'"),
        ({"dimensions": [{"name": "a", "question": "?", "levels": ["only"]}]}, "levels is a list of 2"),
        ({"dimensions": [{"name": "a", "question": "", "levels": ["no", "yes"]}]}, "question is missing"),
        (
            {"dimensions": [{"name": "a", "question": "?", "levels": [{"score": 1, "words": "a"}, "b"]}]},
            "must rise",
        ),
        ({"dimensions": [TONE["dimensions"][0], TONE["dimensions"][0]]}, "the same name"),
        (
            {"dimensions": [{"name": "a", "question": "?", "levels": [{"score": True, "words": "a"}, "b"]}]},
            "score is a number",
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_do(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadQuestion, match=words):
        rubric_from_json(TONE | change)
