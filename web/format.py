"""Numbers as a person reads them. Unknown is a dash, never a zero."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from core.money import PICO, to_decimal_string

UNKNOWN = "–"
NOT_SET = "(not set)"


def dollars(pico: int | None) -> str:
    """Cents from a dollar up; below that as many digits as carry the first three that count."""
    if pico is None:
        return UNKNOWN
    if pico == 0:
        return "$0"
    amount, sign = Decimal(abs(pico)) / PICO, "-" if pico < 0 else ""
    if amount >= 1:
        return f"{sign}${amount:,.2f}"
    text = f"{amount:.{min(12, 2 - amount.adjusted())}f}".rstrip("0")
    return f"{sign}${text}" if len(text.partition(".")[2]) >= 2 else f"{sign}${amount:.2f}"


def exact(pico: int | None) -> str:
    """All digits, as the API writes them."""
    return "unknown" if pico is None else f"{to_decimal_string(pico)} USD"


def decimals(text: str) -> int:
    """How many digits stand behind the point."""
    return len(text.partition(".")[2])


def most_decimals(texts: Iterable[str]) -> int:
    """The digits behind the point of a column's longest amount."""
    return max((decimals(text) for text in texts), default=0)


def pad(text: str, digits: int) -> str:
    """The room to leave behind a number so that the decimal points of its column stand under one another:
    spaces as wide as a point and as a digit."""
    missing = digits - decimals(text)
    return "" if missing <= 0 else ("" if "." in text else "\u2008") + "\u2007" * missing


def count(value: float | int | None) -> str:
    """A whole number with thousands apart."""
    return UNKNOWN if value is None else f"{round(value):,}"


def milliseconds(value: float | None) -> str:
    """A duration given in milliseconds, in the unit that keeps it short."""
    if value is None:
        return UNKNOWN
    if round(value) < 1000:
        return f"{value:.1f} ms" if 0 < value < 9.95 else f"{value:.0f} ms"
    if round(value / 1000, 2) < 60:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def share(part: float, whole: float) -> str:
    """A percentage; 100% and 0% only where they are exact."""
    if not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if part != whole and 99.9 < percent < 100:
        return "> 99.9%"
    if part and 0 < percent < 0.1:
        return "< 0.1%"
    return f"{percent:.1f}%".replace(".0%", "%")


def moment(at: datetime | None, zone: tzinfo = UTC) -> str:
    """A time in a zone, with the zone named as it is called at that time (`CET`, `UTC`, `+03`)."""
    return UNKNOWN if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def short_id(text: str | None) -> str:
    """The head of a long id."""
    return UNKNOWN if not text else text if len(text) <= 12 else f"{text[:8]}…"


def words(name: str) -> str:
    """A dimension's name, or a reason's code, without its underscores."""
    return name if name.startswith("tag.") else name.replace("_", " ")


def change(now: int | None, before: int | None) -> str:
    """How an amount stands to the one before it; empty where there is nothing to compare."""
    if now is None or not before or before < 0:
        return ""
    if now == before:
        return "the same as"
    ratio = now / before
    if ratio >= 10:
        return f"{count(ratio)} times"
    percent = abs(ratio - 1) * 100
    size = "< 0.1%" if percent < 0.05 else f"{percent:.1f}%" if percent < 10 else f"{percent:.0f}%"
    return f"{size} {'more' if now > before else 'less'} than"
