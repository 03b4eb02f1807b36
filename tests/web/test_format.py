"""Numbers as a person reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import PICO
from web import format

amounts = st.integers(-(10**20), 10**20)


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (None, "–"),
        (0, "$0"),
        (1, "$0.000000000001"),
        (13_650_000, "$0.0000136"),
        (120_000_000_000, "$0.12"),
        (999_999_999_999, "$1.00"),
        (PICO, "$1.00"),
        (1_234_567_891_234_567, "$1,234.57"),
        (-500_000_000_000, "-$0.50"),
        (-2 * PICO, "-$2.00"),
    ],
)
def test_dollars_show_cents_or_the_first_digits_that_count(pico: int | None, text: str) -> None:
    assert format.dollars(pico) == text


@given(amounts.filter(bool))
def test_no_cost_is_hidden_and_none_is_misstated_by_half_a_per_cent(pico: int) -> None:
    shown = Decimal(format.dollars(pico).replace("$", "").replace(",", ""))
    assert shown != 0
    assert abs(shown * PICO - pico) <= abs(pico) * Decimal("0.0051")


@given(amounts)
def test_the_exact_value_loses_nothing(pico: int) -> None:
    assert Decimal(format.exact(pico).removesuffix(" USD")) * PICO == pico


@given(st.lists(amounts, min_size=1, max_size=9))
def test_padding_puts_the_points_of_a_column_under_one_another(column: list[int]) -> None:
    texts = [format.dollars(pico) for pico in column]
    most = format.most_decimals(texts)
    behind = {len((text + format.pad(text, most)).replace("\u2008", ".").partition(".")[2]) for text in texts}
    assert behind == {most}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.4, "0.4 ms"),
        (9.96, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (59_999, "1 min 0 s"),
        (119_999, "2 min 0 s"),
        (3_600_000, "1 h 0 min"),
    ],
)
def test_durations_never_show_sixty_of_a_smaller_unit(value: float | None, text: str) -> None:
    assert format.milliseconds(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "–"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (99_999, 100_000, "> 99.9%"),
        (1, 100_000, "< 0.1%"),
        (1, 3, "33.3%"),
    ],
)
def test_a_share_is_all_or_nothing_only_where_it_is(part: int, whole: int, text: str) -> None:
    assert format.share(part, whole) == text


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (None, 5, ""),
        (5, None, ""),
        (5, 0, ""),
        (5, 5, "the same as"),
        (112, 100, "12% more than"),
        (965, 1000, "3.5% less than"),
        (100_001, 100_000, "< 0.1% more than"),
        (0, 5, "100% less than"),
        (5000, 5, "1,000 times"),
    ],
)
def test_a_change_is_said_only_where_there_is_something_to_compare(
    now: int | None, before: int | None, words: str
) -> None:
    assert format.change(now, before) == words
