"""Numbers as a person reads them. Unknown is a dash, never a zero."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from core.money import PICO

UNKNOWN = "–"


def dollars(pico: int | None) -> str:
    """Cents from a dollar up; below that as many digits as carry the first three that count."""
    if pico is None:
        return UNKNOWN
    amount = Decimal(pico) / PICO
    if amount == 0:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    digits = min(12, 2 - amount.adjusted())
    text = f"{amount:.{digits}f}"
    return f"${text.rstrip('0')}" if len(text.rstrip("0").partition(".")[2]) >= 2 else f"${amount:.2f}"


def count(value: float | int | None) -> str:
    """A whole number with thousands apart."""
    return UNKNOWN if value is None else f"{round(value):,}"


def milliseconds(value: float | None) -> str:
    """A duration given in milliseconds, in the unit that keeps it short."""
    if value is None:
        return UNKNOWN
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.2f} s"
    return f"{int(value // 60_000)} min {value % 60_000 / 1000:.0f} s"


def share(part: float, whole: float) -> str:
    """A percentage; 100 % and 0 % only where they are exact."""
    if not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if part != whole and percent > 99.9:
        return "> 99.9 %"
    if part and percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %".replace(".0 %", " %")


def moment(at: datetime | None) -> str:
    """A time in UTC, with the zone named."""
    return UNKNOWN if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short_id(text: str | None) -> str:
    """The head of a long id."""
    return UNKNOWN if not text else text if len(text) <= 12 else f"{text[:8]}…"
