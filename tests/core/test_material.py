"""What a judge gets to see of a request."""

from __future__ import annotations

import json

import pytest

from core.judging.builtin import CORRECTNESS, FAITHFULNESS, RELEVANCE
from core.judging.material import (
    LONGEST,
    Material,
    material_from_json,
    material_of,
    material_to_json,
    missing,
)

ASKED = json.dumps(
    {
        "system": [{"type": "text", "content": "Be terse."}],
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello. What may I do?"},
            {"role": "user", "content": "Weather in Paris?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I need the tool."},
                    {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "18C sunny"}],
            },
        ],
    }
)
ANSWERED = json.dumps(
    [
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Easy."}, {"type": "text", "text": "18 degrees."}],
        }
    ]
)


def test_the_last_users_turn_ends_the_question_and_a_tools_result_is_context() -> None:
    found = material_of(ASKED, ANSWERED)
    assert found.question == ("User:\nHello\n\nAssistant:\nHello. What may I do?\n\nUser:\nWeather in Paris?")
    assert found.context is not None and found.context.startswith("System message:\nBe terse.\n\nResult of {")
    assert '"city": "Paris"' in found.context and found.context.endswith(":\n18C sunny")
    assert found.answer == "18 degrees." and found.reference is None


def test_one_turn_stands_alone_and_a_call_is_an_answer() -> None:
    called = [
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "look_up", "arguments": {"a": 1}}]}
    ]
    found = material_of(json.dumps([{"role": "user", "content": "Hi"}]), json.dumps(called), "the truth")
    assert (found.question, found.context, found.reference) == ("Hi", None, "the truth")
    assert found.answer is not None and json.loads(found.answer) == {"name": "look_up", "arguments": {"a": 1}}


def test_a_picture_is_named_and_not_spelled_out() -> None:
    picture = {
        "role": "user",
        "content": ["What is this?", {"type": "image", "source": {"data": "AAAA" * 1000}}],
    }
    assert material_of(json.dumps([picture]), None).question == "What is this?\n[something that is not text]"


def test_what_is_too_long_is_cut_aloud_and_the_last_turn_kept() -> None:
    turns = [{"role": "user", "content": "a" * LONGEST}, {"role": "user", "content": "and so?"}]
    found = material_of(json.dumps(turns), json.dumps("b" * (LONGEST + 1234)))
    assert found.question is not None and found.answer is not None
    assert found.question.startswith("[") and found.question.endswith("and so?")
    assert found.answer.endswith("[1,234 characters were left out here]")
    assert max(map(len, found.texts())) < LONGEST + 100


def test_frozen_material_is_read_back_as_itself_and_cut_once() -> None:
    for found in (
        material_of(ASKED, ANSWERED, "r"),
        Material("q", "a"),
        material_of(None, json.dumps("b" * 70_000)),
    ):
        assert material_from_json(json.loads(json.dumps(material_to_json(found)))) == found
    written = material_from_json({"question": "q" * 70_000, "answer": 4, "colour": "red"})
    assert (
        written.question is not None
        and written.question.startswith("[10,000 characters")
        and not written.answer
    )


@pytest.mark.parametrize(
    ("material", "rubric", "reason"),
    [
        (Material("q", "a"), RELEVANCE, None),
        (Material("q", "a"), FAITHFULNESS, "no context was stored with it"),
        (Material("q", " \n"), RELEVANCE, "no answer was stored with it"),
        (material_of(None, None), RELEVANCE, "no question was stored with it"),
        (Material("q", "a", "c"), CORRECTNESS, "no reference was stored with it"),
    ],
)
def test_what_a_rubric_needs_and_a_request_lacks_is_a_reason(
    material: Material, rubric: object, reason: str
) -> None:
    assert missing(material, rubric) == reason  # type: ignore[arg-type]
