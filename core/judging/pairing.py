"""Two answers to the same question as they are frozen for a judge, or why they cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.errors import BadQuestion
from core.judging.material import Material, material_from_json
from core.judging.rubric import INPUTS, Rubric
from core.judging.storable import made_storable
from core.ledger import is_hex

PAIRS_MAX = 500
"""Pairs that one comparison holds."""


@dataclass(frozen=True, slots=True)
class RequestId:
    """A stored request by its trace and span."""

    trace_id: str
    span_id: str

    def __str__(self) -> str:
        return f"{self.trace_id}-{self.span_id}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pair as it is asked for: two stored requests, or two texts with the question that both answer."""

    first: RequestId | str
    second: RequestId | str
    question: str | None = None
    context: str | None = None
    reference: str | None = None
    cluster: str | None = None


def check_pair(wanted: Wanted) -> Wanted:
    """The pair with its ids in lower case, or a `BadQuestion` that says what of it to change."""
    first, second = wanted.first, wanted.second
    if isinstance(first, str) and isinstance(second, str):
        return wanted
    if isinstance(first, str) or isinstance(second, str):
        raise BadQuestion("first and second are two stored requests or two texts, not one of each.")
    if wanted.question is not None or wanted.context is not None:
        raise BadQuestion("Of stored requests the question and context are stored too. Leave them out.")
    first, second = _lower(first, "first"), _lower(second, "second")
    if first == second:
        raise BadQuestion("first and second are the same request. Name two.")
    return replace(wanted, first=first, second=second)


def of_texts(wanted: Wanted, rubric: Rubric) -> tuple[Material, str]:
    """What a judge sees of a pair of texts: what both answer with the first one, and the other."""
    given = {name: getattr(wanted, name) for name in ("question", "context", "reference")}
    first = material_from_json(given | {"answer": wanted.first})
    return side_by_side(first, material_from_json(given | {"answer": wanted.second}), rubric)


def side_by_side(first: Material, second: Material, rubric: Rubric) -> tuple[Material, str]:
    """What a judge sees of both: the first one's material and the second answer, or a `BadQuestion` that says why they
    cannot be compared.

    They answer the same question, and what is right for one is right for the other. Where what each model was given
    besides differs, neither is shown, since it would be held against the other; a rubric that judges by it then
    compares nothing.
    """
    right = first.reference or second.reference
    first, second = (replace(one, reference=one.reference or right) for one in (first, second))
    for side, one in (("first", first), ("second", second)):
        for name in rubric.inputs:
            if not (getattr(one, name) or "").strip():
                raise BadQuestion(f"{side} has no {name}, and the rubric {rubric.name} needs one.")
    if _plain(first.question) != _plain(second.question):
        raise BadQuestion("first and second answer two different questions. Pair answers to the same one.")
    for name in ("context", "reference"):
        if _plain(getattr(first, name)) != _plain(getattr(second, name)):
            if name in rubric.inputs:
                raise BadQuestion(
                    f"{rubric.name} judges by the {name}, and that of first is not that of second."
                )
            first = replace(first, **{name: None})
    texts = {name: getattr(first, name) for name in INPUTS}
    kept = Material(**{name: None if text is None else made_storable(text) for name, text in texts.items()})
    return kept, made_storable(second.answer or "")


def _plain(text: str | None) -> str:
    """Spaces and line breaks make no difference to what is asked."""
    return " ".join((text or "").split())


def _lower(one: RequestId, side: str) -> RequestId:
    trace_id, span_id = one.trace_id.lower(), one.span_id.lower()
    if not is_hex(trace_id, 32):
        raise BadQuestion(f"{side}.trace_id is 32 hex digits.")
    if not is_hex(span_id, 16):
        raise BadQuestion(f"{side}.span_id is 16 hex digits.")
    return RequestId(trace_id, span_id)
