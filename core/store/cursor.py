"""Where a page of requests begins: opaque to its reader, and good for the one order that it was made in."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

from core.errors import BadQuestion
from core.ledger import is_hex
from core.question import RequestOrder

_MOST = 2**63


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row's place in an order. A page shows the rows after it, or before it where `back`; `value` is what the
    order goes by: None is unknown, a time is in microseconds, money in pico-dollars."""

    order: RequestOrder
    back: bool
    value: int | None
    trace_id: str
    span_id: str
    started_at: datetime


def write_cursor(cursor: Cursor) -> str:
    """The cursor as a URL holds it."""
    plain = [cursor.order.name, cursor.back, cursor.value, cursor.trace_id, cursor.span_id]
    text = json.dumps([*plain, cursor.started_at.isoformat()])
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_cursor(text: str, order: RequestOrder) -> Cursor:
    """The cursor; raises BadQuestion for what no page gave, or gave in another order."""
    try:
        name, back, value, trace_id, span_id, started_at = json.loads(base64.urlsafe_b64decode(text.encode()))
        at = datetime.fromisoformat(started_at)
        whole = value is None or (type(value) is int and -_MOST <= value < _MOST)
        known = isinstance(name, str) and isinstance(back, bool) and whole and at.tzinfo is not None
        known = known and is_hex(trace_id, 32) and is_hex(span_id, 16)
    except (ValueError, TypeError, binascii.Error, UnicodeError, RecursionError):
        known = False
    if not known:
        raise BadQuestion("This cursor is not one that a page of requests gave. Start again without it.")
    if name != order.name:
        raise BadQuestion(
            f"This cursor belongs to the order {name[:40]!r}, not to {order.name!r}. Ask for the same order and"
            " direction as before, or start again without it."
        )
    return Cursor(order, back, value, trace_id, span_id, at)
