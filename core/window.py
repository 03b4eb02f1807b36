"""Times as a reader gives them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.errors import BadQuestion


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, start ≤ t < end, in aware UTC; None is open on that side."""

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise BadQuestion("The window is empty: `from` must be earlier than `to`.")

    def contains(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


EVER = Window()
"""No limit on either side."""


def parse_instant(text: str | None, name: str) -> datetime | None:
    """An ISO 8601 date or time as aware UTC; without a zone it is UTC. None and '' are None."""
    if not text:
        return None
    try:
        # A '+' in a query string that nobody escaped arrives as a space.
        at = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        raise BadQuestion(
            f"{name}={text[:40]!r} is not a time. Write it as 2026-11-22 or 2026-11-22T08:30:00Z."
        ) from None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise BadQuestion(f"{name}={text[:40]!r} is out of range.") from None


def last_days(now: datetime, days: int) -> Window:
    """The whole UTC days up to and including today."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(midnight - timedelta(days=days - 1), midnight + timedelta(days=1))
