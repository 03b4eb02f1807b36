"""Anthropic's wire: messages and errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from demo.provider.answer import Answer, Asked, Tool, pieces
from demo.provider.frames import Frame, frame

_ERRORS = {
    400: ("invalid_request_error", "The simulated provider does not understand this request."),
    401: ("authentication_error", "invalid x-api-key"),
    404: ("not_found_error", "The simulated provider does not know this address."),
    429: ("rate_limit_error", "This request would exceed your rate limit (simulated)."),
    529: ("overloaded_error", "Overloaded (simulated)."),
}


def error(status: int, message: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind, text = _ERRORS.get(status, ("api_error", "Internal server error (simulated)."))
    return {"type": "error", "error": {"type": kind, "message": message or text}}


def read_messages(body: Mapping[str, Any]) -> Asked:
    """The request's model, texts and tools; raises KeyError or TypeError where it is not a request."""
    messages = body["messages"]
    contents = [message["content"] for message in messages]
    tools = [Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()]
    parts = [part for content in contents if not isinstance(content, str) for part in content]
    body["max_tokens"]  # the one further field that the wire requires
    return Asked(
        model=body["model"],
        texts=[*_texts(body.get("system")), *(text for content in contents for text in _texts(content))],
        tools=[] if (body.get("tool_choice") or {}).get("type") == "none" else tools,
        has_tool_result=any(part.get("type") == "tool_result" for part in parts),
    )


def messages(answer: Answer) -> dict[str, Any]:
    """The whole answer at once."""
    block: dict[str, Any] = {"type": "text", "text": answer.text}
    if answer.tool:
        block = {**_tool_block(answer), "input": json.loads(answer.arguments)}
    return {**_head(answer), "content": [block], "stop_reason": _reason(answer), "usage": _usage(answer)}


def messages_frames(answer: Answer, chunks: int) -> Iterator[Frame]:
    """`message_start` and a ping come at once, the block from the first token on."""
    start = {
        **_head(answer),
        "content": [],
        "stop_reason": None,
        "usage": {**_usage(answer), "output_tokens": 1},
    }
    yield _event("message_start", {"message": start})
    yield _event("ping", {})
    if answer.tool:
        yield _event("content_block_start", {"index": 0, "content_block": _tool_block(answer)}, output=True)
        parts = [{"type": "input_json_delta", "partial_json": p} for p in pieces(answer.arguments, chunks)]
    else:
        yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        parts = [{"type": "text_delta", "text": p} for p in pieces(answer.text, chunks)]
    for part in parts:
        yield _event("content_block_delta", {"index": 0, "delta": part}, output=True)
    yield _event("content_block_stop", {"index": 0})
    yield _event(
        "message_delta",
        {"delta": {"stop_reason": _reason(answer), "stop_sequence": None}, "usage": _usage(answer)},
    )
    yield _event("message_stop", {})


def error_frame() -> Frame:
    """An error in the middle of a stream."""
    return frame(error(529), "error")


def _event(kind: str, words: dict[str, Any], output: bool = False) -> Frame:
    return frame({"type": kind, **words}, kind, output)


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_sequence": None,
    }


def _tool_block(answer: Answer) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{answer.key}", "name": answer.tool, "input": {}}


def _reason(answer: Answer) -> str:
    return "tool_use" if answer.tool else "end_turn"


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    found: dict[str, Any] = {
        "input_tokens": tokens.uncached,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": tokens.output,
        "service_tier": "standard",
    }
    if tokens.reasoning:
        found["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
    return found


def _texts(content: Any) -> Iterable[str]:
    if isinstance(content, str):
        return [content]
    found: list[str] = []
    for part in content or ():
        if isinstance(part.get("text"), str):
            found.append(part["text"])
        elif part.get("type") == "tool_result":
            found += _texts(part.get("content"))
    return found
