"""What any OTLP decoder hands on: good spans, and a reason for each span it had to refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.conventions.evaluation import RESULT
from core.errors import TooLarge
from core.span import Span, StatusCode

MAX_DEPTH = 32  # levels of lists and maps inside one attribute value
MAX_EVENTS = 256  # some libraries send one event a streamed chunk; first token and exception lie at the ends
MAX_RESULTS = 1000  # evaluation results among the events between
MAX_INT64 = 2**63 - 1
MAX_SPANS = 100_000  # of one body: a span that is two bytes on the wire takes a kilobyte here
MAX_ATTRIBUTES = 20_000  # of one span

STATUS: tuple[StatusCode, ...] = ("unset", "ok", "error")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One span that was refused, and why, in words for its sender."""

    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One body: every span of it stands in exactly one of the two lists."""

    spans: list[Span]
    rejected: list[Rejected]


class Malformed(ValueError):
    """This span cannot be read; its neighbours are not affected."""


def check_count(spans: int) -> None:
    """Refuses a body that would take far more memory than it has bytes."""
    if spans > MAX_SPANS:
        raise TooLarge(f"The body holds more than {MAX_SPANS} spans. Send smaller batches.")


def checked_times(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A start and an end that a database can hold, the end never before the start.

    A span that ends before it starts, or never, comes from a clock that stepped back or a process
    that died: the request happened and was paid for, so it is kept, with a duration of zero.
    """
    if start_ns <= 0:
        raise Malformed("the span has no start time; set startTimeUnixNano")
    if start_ns > MAX_INT64:
        raise Malformed("the start time does not fit 64 bits; send Unix time in nanoseconds")
    return start_ns, end_ns if start_ns <= end_ns <= MAX_INT64 else start_ns


def checked_status(code: int) -> StatusCode:
    """The status word; a code that the protocol does not know counts as unset."""
    return STATUS[code] if 0 <= code < len(STATUS) else "unset"


def at_both_ends(events: Sequence[Any], name: Callable[[Any], Any]) -> Sequence[Any]:
    """At most MAX_EVENTS events, the first and the last ones, and the evaluation results between them."""
    if len(events) <= MAX_EVENTS:
        return events
    half = MAX_EVENTS // 2
    between = [event for event in events[half:-half] if name(event) == RESULT]
    return [*events[:half], *between[:MAX_RESULTS], *events[-half:]]


@dataclass(frozen=True, slots=True)
class Origin:
    """What all spans of one scope share."""

    resource: Mapping[str, Any]
    scope: str = ""
    scope_version: str = ""
