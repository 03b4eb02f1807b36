"""Times as a reader gives them, in a reader's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from core.errors import BadQuestion

# Names in some copies of the zone database that are no place's.
_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})


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


def check_zone(name: str) -> str:
    """The name where it is a time zone's in the IANA database."""
    if name not in _zones():
        raise BadQuestion(
            f"zone={name[:60]!r} is not a time zone. Use a name of the IANA database, such as Europe/Berlin or UTC."
        )
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACES


def midnight(day: date, zone: str) -> datetime:
    """The first moment of a day on a zone's clocks, as aware UTC; where they skip midnight, the moment at which
    they skip it, and where they show it twice, the first."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def parse_instant(text: str | None, name: str, zone: str = "UTC") -> datetime | None:
    """An ISO 8601 date or time as aware UTC; without an offset it is what the clocks of `zone` show. None and ''
    are None."""
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
        return (at.replace(tzinfo=ZoneInfo(zone)) if at.tzinfo is None else at).astimezone(UTC)
    except OverflowError:
        raise BadQuestion(f"{name}={text[:40]!r} is out of range.") from None


def last_days(now: datetime, days: int, zone: str = "UTC") -> Window:
    """The whole days of a zone up to and including today; the days that clocks change on have 23 or 25 hours."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return Window(midnight(today - timedelta(days=days - 1), zone), midnight(today + timedelta(days=1), zone))


def interval_end(start: datetime, interval: str, zone: str = "UTC") -> datetime:
    """The first moment after the hour, day, week or month that begins at `start`, as a zone's calendar has it."""
    if interval == "hour":
        return start + timedelta(hours=1)
    day = start.astimezone(ZoneInfo(zone)).date()
    if interval == "month":
        day = day.replace(day=1)
        return midnight(
            day.replace(year=day.year + 1, month=1) if day.month == 12 else day.replace(month=day.month + 1),
            zone,
        )
    return midnight(day + timedelta(days=7 if interval == "week" else 1), zone)
