"""A request as the ledger holds it: the record after the settle, its price, its standing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.errors import BadQuestion
from core.request import Content, ContextSpan, RequestRecord
from core.score import Score

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class LedgerRequest:
    """Money is integer pico-dollars, None where `pricing_status` is unpriced (then `pricing_reason` says why).

    Totals count it where `counted`; else `duplicate_of` names the request that counts in its place.
    """

    record: RequestRecord
    state: str
    counted: bool
    duplicate_of: str | None
    price_version_id: int | None
    pricing_status: str
    pricing_reason: str | None
    cost_pico: int | None
    list_pico: int | None
    received_at: datetime

    @property
    def id(self) -> str:
        """How the API and the pages name it."""
        return f"{self.record.trace_id}-{self.record.span_id}"


@dataclass(frozen=True, slots=True)
class Trace:
    """What the ledger holds of one trace; `contents` is empty where none was sent or kept, `scores` come newest
    first, and `complete` is False where the trace is longer than what is here."""

    trace_id: str
    requests: Sequence[LedgerRequest]
    spans: Sequence[ContextSpan]
    contents: Sequence[Content]
    complete: bool = True
    scores: Sequence[Score] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Requests in the order asked for, and the cursors of the pages after and before (None where there is none)."""

    items: Sequence[LedgerRequest]
    next: str | None
    previous: str | None = None


def parse_request_id(text: str) -> tuple[str, str]:
    """Trace id and span id of a request's id, `TRACE-SPAN`."""
    trace_id, _, span_id = text.lower().replace(":", "-").partition("-")
    if not (is_hex(trace_id, 32) and is_hex(span_id, 16)):
        raise BadQuestion(
            "A request's id is its trace id (32 hex digits), a hyphen and its span id (16 hex digits)."
        )
    return trace_id, span_id


def parse_trace_id(text: str) -> str:
    """A trace's id in lower case."""
    if not is_hex(text.lower(), 32):
        raise BadQuestion("A trace id is 32 hex digits.")
    return text.lower()


def is_hex(text: object, digits: int) -> bool:
    """True for exactly so many lower-case hex digits."""
    return isinstance(text, str) and len(text) == digits and set(text) <= _HEX
