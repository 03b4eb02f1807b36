"""Prompts and answers as a person reads them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.content import Message, messages

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["role", "content", "parts"]), inner)
    ),
)


def said(role: str, content: object, name: str = "content") -> dict[str, object]:
    return {"role": role, name: content}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ([said("user", "Hi")], [Message("user", "Hi")]),
        ([said("user", [{"type": "text", "content": "Hi"}], "parts")], [Message("user", "Hi")]),
        (
            [said("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])],
            [Message("user", "a\nb")],
        ),
        (
            {"system": "Short.", "messages": [said("user", "Hi")]},
            [Message("system", "Short."), Message("user", "Hi")],
        ),
        ("Hi", [Message("", "Hi")]),
        ({"a": 1}, [Message("", '{\n  "a": 1\n}')]),
    ],
)
def test_the_senders_shapes_read_as_messages(body: object, found: list[Message]) -> None:
    assert messages(json.dumps(body)) == found


def test_a_tool_call_is_not_lost_beside_the_text() -> None:
    body = [{"role": "assistant", "content": None, "tool_calls": [{"name": "look_up"}]}]
    assert "look_up" in messages(json.dumps(body))[0].text


def test_what_is_no_json_is_shown_as_it_is_and_cut_aloud() -> None:
    assert messages("{broken") == [Message("", "{broken")]
    assert messages("x" * 20_001)[0].text.endswith("1 more characters")


@given(anything)
def test_nothing_a_sender_writes_breaks_the_page(body: object) -> None:
    assert all(isinstance(message.text, str) for message in messages(json.dumps(body)))
