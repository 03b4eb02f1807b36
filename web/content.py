"""Prompts and answers as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# More than anyone reads on a page; the API has it whole.
_LONGEST = 20_000
_MOST = 200


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what; the role is empty where the sender's shape names none."""

    role: str
    text: str


def messages(body: str | None) -> list[Message]:
    """A sender's JSON as messages; what is not a list of them as indented JSON, what is no JSON as it is."""
    if not body:
        return []
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return [Message("", _short(body))]
    found = _from_value(value)
    return found[:_MOST] if found else [Message("", _short(_indented(value)))]


def _from_value(value: Any) -> list[Message]:
    if isinstance(value, str):
        return [Message("", _short(value))]
    if isinstance(value, dict) and set(value) == {"system", "messages"}:
        return [Message("system", _short(_text(value["system"]))), *_from_value(value["messages"])]
    if isinstance(value, list) and value and all(_is_message(part) for part in value):
        return [Message(str(part["role"])[:40], _short(_said(part))) for part in value]
    return []


def _is_message(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and isinstance(part.get("role"), str)
        and ("content" in part or "parts" in part)
    )


def _said(message: dict[str, Any]) -> str:
    """The text of a message, and in JSON whatever else it carries (tool calls, images by reference …)."""
    text = _text(message.get("content", message.get("parts")))
    known = ("role", "content", "parts", "finish_reason")
    rest = {name: value for name, value in message.items() if name not in known and value is not None}
    return "\n".join(filter(None, (text, _indented(rest) if rest else "")))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_text(part) for part in value)
    if isinstance(value, dict) and value.get("type") == "text":
        text = value.get("text", value.get("content"))
        if isinstance(text, str):
            return text
    return _indented(value)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… {len(text) - _LONGEST:,} more characters"


def asked_and_answered(asked: str | None, answered: str | None) -> Sequence[tuple[str, list[Message]]]:
    """The two sides of a request, those that were kept."""
    sides = (("Asked", messages(asked)), ("Answered", messages(answered)))
    return [(name, found) for name, found in sides if found]
