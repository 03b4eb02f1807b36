"""Prompts and answers as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.messages import read_messages

# More than anyone reads on a page; the API has it whole.
_LONGEST = 20_000
_MOST = 200


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what; the role is empty where the sender's shape names none."""

    role: str
    text: str


def messages(body: str | None) -> list[Message]:
    """A sender's JSON as messages that fit a page."""
    return [Message(one.role, _short(one.text)) for one in read_messages(body)[:_MOST]]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… {len(text) - _LONGEST:,} more characters"


def asked_and_answered(asked: str | None, answered: str | None) -> Sequence[tuple[str, list[Message]]]:
    """The two sides of a request, those that were kept."""
    sides = (("Asked", messages(asked)), ("Answered", messages(answered)))
    return [(name, found) for name, found in sides if found]
