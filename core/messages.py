"""What was asked and answered as messages, read from the many JSON shapes in which senders keep it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "call", "result", "document", "reasoning", "other"]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message. A call and its result share an `id` where the sender gave one."""

    kind: Kind
    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what; the role is empty where the sender's shape names none."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All of it, in the sender's order."""
        return "\n".join(part.text for part in self.parts if part.text)


def read_messages(body: str | None) -> list[Message]:
    """A sender's JSON as messages; a shape that is not known as one message of indented JSON, and what is no JSON
    (or nested beyond reading) as one of itself. Nothing a sender writes breaks it."""
    if not body:
        return []
    try:
        value = json.loads(body)
        # a bare 1.50 stays as it was written
        known = list(_messages(value)) or [
            Message("", (Part("text", indented(value) if isinstance(value, dict | list) else body),))
        ]
    except (ValueError, RecursionError):
        return [Message("", (Part("text", body),))]
    return [_writable(message) for message in known] if "\\u" in body else known


def _writable(message: Message) -> Message:
    """Without halves of surrogate pairs, which JSON can spell and no UTF-8 can hold."""
    parts = (Part(part.kind, _whole(part.text), _whole(part.id)) for part in message.parts)
    return Message(_whole(message.role), tuple(parts))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def indented(value: Any) -> str:
    """JSON as a person reads it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


_SYSTEM = ("system", "instructions", "system_instruction", "systemInstruction")
_TURNS = ("messages", "contents", "input", "prompt", "choices", "candidates", "output", "generations")
_TEXT = ("text", "input_text", "output_text", "refusal")
_CALLS = ("tool_call", "tool_use", "toolUse", "function_call", "functionCall", "custom_tool_call")
_RESULTS = (
    "tool_call_response", "tool_result", "toolResult", "function_call_output", "functionResponse",
    "custom_tool_call_output",
)  # fmt: skip
_DOCUMENTS = ("document", "search_result", "web_search_result")
_REASONING = ("reasoning", "thinking", "redacted_thinking", "summary_text")
# What tells of a message rather than says something.
_ABOUT = frozenset(
    (
        "role", "content", "parts", "id", "index", "type", "status", "model", "usage", "finish_reason", "stop_reason",
        "stop_sequence", "stop_details", "container", "diagnostics", "logprobs", "annotations", "object", "created",
        "system_fingerprint", "service_tier", "refusal", "tool_call_id", "call_id", "message.role",
        "message.content", "message.tool_call_id",
    )
)  # fmt: skip


def _messages(value: Any) -> Iterator[Message]:
    """Nothing where the shape is not known."""
    if isinstance(value, str):
        yield Message("", (Part("text", value),))
    elif isinstance(value, list):
        found = [_turn(one) for one in value]
        if all(found):
            yield from (message for one in found for message in one)
    elif isinstance(value, dict):
        yield from _from_object(value)


def _from_object(value: dict[str, Any]) -> Iterator[Message]:
    if _role(value) is not None and _says_something(value):
        yield Message(str(_role(value))[:40], tuple(_of_message(value)))
    elif isinstance(value.get("message"), dict):  # a choice, a generation
        yield from _messages(value["message"])
    elif isinstance(value.get("kwargs"), dict) and "content" in value["kwargs"]:  # LangChain's own JSON
        said = value["kwargs"]
        role = {"human": "user", "ai": "assistant"}.get(str(said.get("type")), str(said.get("type", "")))
        calls = tuple(_of_calls(said.get("tool_calls") or []))
        yield Message(role[:40], (*_parts(said["content"], _plain(role)), *calls))
    elif isinstance(value.get("content"), dict) and "parts" in value["content"]:  # a candidate
        yield from _messages({"role": "model"} | value["content"])
    elif value.get("type") in (*_CALLS, *_RESULTS, *_REASONING):  # an item of the Responses API
        role = "tool" if value["type"] in _RESULTS else "assistant"
        yield Message(role, tuple(_parts(value, "text")))
    else:
        yield from _from_body(value)


def _turn(value: Any) -> list[Message]:
    """The messages of one entry of a list; completions of the older APIs have a text and no role."""
    if isinstance(value, dict) and isinstance(value.get("text"), str) and _role(value) is None:
        return [Message("assistant", (Part("text", value["text"]),))]
    return list(_messages(value)) if isinstance(value, dict | list) else []


def _from_body(value: dict[str, Any]) -> Iterator[Message]:
    """A whole request or response, as a provider's API takes or gives it."""
    # an answer in JSON may have a field `output` too: a bare text is a turn only beside a model's name
    may_be = [
        value[name]
        for name in _TURNS
        if not isinstance(value.get(name, ""), str) or ("model" in value and name in value)
    ]
    turns = next((found for one in may_be if (found := list(_messages(one)))), [])
    if turns:
        for name in _SYSTEM:
            if value.get(name) and not ("output" in value and name == "instructions"):
                yield Message("system", tuple(_parts(_unwrapped(value[name]), "text")))
        if isinstance(value.get("documents"), list):
            yield Message("", tuple(_parts(value["documents"], "document")))
        yield from turns


