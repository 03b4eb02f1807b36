"""Money as whole pico-dollars (1e-12 USD): exact text out, exact numbers in.

Pico is the quantum because a price of up to six decimals per million tokens is a whole number of pico per
token; nano would mis-state several per cent of published prices.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from core.errors import BadInput

PICO = 1_000_000_000_000

# Text such as "1e999999999" is a valid Decimal whose integer form would fill the memory.
_MOST_DIGITS = 26
_MOST_DECIMALS = 400


def to_decimal_string(pico: int) -> str:
    """The amount in dollars, exact: no exponent, no superfluous zeros, never "-0"."""
    whole, fraction = divmod(abs(pico), PICO)
    sign = "-" if pico < 0 else ""
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:012d}".rstrip("0")


def from_decimal(amount: str | Decimal) -> tuple[int, bool]:
    """Dollars as pico-dollars, rounded half to even, and whether that was exact.

    Raises BadInput for what is no finite amount below 1e26 dollars. Floats are refused by type: they have
    lost digits already.
    """
    if not isinstance(amount, str | Decimal):
        raise TypeError(f"money comes as text or Decimal, not {type(amount).__name__}")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        raise BadInput(f"not an amount of money: {str(amount)[:40]!r}") from None
    if not number.is_finite() or (number and number.adjusted() >= _MOST_DIGITS):
        raise BadInput(f"not an amount of money: {str(amount)[:40]!r}")
    return round_units(number, PICO, 1)


def round_units(price: Decimal, pico_per_unit_of_price: int, per: int) -> tuple[int, bool]:
    """`price * pico_per_unit_of_price / per` as a whole number, half to even, and whether that was exact.

    Integer arithmetic on the decimal's own digits, so no working precision can round a second time.
    """
    sign, digits, exponent = price.as_tuple()
    if not isinstance(exponent, int):
        raise BadInput(f"not an amount of money: {price}")
    if exponent < -_MOST_DECIMALS or exponent > _MOST_DIGITS:
        raise BadInput(f"not an amount of money: {len(digits)} digits with exponent {exponent}")
    numerator = int("".join(map(str, digits))) * pico_per_unit_of_price
    denominator = per
    if exponent >= 0:
        numerator *= 10**exponent
    else:
        denominator *= 10**-exponent
    quotient, remainder = divmod(numerator, denominator)
    double = 2 * remainder
    if double > denominator or (double == denominator and quotient % 2):
        quotient += 1
    return (-quotient if sign else quotient), remainder == 0
