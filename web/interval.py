"""The intervals that a question over time is cut into."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.window import Window

_FIXED = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def interval_end(start: datetime, interval: str) -> datetime:
    """The first moment after the interval that begins at `start`, in UTC."""
    if interval != "month":
        return start + _FIXED[interval]
    return (
        start.replace(year=start.year + 1, month=1)
        if start.month == 12
        else start.replace(month=start.month + 1)
    )


def within(start: datetime, interval: str, window: Window) -> Window:
    """The part of an interval that lies in the window: what its row was summed over."""
    end = interval_end(start, interval)
    return Window(
        start if window.start is None else max(start, window.start),
        end if window.end is None else min(end, window.end),
    )
