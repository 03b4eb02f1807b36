"""One reader of messages for pages and judges: every shape in which senders keep prompts and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conventions.content import content_from_span
from core.messages import read_messages
from tests.captures import CAPTURES, FAMILIES, cases, spans_of

CALL = '{\n  "name": "get_weather",\n  "arguments": {\n    "city": "Paris"\n  }\n}'

NAMES = ["role", "content", "parts", "type", "text", "messages", "input", "tool_calls", "message", "kwargs"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(NAMES),
            inner | st.sampled_from(["tool_use", "tool_result", "document", "thinking", "refusal", "user"]),
        )
    ),
)


def said(body: object) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(m.role, [(part.kind, part.text) for part in m.parts]) for m in read_messages(json.dumps(body))]


SHAPES: list[tuple[str, Any, Any]] = [
    (
        "Chat Completions, request",
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hi"}],
        },
        [("system", [("text", "Be terse.")]), ("user", [("text", "Hi")])],
    ),
    (
        "Chat Completions, response with a call",
        {
            "id": "chatcmpl-1",
            "choices": [
                {
                    "finish_reason": "tool_calls",
                    "index": 0,
                    "message": {
                        "content": None,
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "id": "c1",
                                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                            }
                        ],
                    },
                }
            ],
        },
        [("assistant", [("call", CALL)])],
    ),
    (
        "Chat Completions, a refusal",
        {"choices": [{"message": {"role": "assistant", "content": None, "refusal": "I cannot."}}]},
        [("assistant", [("text", "I cannot.")])],
    ),
    (
        "Completions",
        {"choices": [{"text": "Forty-two.", "index": 0}]},
        [("assistant", [("text", "Forty-two.")])],
    ),
    (
        "Messages, request",
        {
            "model": "m",
            "system": [{"type": "text", "text": "Be terse."}],
            "messages": [
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "18C"}]}
            ],
        },
        [("system", [("text", "Be terse.")]), ("user", [("result", "18C")])],
    ),
    (
        "Messages, response",
        {
            "role": "assistant",
            "type": "message",
            "usage": {"input_tokens": 3},
            "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "text", "text": "Forty-two."},
                {"type": "tool_use", "id": "t", "name": "get_weather", "input": {"city": "Paris"}},
            ],
        },
        [("assistant", [("reasoning", "Hm."), ("text", "Forty-two."), ("call", CALL)])],
    ),
    (
        "Responses, request",
        {"model": "m", "instructions": "Be terse.", "input": "Hi"},
        [("system", [("text", "Be terse.")]), ("", [("text", "Hi")])],
    ),
    (
        "Responses, response",
        {
            "instructions": "Be terse.",
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "42"}]},
                {
                    "type": "function_call",
                    "call_id": "c",
                    "name": "get_weather",
                    "arguments": '{"city":"Paris"}',
                },
            ],
        },
        [
            ("assistant", [("reasoning", "Hm.")]),
            ("assistant", [("text", "42")]),
            ("assistant", [("call", CALL)]),
        ],
    ),
    (
        "Gemini, request",
        {
            "systemInstruction": {"parts": [{"text": "Be terse."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}],
                },
                {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": "18C"}}]},
            ],
        },
        [
            ("system", [("text", "Be terse.")]),
            ("user", [("text", "Hi")]),
            ("model", [("call", CALL)]),
            ("user", [("result", "18C")]),
        ],
    ),
    (
        "Gemini, response",
        {"candidates": [{"content": {"parts": [{"text": "42"}], "role": "model"}, "finishReason": "STOP"}]},
        [("model", [("text", "42")])],
    ),
    (
        "LangChain, request",
        {"messages": [[{"lc": 1, "type": "constructor", "kwargs": {"content": "Hi", "type": "human"}}]]},
        [("user", [("text", "Hi")])],
    ),
    (
        "numbered attributes of OpenInference",
        [
            {"message.role": "user", "message.contents.0.message_content.text": "Hi"},
            {"message.role": "assistant", "message.content": "42"},
        ],
        [("user", [("text", "Hi")]), ("assistant", [("text", "42")])],
    ),
    (
        "numbered attributes of OpenLLMetry",
        [{"role": "assistant", "tool_calls.0.name": "look_up", "finish_reason": "stop"}],
        [("assistant", [("call", '{\n  "tool_calls.0.name": "look_up"\n}')])],
    ),
    (
        "documents beside the messages",
        {"messages": [{"role": "user", "content": "Hi"}], "documents": [{"title": "A", "content": "B"}, "C"]},
        [("", [("document", "A\nB"), ("document", "C")]), ("user", [("text", "Hi")])],
    ),
    (
        "a document in a message",
        [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "B"}}]}],
        [("user", [("document", "B")])],
    ),
    (
        "an image",
        [{"role": "user", "content": [{"type": "image_url", "image_url": "data:,x"}]}],
        [("user", [("other", '{\n  "type": "image_url",\n  "image_url": "data:,x"\n}')])],
    ),
    (
        "an answer that is JSON of its own",
        {"output": "yes", "text": "why", "score": 3},
        [("", [("text", '{\n  "output": "yes",\n  "text": "why",\n  "score": 3\n}')])],
    ),
]


@pytest.mark.parametrize(
    ("body", "found"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES]
)
def test_a_shape_reads_as_who_said_what(body: object, found: object) -> None:
    assert said(body) == found


def test_what_is_no_message_stays_as_it_was_written() -> None:
    for text in ("{broken", "1.50", "[" * 100_000, '{"a":' * 900 + "1" + "}" * 900):
        assert read_messages(text)[0].text[:1] == text[:1]
    assert read_messages("1.50")[0].text == "1.50"
    assert read_messages(None) == read_messages("") == []


@given(anything)
def test_nothing_a_sender_writes_breaks_the_reader(body: object) -> None:
    for message in read_messages(json.dumps(body)):
        assert isinstance(message.text.encode(), bytes)


def test_half_a_surrogate_pair_can_be_written_to_a_page() -> None:
    assert read_messages('[{"role": "user", "content": "a\\ud800b \\ud83d\\ude00"}]')[0].text == "a?b 😀"


@pytest.mark.skipif(not CAPTURES.exists(), reason="the captures are not beside this checkout")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_captured_prompt_and_answer_is_understood(family: str) -> None:
    """Whatever the instrumentation, a chat's question has a user and its answer an assistant, and no JSON of a body."""
    for case in cases([family]):
        if "bad_" in case or "embed" in case:
            continue
        for span in spans_of(case):
            if content := content_from_span(span):
                for body, roles in ((content.input, ("user", "")), (content.output, ("assistant",))):
                    messages = read_messages(body)
                    assert not messages or any(message.role in roles for message in messages), case
                    assert not any('"messages"' in m.text or '"choices"' in m.text for m in messages), case
