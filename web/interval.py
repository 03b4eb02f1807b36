"""The intervals that a question over time is cut into."""

from __future__ import annotations

from datetime import datetime

from core.window import Window, interval_end


def within(start: datetime, interval: str, window: Window, zone: str = "UTC") -> Window:
    """The part of an interval that lies in the window: what its row was summed over."""
    end = interval_end(start, interval, zone)
    return Window(
        start if window.start is None else max(start, window.start),
        end if window.end is None else min(end, window.end),
    )
