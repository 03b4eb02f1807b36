"""Which part of a stream is the first that its reader can see."""

from __future__ import annotations

from typing import Any

# What a span says of its stream.
STREAM = "gen_ai.request.stream"
TTFT = "gen_ai.response.time_to_first_chunk"
ABORTED = "tripoint.aborted"


def shows_something(chunk: Any) -> bool:
    """Whether a chunk holds text, a tool call or reasoning: a role alone, a prelude, a ping or an empty text is
    none. Knows OpenAI's chat and Responses events, Anthropic's events, text, bytes and the same as dicts; of a
    shape that it does not know every chunk counts."""
    if isinstance(chunk, (str, bytes)):
        return bool(chunk)
    kind = _get(chunk, "type")
    if isinstance(kind, str):
        if kind == "content_block_start":
            return bool(_get(_get(chunk, "content_block"), "type") == "tool_use")
        return kind.endswith("delta") and kind != "message_delta"
    choices = _get(chunk, "choices")
    if isinstance(choices, (list, tuple)):
        return any(_choice_shows(choice) for choice in choices)
    return chunk is not None


def _choice_shows(choice: Any) -> bool:
    if _get(choice, "text"):
        return True
    delta = _get(choice, "delta")
    names = ("content", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio")
    return any(bool(_get(delta, name)) for name in names)


def _get(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
