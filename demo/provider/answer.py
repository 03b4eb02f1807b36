"""What the simulated provider answers: a pure function of the request, without a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.provider.behaviour import Behaviour

# The name under which a provider answers when asked for an alias; any other model answers under its own name.
SNAPSHOTS: Mapping[str, str] = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "o3": "o3-2025-04-16",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
}
_SENTENCES = (
    "This is a simulated answer.",
    "No model has read the question.",
    "The words are chosen by a rule, so that the same question gets the same answer.",
    "Only the shape of the conversation is real.",
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the request offers."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of either wire, as far as the answer depends on it."""

    model: str
    texts: Sequence[str]
    tools: Sequence[Tool] = ()
    has_tool_result: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """Exclusive counts: `uncached + cache_read + cache_write` is the input, `visible + reasoning` the output."""

    uncached: int
    cache_read: int
    cache_write: int
    visible: int
    reasoning: int

    @property
    def input(self) -> int:
        return self.uncached + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        return self.visible + self.reasoning


@dataclass(frozen=True, slots=True)
class Answer:
    """Text, or a call of `tool` with `arguments` (JSON)."""

    key: str
    model: str
    text: str
    tool: str | None
    arguments: str
    tokens: Tokens


def count_tokens(text: str) -> int:
    """The rule of thumb: one token for every four characters, begun ones counted."""
    return (len(text) + 3) // 4


def answer_to(asked: Asked, behaviour: Behaviour, turn: int) -> Answer:
    """The answer; `turn` tells apart two equal requests, so that no two answers have one id."""
    digest = hashlib.sha256("\0".join((asked.model, *asked.texts)).encode()).hexdigest()
    tool = None if asked.has_tool_result else _tool(asked, behaviour)
    text = "" if tool else behaviour.answer or _text(digest)
    arguments = json.dumps(_example(tool.schema)) if tool else ""
    visible = count_tokens(text or arguments)
    if behaviour.output_tokens is not None:
        visible = max(0, behaviour.output_tokens - behaviour.reasoning_tokens)
    # Four more for each message, for its role and its ends.
    counted = sum(count_tokens(text) + 4 for text in asked.texts)
    total = counted if behaviour.input_tokens is None else behaviour.input_tokens
    read = min(behaviour.cache_read_tokens, total)
    written = min(behaviour.cache_write_tokens, total - read)
    return Answer(
        key=behaviour.id or f"{digest[:16]}{turn:08x}",
        model=SNAPSHOTS.get(asked.model, asked.model),
        text=text,
        tool=tool.name if tool else None,
        arguments=arguments,
        tokens=Tokens(total - read - written, read, written, visible, behaviour.reasoning_tokens),
    )


def pieces(text: str, most: int) -> list[str]:
    """The text in at most so many pieces of nearly equal length, none of them empty."""
    size = max(1, -(-len(text) // max(1, most)))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _tool(asked: Asked, behaviour: Behaviour) -> Tool | None:
    if behaviour.tool is not None:
        return next((tool for tool in asked.tools if tool.name == behaviour.tool), None)
    return asked.tools[0] if asked.tools else None


def _text(digest: str) -> str:
    first = int(digest[:2], 16) % len(_SENTENCES)
    return " ".join(_SENTENCES[first:] + _SENTENCES[:first])


def _example(schema: Mapping[str, Any]) -> Any:
    """A value that fits the schema's plain parts."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _example(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_example(schema.get("items", {"type": "string"}))]
    return {"integer": 1, "number": 1.0, "boolean": True, "null": None}.get(str(kind), "example")
