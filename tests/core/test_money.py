from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.money import from_decimal, round_units, to_decimal_string


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (123_000_000, "0.000123"),
        (1_000_000_000_000, "1"),
        (1_500_000_000_000, "1.5"),
        (10_000_000_000_000, "10"),
        (-13_650_000, "-0.00001365"),
        (9_223_372_036_854_775_807, "9223372.036854775807"),
    ],
)
def test_an_amount_is_written_exactly_and_without_superfluous_zeros(pico: int, text: str) -> None:
    assert to_decimal_string(pico) == text


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_an_amount_survives_being_written_and_read(pico: int) -> None:
    assert from_decimal(to_decimal_string(pico)) == (pico, True)


@pytest.mark.parametrize(
    ("text", "pico", "exact"),
    [
        ("0.15", 150_000_000_000, True),
        ("1e-12", 1, True),
        ("1.50", 1_500_000_000_000, True),
        ("0.0000000000005", 0, False),
        ("0.0000000000015", 2, False),
        ("0.0000000000025", 2, False),
        ("-0.0000000000015", -2, False),
        ("0.00000000000050000000000000000000000000000001", 1, False),
        (" 3 ", 3_000_000_000_000, True),
        ("-0", 0, True),
    ],
)
def test_rounding_is_half_to_even_and_is_told(text: str, pico: int, exact: bool) -> None:
    assert from_decimal(text) == (pico, exact)
    assert from_decimal(Decimal(text)) == (pico, exact)


@pytest.mark.parametrize(
    "text", ["", "free", "NaN", "Infinity", "1e400", "1e999999999", "1e-999999999", "$3"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        from_decimal(text)


def test_a_float_is_refused_because_it_has_lost_digits_already() -> None:
    with pytest.raises(TypeError):
        from_decimal(0.1)  # type: ignore[arg-type]


def test_a_price_for_many_units_becomes_pico_for_one() -> None:
    assert round_units(Decimal("0.15"), 10**12, 1_000_000) == (150_000, True)
    assert round_units(Decimal("0.18000000000000002"), 10**12, 1_000_000) == (180_000, False)
    assert round_units(Decimal("0.111"), 10**12, 3600) == (30_833_333, False)
