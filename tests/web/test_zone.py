"""The reader's zone, and each tier's colour."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi import Request

from web import tier
from web.zone import zone_of, zone_words

WINTER, SUMMER = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)


def asking(cookie: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", f"tripoint_zone={cookie}".encode())]})


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "UTC"])
def test_the_zone_is_the_one_that_the_browser_named(name: str) -> None:
    assert zone_of(asking(name)).key == name


@pytest.mark.parametrize(
    "name", ["", "Europe", "Mars/Base", "../../etc/passwd", "/etc/passwd", "x" * 99, "a\0b", "Factory"]
)
def test_what_is_no_zone_is_utc(name: str) -> None:
    assert zone_of(asking(name)).key == "UTC"


@pytest.mark.parametrize(
    ("name", "at", "words"),
    [
        ("UTC", WINTER, "UTC"),
        ("Europe/Berlin", WINTER, "Europe/Berlin, UTC+1"),
        ("Europe/Berlin", SUMMER, "Europe/Berlin, UTC+2"),
        ("Asia/Kathmandu", WINTER, "Asia/Kathmandu, UTC+5:45"),
        ("America/St_Johns", WINTER, "America/St_Johns, UTC-3:30"),
        ("Europe/London", WINTER, "Europe/London, UTC"),
    ],
)
def test_a_zone_is_named_with_its_distance_from_utc(name: str, at: datetime, words: str) -> None:
    assert zone_words(zone_of(asking(name)), at) == words


def test_a_tiers_colour_hangs_on_its_name_alone() -> None:
    assert [tier.colour(name) for name in ("lightweight", "standard", "premium", None)] == [
        "t1",
        "t2",
        "t3",
        "c-unset",
    ]
    assert tier.colour("Premium") == "t3" and tier.colour("gold") == tier.colour("GOLD")
    assert tier.colour("gold") in {"t4", "t5", "t6", "t7", "t8"}


def test_tiers_stand_from_the_lightest_to_the_heaviest_then_by_name() -> None:
    given = [None, "premium", "gold", "bronze", "lightweight", "standard"]
    assert tier.ordered(given) == ["lightweight", "standard", "premium", "bronze", "gold", None]
