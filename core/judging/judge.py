"""A judge: the model that is asked, where it answers, and what a call may cost at most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from urllib.parse import urlsplit

from core.errors import BadQuestion
from core.judging.storable import check_storable

Kind = Literal["openai", "anthropic"]

PUBLIC_URLS: Mapping[Kind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
}
KEY_PREFIX = "TRIPOINT_JUDGE_KEY_"
"""A judge's key is a variable of the server's environment that begins so: no other secret of it can be named."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_VARIABLE = re.compile(KEY_PREFIX + r"[A-Z0-9_]{1,60}")
# No text has more tokens than bytes; the frame of a call (roles, schema) is allowed for.
_FRAME_TOKENS = 600
_PICO_PER_USD_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Judge:
    """`kind` is the wire: OpenAI's chat completions (any server that speaks it) or Anthropic's messages.

    `provider` and `model` find the price in the book, unless the two prices (US dollars for a million tokens) are
    given, which a model of one's own needs; "0" is a price. `at_once` bounds the calls under way in all workers.
    """

    name: str
    kind: Kind
    model: str
    base_url: str
    provider: str
    key_variable: str | None = None
    max_output_tokens: int = 1024
    temperature: float | None = None
    timeout_s: float = 60.0
    at_once: int = 4
    structured: bool = True
    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    id: int | None = None

    def own_rates(self) -> tuple[int, int] | None:
        """Pico-dollars for an input and an output token where the judge's own prices are given."""
        if self.input_usd_per_million is None or self.output_usd_per_million is None:
            return None
        return _rate(self.input_usd_per_million), _rate(self.output_usd_per_million)

    def dearest_tokens(self, characters_utf8: int) -> tuple[int, int]:
        """No call with a prompt of so many bytes has more (input, output) tokens than this."""
        return characters_utf8 + _FRAME_TOKENS, self.max_output_tokens


def judge_to_json(judge: Judge) -> dict[str, Any]:
    """Plain JSON that `judge_from_json` reads back, without the row's number."""
    return {name: value for name, value in asdict(judge).items() if name != "id"}


def judge_from_json(value: Any) -> Judge:
    """A judge from what a person or a file wrote, or a `BadQuestion` that says what to change."""
    if not isinstance(value, Mapping):
        raise BadQuestion("A judge is a JSON object with name, kind and model.")
    known = {field.name for field in fields(Judge)} - {"id"}
    if strange := sorted(set(value) - known):
        raise BadQuestion(f"A judge has no field {strange[0][:60]!r}. It has {', '.join(sorted(known))}.")
    check_storable(dict(value), "The judge")
    kind = next((one for one in PUBLIC_URLS if one == value.get("kind")), None)
    if kind is None:
        raise BadQuestion("kind is openai (any server that speaks chat completions) or anthropic.")
    name, model = value.get("name"), value.get("model")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadQuestion("name is up to 100 letters, digits, spaces, dots, _ and -, such as gpt-5-mini.")
    if not isinstance(model, str) or not 1 <= len(model) <= 200:
        raise BadQuestion("model is the model's name as its server wants it.")
    prices = [_price(value, of) for of in ("input_usd_per_million", "output_usd_per_million")]
    if (prices[0] is None) != (prices[1] is None):
        raise BadQuestion("Give both input_usd_per_million and output_usd_per_million, or neither.")
    return Judge(
        name=name,
        kind=kind,
        model=model,
        base_url=_url(value.get("base_url") or PUBLIC_URLS[kind]),
        provider=str(value.get("provider") or kind).strip().lower()[:100],
        key_variable=_variable(value.get("key_variable")),
        max_output_tokens=int(_number(value, "max_output_tokens", 1024, 64, 16_384)),
        temperature=None if value.get("temperature") is None else _number(value, "temperature", 0, 0, 2),
        timeout_s=_number(value, "timeout_s", 60, 1, 300),
        at_once=int(_number(value, "at_once", 4, 1, 64)),
        structured=value.get("structured", True) is True,
        input_usd_per_million=prices[0],
        output_usd_per_million=prices[1],
    )


def _url(text: Any) -> str:
    parts = urlsplit(text) if isinstance(text, str) and len(text) <= 500 else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadQuestion("base_url is such as https://api.openai.com/v1 or http://127.0.0.1:11434/v1.")
    return str(text).rstrip("/")


def _variable(text: Any) -> str | None:
    if text in (None, ""):
        return None
    if not isinstance(text, str) or not _VARIABLE.fullmatch(text):
        raise BadQuestion(
            f"key_variable names a variable of the server's environment that begins with {KEY_PREFIX},"
            f" such as {KEY_PREFIX}OPENAI. The key itself is never stored."
        )
    return text


def _number(value: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    given = value.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int | float) or not least <= given <= most:
        raise BadQuestion(f"{name} is a number from {least:g} to {most:g}.")
    return float(given)


def _price(value: Mapping[str, Any], name: str) -> str | None:
    given = value.get(name)
    if given is None or given == "":
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= 100_000:
        raise BadQuestion(f'{name} is US dollars for a million tokens, such as "0.25".')
    if amount * _PICO_PER_USD_PER_MILLION % 1:
        raise BadQuestion(f"{name} has more than six decimals.")
    return str(amount)


def _rate(usd_per_million: str) -> int:
    return int(Decimal(usd_per_million) * _PICO_PER_USD_PER_MILLION)
