"""`tripoint.testing` shows users what their code said."""

from __future__ import annotations

import pytest
from opentelemetry import trace

import tripoint
from tripoint import _content
from tripoint._content import Policy
from tripoint.testing import capture


def test_a_capture_sees_its_own_block_only() -> None:
    with capture() as first, tripoint.llm_call("m", provider="p"):
        pass
    with capture() as second:
        pass
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_captures_nest() -> None:
    with capture() as outer, capture() as inner, tripoint.llm_call("m", provider="p"):
        pass
    assert (len(outer.calls), len(inner.calls)) == (1, 1)


def test_the_only_call_is_asked_for_in_a_word() -> None:
    with capture() as seen:
        pass
    with pytest.raises(AssertionError, match="expected one call to a model, saw 0"):
        _ = seen.call


def test_calls_of_other_instrumentations_are_read_too() -> None:
    tracer = trace.get_tracer("app")
    with capture() as seen:
        with tripoint.context(user="u1"), tracer.start_as_current_span("ChatCompletion") as span:
            span.set_attribute("openinference.span.kind", "LLM")
            span.set_attribute("llm.model_name", "gpt-4o")
            span.set_attribute("llm.token_count.prompt", 7)
        with tracer.start_as_current_span("tool") as span:
            span.set_attribute("gen_ai.operation.name", "execute_tool")
    assert (seen.call.model, seen.call.input_tokens, seen.call.user) == ("gpt-4o", 7, "u1")
    assert [span.name for span in seen.spans] == ["ChatCompletion", "tool"]


def test_redaction_can_be_tested() -> None:
    _content.obey(Policy(redact=lambda text: text.replace("Ada", "[name]")))
    try:
        with capture() as seen, tripoint.llm_call("m", provider="p", input="I am Ada"):
            pass
    finally:
        _content.obey(Policy())
    assert seen.call.input[0]["parts"][0]["content"] == "I am [name]"
