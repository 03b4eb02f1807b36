"""OpenAI's wire: chat completions, responses, embeddings, errors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from demo.provider.answer import Answer, Asked, Tokens, Tool, count_tokens, pieces
from demo.provider.frames import DONE, Frame, frame

FINGERPRINT = "fp_tripoint_simulated"
_ERRORS = {
    400: ("invalid_request_error", None, "The simulated provider does not understand this request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    404: ("invalid_request_error", "not_found", "The simulated provider does not know this address."),
    429: ("rate_limit_exceeded", "rate_limit_exceeded", "Rate limit reached (simulated)."),
}


def error(status: int, message: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind, code, text = _ERRORS.get(status, ("server_error", None, "The server had an error (simulated)."))
    return {"error": {"message": message or text, "type": kind, "param": None, "code": code}}


# chat completions ---------------------------------------------------------------------------------------


def read_chat(body: Mapping[str, Any]) -> Asked:
    """The request's model, texts and tools; raises KeyError or TypeError where it is not a request."""
    messages = body["messages"]
    tools = [
        Tool(t["function"]["name"], t["function"].get("parameters") or {}) for t in body.get("tools") or ()
    ]
    return Asked(
        model=body["model"],
        texts=[text for message in messages for text in _texts(message.get("content"))],
        tools=[] if body.get("tool_choice") == "none" else tools,
        has_tool_result=any(message["role"] == "tool" for message in messages),
    )


def chat(answer: Answer) -> dict[str, Any]:
    """The whole answer at once."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool:
        message["tool_calls"] = [_chat_tool_call(answer, answer.arguments)]
    reason = "tool_calls" if answer.tool else "stop"
    return {
        **_chat_head(answer, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": _chat_usage(answer.tokens),
    }


def chat_frames(answer: Answer, body: Mapping[str, Any], chunks: int) -> Iterator[Frame]:
    """A delta with the role alone, the parts, the end; usage only where it was asked for."""
    head = _chat_head(answer, "chat.completion.chunk")
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    extra = {"usage": None} if wants_usage else {}

    def delta(words: dict[str, Any], reason: str | None = None, output: bool = False) -> Frame:
        choice = {"index": 0, "delta": words, "logprobs": None, "finish_reason": reason}
        return frame({**head, "choices": [choice], **extra}, output=output)

    yield delta({"role": "assistant", "content": None if answer.tool else "", "refusal": None})
    if answer.tool:
        yield delta({"tool_calls": [{"index": 0, **_chat_tool_call(answer, "")}]}, output=True)
        for piece in pieces(answer.arguments, chunks):
            yield delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, output=True)
    for piece in pieces(answer.text, chunks):
        yield delta({"content": piece}, output=True)
    yield delta({}, "tool_calls" if answer.tool else "stop")
    if wants_usage:
        yield frame({**head, "choices": [], "usage": _chat_usage(answer.tokens)})
    yield DONE


def _chat_head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.key}",
        "object": kind,
        "created": int(time.time()),
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _chat_tool_call(answer: Answer, arguments: str) -> dict[str, Any]:
    function = {"name": answer.tool, "arguments": arguments}
    return {"id": f"call_{answer.key}", "type": "function", "function": function}


def _chat_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


# responses ----------------------------------------------------------------------------------------------


def read_responses(body: Mapping[str, Any]) -> Asked:
    """As read_chat."""
    given = body["input"]
    items: list[Mapping[str, Any]] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    tools = [
        Tool(t["name"], t.get("parameters") or {}) for t in body.get("tools") or () if t["type"] == "function"
    ]
    texts = [text for item in items for text in _texts(item.get("content") or item.get("output"))]
    return Asked(
        model=body["model"],
        texts=[*_texts(body.get("instructions")), *texts],
        tools=[] if body.get("tool_choice") == "none" else tools,
        has_tool_result=any(item.get("type") == "function_call_output" for item in items),
    )


def responses(answer: Answer, body: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer at once."""
    return _response(answer, body, "completed", [_item(answer, "completed")])


def responses_frames(answer: Answer, body: Mapping[str, Any], chunks: int) -> Iterator[Frame]:
    """`response.created` and `in_progress` come at once, the deltas from the first token on."""
    number = 0

    def event(kind: str, words: dict[str, Any], output: bool = False) -> Frame:
        nonlocal number
        number += 1
        return frame({"type": kind, "sequence_number": number - 1, **words}, kind, output)

    started = _response(answer, body, "in_progress", [])
    whole = _item(answer, "completed")
    place = {"item_id": whole["id"], "output_index": 0}
    yield event("response.created", {"response": started})
    yield event("response.in_progress", {"response": started})
    yield event("response.output_item.added", {"output_index": 0, "item": _item(answer, "in_progress")})
    if answer.tool:
        for piece in pieces(answer.arguments, chunks):
            yield event("response.function_call_arguments.delta", {**place, "delta": piece}, output=True)
        done = {**place, "name": answer.tool, "arguments": answer.arguments}
        yield event("response.function_call_arguments.done", done)
    else:
        place["content_index"] = 0
        yield event("response.content_part.added", {**place, "part": _part("")})
        for piece in pieces(answer.text, chunks):
            yield event("response.output_text.delta", {**place, "delta": piece, "logprobs": []}, output=True)
        yield event("response.output_text.done", {**place, "text": answer.text, "logprobs": []})
        yield event("response.content_part.done", {**place, "part": _part(answer.text)})
    yield event("response.output_item.done", {"output_index": 0, "item": whole})
    yield event("response.completed", {"response": _response(answer, body, "completed", [whole])})


def responses_error_frame() -> Frame:
    """An error in the middle of a stream."""
    told = {"type": "error", "sequence_number": 99, "code": "server_error", "param": None}
    return frame({**told, "message": "The server had an error (simulated)."}, "error")


def _response(answer: Answer, body: Mapping[str, Any], status: str, output: list[Any]) -> dict[str, Any]:
    tokens = answer.tokens
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }
    return {
        "id": f"resp_{answer.key}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": {"simulated_by": "tripoint"},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if status == "completed" else None,
        "user": None,
    }


def _item(answer: Answer, status: str) -> dict[str, Any]:
    done = status == "completed"
    if answer.tool:
        call = {"type": "function_call", "call_id": f"call_{answer.key}", "name": answer.tool}
        return {
            "id": f"fc_{answer.key}",
            **call,
            "arguments": answer.arguments if done else "",
            "status": status,
        }
    content = [_part(answer.text)] if done else []
    return {
        "id": f"msg_{answer.key}", "type": "message", "status": status, "role": "assistant", "content": content
    }  # fmt: skip


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


# embeddings ---------------------------------------------------------------------------------------------


def embeddings(body: Mapping[str, Any], tokens: int | None) -> dict[str, Any]:
    """One vector for each text: numbers from a digest of the text, of the length asked for (8 unasked)."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else [str(text) for text in given]
    used = sum(count_tokens(text) for text in texts) if tokens is None else tokens
    vectors = [_vector(text, int(body.get("dimensions") or 8)) for text in texts]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _vector(text: str, length: int) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(2 * length)
    return [int.from_bytes(digest[i : i + 2]) / 32768 - 1 for i in range(0, 2 * length, 2)]


def _texts(content: Any) -> Iterable[str]:
    """Every text in a content, which is a text, a list of parts, or nothing."""
    if isinstance(content, str):
        return [content]
    return [
        part["text"]
        for part in content or ()
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    ]
