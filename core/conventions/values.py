"""Attribute values as they arrive → one clean type each, or None where the value says nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import orjson

Reader = Callable[[Any], Any]

MAX_LABEL = 512  # names of people, models and places; content is not cut here
MAX_TOKENS = 10_000_000_000  # beyond any call, and small enough that prices times tokens fit 64 bits
MAX_REPORTED_USD = 1_000_000
MAX_JSON = 1_000_000

# Most texts are no JSON at all, and a parser's error costs more than this look.
_OPENS = re.compile(r"\s*[\[{]")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


def label(value: Any) -> str | None:
    """A short name; empty and missing are the same, and a whole number is a name too."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        value = str(value)
    # values dug out of JSON text can still hide a NUL, which PostgreSQL refuses
    text: str = value[:MAX_LABEL].replace("\0", "").strip()
    return text or None


def word(value: Any) -> str | None:
    """A label in lower case."""
    text = label(value)
    return text.lower() if text else None


def whole(value: Any) -> int | None:
    """An integer that came as an integer, a double or a numeric string; it may be negative."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 32 else None
        except ValueError:
            return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    return None


def count(value: Any) -> int | None:
    """A number of tokens; negative or absurd ones are unknown."""
    number = whole(value)
    return number if number is not None and 0 <= number <= MAX_TOKENS else None


def small(value: Any) -> int | None:
    """A step or a number of attempts."""
    number = whole(value)
    return number if number is not None and 0 <= number <= 1_000_000 else None


def http_status(value: Any) -> int | None:
    """An HTTP status code."""
    number = whole(value)
    return number if number is not None and 100 <= number <= 599 else None


def number(value: Any) -> float | None:
    """A finite number that came as a number or a numeric string."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def flag(value: Any) -> bool | None:
    """A truth value, also where a library spelled it out."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def seconds(value: Any) -> int | None:
    """Nanoseconds from an attribute whose name means seconds."""
    return _nanoseconds(value, 1e9)


def milliseconds(value: Any) -> int | None:
    """Nanoseconds from an attribute whose name means milliseconds."""
    return _nanoseconds(value, 1e6)


def _nanoseconds(value: Any, unit: float) -> int | None:
    amount = number(value)
    if amount is None or amount < 0 or amount * unit >= 2**63:
        return None
    return round(amount * unit)


def dollars(value: Any) -> int | None:
    """Pico-dollars from a client's own estimate; NaN, infinite and negative ones are unknown."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = Decimal(str(value)[:64].strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= MAX_REPORTED_USD:
        return None
    return int(amount.scaleb(12).to_integral_value())


def finish_reason(value: Any) -> str | None:
    """The first reason of a list, of a list written as JSON text, or of plain text."""
    if isinstance(value, str) and value[:1] == "[":
        value = parsed(value)
    if isinstance(value, list):
        value = next((reason for reason in value if reason), None)
    return word(value) if isinstance(value, str) else None


def host(value: Any) -> str | None:
    """The host part of an address or URL."""
    text = label(value)
    if text is None or "://" not in text:
        return text
    try:
        return urlsplit(text).hostname
    except ValueError:
        return None


def parsed(value: Any) -> Any:
    """The object or list that a JSON attribute holds; None where it is too large, cut off or neither."""
    if isinstance(value, (dict, list)):
        return value
    if not isinstance(value, str) or len(value) > MAX_JSON or not _OPENS.match(value):
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
