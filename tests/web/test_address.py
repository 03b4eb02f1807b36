"""The state of a page lives in its address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadQuestion
from core.question import DIMENSIONS, METRICS
from core.window import Window, interval_end
from web.address import PERIODS, Address, came_from_form, parse_address
from web.interval import within

FIXED = {"streaming", "status", "pricing_status", "state", "http_status", "cascade_step", "attempt"}
NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
# Those that hold any text.
dimensions = st.sampled_from([name for name in (*DIMENSIONS, "tag.team") if name not in FIXED])
values = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
)
days = st.dates(datetime(2020, 1, 1).date(), datetime(2030, 1, 1).date()).map(str)
addresses = st.builds(
    Address,
    last=st.sampled_from(list(PERIODS)),
    group_by=st.lists(dimensions, min_size=1, max_size=4, unique=True).map(tuple),
    interval=st.sampled_from(["", "hour", "day", "week", "month"]),
    metric=st.sampled_from(["", *METRICS]),
    order=st.sampled_from(["", *METRICS]),
    direction=st.sampled_from(["", "asc", "desc"]),
    offset=st.integers(0, 10_000_000),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    zone_named=st.just(True),
    cursor=st.sampled_from(["", "WyIyMDI2Il0="]),
    filters=st.dictionaries(
        dimensions, st.lists(values, min_size=1, max_size=3, unique=True).map(tuple), max_size=3
    ),
) | st.builds(Address, start=days, end=days)


@given(addresses)
def test_an_address_survives_its_own_query_string(address: Address) -> None:
    again = parse_address(parse_qsl(address.query()))
    assert again.query() == address.query()
    assert {name: set(found) for name, found in again.filters.items()} == {
        name: set(found) for name, found in address.filters.items()
    }
    assert not came_from_form(parse_qsl(address.query(), keep_blank_values=True))


@given(addresses, dimensions, values)
def test_a_filter_that_is_added_and_removed_leaves_no_trace(
    address: Address, name: str, value: str | None
) -> None:
    plain = address.unfiltered()
    assert plain.offset == 0 and plain.cursor == ""
    assert plain.only([(name, value)]).without(name, value) == plain


def test_a_form_says_a_filter_in_two_fields_and_moves_on_to_the_short_address() -> None:
    pairs = [("last", "7"), ("from", ""), ("where", "feature"), ("is", "a & b"), ("feature", "c")]
    assert came_from_form(pairs)
    assert parse_address(pairs).query() == "last=7&feature=c&feature=a+%26+b"


def test_a_filter_without_a_value_means_not_set() -> None:
    assert parse_address([("where", "user"), ("is", "")]).filters == {"user": (None,)}


def test_dates_win_over_a_period() -> None:
    address = parse_address([("last", "7"), ("from", "2026-11-01"), ("to", "2026-12-01")])
    assert address.window(NOW) == Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert address.query() == "from=2026-11-01&to=2026-12-01"


def test_dates_and_days_are_the_readers_own_unless_the_address_names_a_zone() -> None:
    berlin = parse_address([("from", "2026-03-29"), ("to", "2026-03-30")], zone="Europe/Berlin")
    # The clocks go forward that night: the day has 23 hours.
    assert berlin.window(NOW) == Window(
        datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)
    )
    assert berlin.query() == "from=2026-03-29&to=2026-03-30"
    assert berlin.question(NOW, ("requests",), 10).zone == "Europe/Berlin"
    named = parse_address([("last", "1"), ("zone", "Asia/Kathmandu")], zone="Europe/Berlin")
    assert named.window(NOW).start == datetime(2026, 11, 21, 18, 15, tzinfo=UTC)
    assert named.query() == "last=1&zone=Asia%2FKathmandu"


def test_an_interval_of_another_zone_is_said_in_that_zones_dates() -> None:
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)  # the 25th in Berlin, of 25 hours
    narrowed = Address(zone="Europe/Berlin").within(within(start, "day", Window(), "Europe/Berlin"))
    assert (narrowed.start, narrowed.end) == ("2026-10-25", "2026-10-26")
    assert narrowed.window(NOW) == Window(start, start + timedelta(hours=25))


def test_the_metric_that_orders_is_among_the_answers() -> None:
    assert "users" in Address(order="users").question(NOW, ("requests",), 10).metrics


@pytest.mark.parametrize(
    "pair",
    [
        ("last", "8"),
        ("featre", "x"),
        ("where", "featre"),
        ("feature", "a\0"),
        ("zone", "Europe/Berln"),
        ("zone", "../etc/passwd"),
        ("direction", "up"),
        ("offset", "-1"),
        ("offset", "10000001"),
        ("offset", "٣"),
        ("streaming", "TRUE"),
        ("http_status", "abc"),
    ],
)
def test_what_no_page_understands_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadQuestion):
        parse_address([pair])


@pytest.mark.parametrize(
    ("interval", "end"),
    [("hour", (2026, 12, 1, 1)), ("day", (2026, 12, 2)), ("week", (2026, 12, 8)), ("month", (2027, 1, 1))],
)
def test_an_interval_ends_where_the_next_begins(interval: str, end: tuple[int, ...]) -> None:
    assert interval_end(datetime(2026, 12, 1, tzinfo=UTC), interval) == datetime(*end, tzinfo=UTC)  # type: ignore[misc]


def test_the_requests_behind_an_interval_stay_inside_the_window() -> None:
    window = Window(datetime(2026, 11, 18, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert within(datetime(2026, 11, 16, tzinfo=UTC), "week", window) == window
    assert Address().within(window).query() == "from=2026-11-18&to=2026-11-20T12%3A00%3A00Z"
