"""What judging may cost a day, as a person writes it."""

from __future__ import annotations

from core.errors import BadInput, BadQuestion
from core.money import PICO, from_decimal

DAY_MAX_USD = 100_000


def budget_pico(text: str) -> int:
    """US dollars a day in pico-dollars, or a `BadQuestion` that says what to write."""
    try:
        pico, exact = from_decimal(text.strip())
    except BadInput:
        pico, exact = 0, False
    if not exact or not 0 <= pico <= DAY_MAX_USD * PICO:
        raise BadQuestion(f'The limit is US dollars a day from 0 to {DAY_MAX_USD}, such as "5.00".')
    return pico
