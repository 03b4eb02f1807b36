"""What a judge or a scorer gets to see of a request: question, answer, context, reference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.judging.rubric import INPUTS, Rubric
from core.messages import Message, Part, read_messages

LONGEST = 60_000

_SYSTEM = ("system", "developer")
_ASSISTANT = ("assistant", "model", "ai")
_CUT = re.compile(
    r"\A\[[\d,]+ characters were left out here\]\n|\n\[[\d,]+ characters were left out here\]\Z"
)
_NOTE_MAX = 60
_NOT_TEXT = "[something that is not text]"


@dataclass(frozen=True, slots=True)
class Material:
    """The texts that are judged; None is what was not stored. Each is at most `LONGEST` characters and a note."""

    question: str | None = None
    answer: str | None = None
    context: str | None = None
    reference: str | None = None

    def texts(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(filter(None, (self.question, self.answer, self.context, self.reference)))


def material_of(
    content_input: str | None, content_output: str | None, reference: str | None = None
) -> Material:
    """What is judged of a stored request.

    The question is the conversation without its system message up to the last user's turn, which comes last; what an
    agent said to itself after that is left out. The context is what the model was given: system message, documents,
    tool results. The answer is its text, and its tool calls as JSON. Thoughts are neither.
    """
    asked, answered = read_messages(content_input), read_messages(content_output)
    return Material(
        _bounded(_question(asked), keep_end=True),
        _bounded(_answer(answered)),
        _bounded(_context(asked)),
        _bounded(reference),
    )


def material_to_json(material: Material) -> dict[str, str]:
    """Plain JSON of the texts that are there, to be kept where no stored request is judged."""
    return {name: text for name in INPUTS if (text := getattr(material, name)) is not None}


def material_from_json(value: Mapping[str, Any]) -> Material:
    """What `material_to_json` gave, or a person wrote: texts are cut to their bound; what is no text is not there."""
    texts = {name: text for name in INPUTS if isinstance(text := value.get(name), str)}
    return Material(**{name: _bounded(text, keep_end=name == "question") for name, text in texts.items()})


def missing(material: Material, rubric: Rubric) -> str | None:
    """Why this cannot be judged, or None where all that the rubric needs is there."""
    for name in rubric.inputs:
        if not (getattr(material, name) or "").strip():
            return f"no {name} was stored with it"
    return None


def _question(messages: Sequence[Message]) -> str | None:
    turns = [message for message in messages if message.role not in _SYSTEM and _spoken(message)]
    users = [at for at, message in enumerate(turns) if message.role not in _ASSISTANT]
    if not users:
        return None
    turns = turns[: users[-1] + 1]
    if len(turns) == 1:
        return _spoken(turns[0])
    return "\n\n".join(f"{_speaker(message)}:\n{_spoken(message)}" for message in turns)


def _speaker(message: Message) -> str:
    return "Assistant" if message.role in _ASSISTANT else "User"


def _answer(messages: Sequence[Message]) -> str | None:
    return "\n\n".join(filter(None, map(_spoken, messages))) or None


def _spoken(message: Message) -> str:
    """What the role itself says: its text, and its calls."""
    return "\n".join(
        _NOT_TEXT if part.kind == "other" else part.text
        for part in message.parts
        if part.kind in ("text", "call", "other") and part.text.strip()
    )


def _context(messages: Sequence[Message]) -> str | None:
    calls = {part.id: part.text for one in messages for part in one.parts if part.kind == "call" and part.id}
    given = [_given(message, part, calls) for message in messages for part in message.parts]
    return "\n\n".join(filter(None, given)) or None


def _given(message: Message, part: Part, calls: dict[str, str]) -> str:
    if not part.text.strip():
        return ""
    if part.kind == "result":
        asked = f" of {calls[part.id]}" if part.id in calls else ""
        return f"Result{asked}:\n{part.text}"
    if part.kind == "document":
        return f"Document:\n{part.text}"
    return f"System message:\n{part.text}" if part.kind == "text" and message.role in _SYSTEM else ""


def _bounded(text: str | None, *, keep_end: bool = False) -> str | None:
    # what was cut before stays as it is
    if text is None or len(text) <= LONGEST + _NOTE_MAX:
        return text if text is None or len(text) <= LONGEST or _CUT.search(text) else _cut(text, keep_end)
    return _cut(text, keep_end)


def _cut(text: str, keep_end: bool) -> str:
    note = f"[{len(text) - LONGEST:,} characters were left out here]"
    return f"{note}\n{text[-LONGEST:]}" if keep_end else f"{text[:LONGEST]}\n{note}"
