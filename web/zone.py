"""The reader's time zone: page.js asks the browser and leaves its name in a cookie."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import Request

from core.errors import BadQuestion
from core.window import check_zone

COOKIE = "tripoint_zone"
UTC = ZoneInfo("UTC")


def zone_of(request: Request) -> ZoneInfo:
    """The zone that the reader's browser named; UTC where it named none, or none that is known here."""
    try:
        return ZoneInfo(check_zone(request.cookies.get(COOKIE, "")))
    except BadQuestion:
        return UTC


def zone_words(zone: ZoneInfo, now: datetime) -> str:
    """`Europe/Berlin, UTC+1`: the zone and how far it is from UTC at `now`."""
    offset = now.astimezone(zone).utcoffset()
    minutes = round(offset.total_seconds() / 60) if offset else 0
    if zone.key == "UTC":
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    written = f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
    return f"{zone.key}, {written if minutes else 'UTC'}"