def _role(value: Mapping[str, Any]) -> str | None:
    role = value.get("role", value.get("message.role"))
    return role if isinstance(role, str) else None


def _says_something(value: Mapping[str, Any]) -> bool:
    return any(
        name in ("content", "parts")
        or (name.startswith(("tool_calls", "message.")) and name != "message.role")
        for name in value
    )


def _of_message(message: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a message, and in JSON whatever else it carries."""
    role = str(_role(message))
    at = message.get("content", message.get("parts", message.get("message.content")))
    answers = str(message.get("tool_call_id") or message.get("message.tool_call_id") or "")
    for part in _parts(at, _plain(role)):
        yield Part(part.kind, part.text, part.id or answers) if part.kind == "result" else part
    if isinstance(refusal := message.get("refusal"), str):
        yield Part("text", refusal)
    rest = {name: value for name, value in message.items() if name not in _ABOUT and value is not None}
    if isinstance(calls := rest.pop("tool_calls", None), list):
        yield from _of_calls(calls)
    texts = [value for name, value in rest.items() if name.endswith(".message_content.text")]
    yield from (Part(_plain(role), str(text)) for text in texts)
    flat = {name: value for name, value in rest.items() if "tool_calls." in name}
    if flat:  # one attribute a field, by number
        yield Part("call", indented(flat))
    told = {name: rest[name] for name in rest if name not in flat and ".message_content." not in name}
    if told:
        yield Part("other", indented(told))


def _plain(role: str) -> Kind:
    """What a bare text of this role is."""
    return "result" if role in ("tool", "function") else "text"


def _of_calls(calls: list[Any]) -> Iterator[Part]:
    for call in calls:
        if isinstance(call, dict):
            inner = call.get("function") if isinstance(call.get("function"), dict) else call
            yield _call(inner, str(call.get("id") or ""))


def _call(value: Any, number: str) -> Part:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return Part("call", indented(value), number)
    given = next((value[name] for name in ("arguments", "args", "input") if name in value), None)
    if isinstance(given, str):
        with suppress(ValueError, RecursionError):
            given = json.loads(given)
    return Part("call", indented({"name": value["name"], "arguments": given}), number)


def _parts(value: Any, plain: Kind) -> Iterator[Part]:
    if value is None:
        return
    if isinstance(value, str):
        yield Part(plain, value)
    elif isinstance(value, list):
        for one in value:
            yield from _parts(one, plain)
    elif isinstance(value, dict):
        yield _part(value, plain)
    else:
        yield Part(plain, indented(value))


def _part(value: dict[str, Any], plain: Kind) -> Part:
    named = str(value.get("type") or next((n for n in (*_CALLS, *_RESULTS) if n in value), ""))
    number = str(value.get("id") or value.get("call_id") or "")
    text = value.get("text", value.get("content"))
    if (named in _TEXT or set(value) == {"text"}) and isinstance(text, str):
        return Part(plain, text)
    if named == "refusal" and isinstance(value.get("refusal"), str):
        return Part("text", value["refusal"])
    if named in _CALLS:
        return _call(_inner(value, named), str(value.get("call_id") or value.get("id") or ""))
    if named in _RESULTS:
        inner = _inner(value, named)
        fields = ("response", "result", "output", "content")
        said = next((inner[name] for name in fields if inner.get(name) is not None), None)
        asked = str(value.get("tool_use_id") or value.get("call_id") or number)
        return Part("result", _joined(said), asked)
    if named in _REASONING:
        fields = ("content", "text", "thinking", "summary")
        return Part("reasoning", _joined(next((value[n] for n in fields if value.get(n)), "")), number)
    if named in _DOCUMENTS or plain == "document":
        return Part("document", _joined(_of_document(value)), number)
    # an object that names no type is structured text; one that names another is an image, audio, a file …
    return Part("other" if named else plain, indented(value), number)


def _inner(value: dict[str, Any], named: str) -> dict[str, Any]:
    """Some shapes wrap a part in an object under its kind's name."""
    inner = value.get(named)
    return inner if isinstance(inner, dict) else value


def _of_document(value: dict[str, Any]) -> Any:
    source = value.get("source")
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        return [value.get("title"), source.get("data", source.get("content"))]
    return [value.get("title"), value["content"]] if "content" in value else value


def _joined(value: Any) -> str:
    return "\n".join(part.text for part in _parts(value, "text"))


def _unwrapped(value: Any) -> Any:
    return value["parts"] if isinstance(value, dict) and "parts" in value else value
