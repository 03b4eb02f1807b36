"""Days, weeks and months on a reader's clocks, where they are changed too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadQuestion
from core.window import Window, check_zone, interval_end, last_days, midnight, parse_instant

HOUR = timedelta(hours=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Apia",
)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 3, 8), "America/New_York", 23),
        (date(2026, 11, 1), "America/Havana", 25),  # midnight itself comes twice
        (date(2023, 3, 26), "Asia/Beirut", 24),  # decided too late to change the clocks that night
        (date(2026, 3, 29), "UTC", 24),
    ],
)
def test_a_day_on_which_the_clocks_change_is_shorter_or_longer(day: date, zone: str, hours: int) -> None:
    noon = datetime(day.year, day.month, day.day, 18, tzinfo=UTC)
    window = last_days(noon, 1, zone)
    assert window.start is not None and window.end is not None
    if zone != "Asia/Beirut":
        assert window.end - window.start == hours * HOUR
    assert interval_end(window.start, "day", zone) == window.end


def test_a_day_without_a_midnight_begins_when_the_clocks_skip_it() -> None:
    # Cairo went from 00:00 straight to 01:00 on 28 April 2023: 22:00 UTC of the day before.
    assert midnight(date(2023, 4, 28), "Africa/Cairo") == datetime(2023, 4, 27, 22, tzinfo=UTC)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)), st.integers(1, 90), st.sampled_from(ZONES))
def test_the_last_days_hold_now_and_follow_one_another(at: datetime, days: int, zone: str) -> None:
    now = at.replace(tzinfo=UTC)
    window = last_days(now, days, zone)
    assert window.contains(now) and window.start is not None
    walked = window.start
    for _ in range(days):
        walked = interval_end(walked, "day", zone)
    assert walked == window.end


def test_a_date_and_a_time_without_offset_are_in_the_readers_zone() -> None:
    assert parse_instant("2026-07-01", "from", "Europe/Berlin") == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert parse_instant("2026-07-01T08:30", "from", "Europe/Berlin") == datetime(
        2026, 7, 1, 6, 30, tzinfo=UTC
    )
    assert parse_instant("2026-07-01T08:30Z", "from", "Europe/Berlin") == datetime(
        2026, 7, 1, 8, 30, tzinfo=UTC
    )
    assert parse_instant("2026-07-01", "from") == datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["", "Berlin", "europe/berlin", "Europe", "../UTC", "localtime", "UTC\0", "+01:00"]
)
def test_what_is_no_zone_is_refused_in_words(name: str) -> None:
    with pytest.raises(BadQuestion, match="is not a time zone"):
        check_zone(name)


def test_months_end_on_the_zones_calendar() -> None:
    start = midnight(date(2026, 3, 1), "Europe/Berlin")
    assert interval_end(start, "month", "Europe/Berlin") == midnight(date(2026, 4, 1), "Europe/Berlin")
    december = midnight(date(2026, 12, 1), "Europe/Berlin")
    assert interval_end(december, "month", "Europe/Berlin") == midnight(date(2027, 1, 1), "Europe/Berlin")
    assert Window(start, interval_end(start, "month", "Europe/Berlin")).contains(start)
