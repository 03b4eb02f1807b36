"""Why a request cost what it did, line by line, for a page or the JSON API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.money import to_decimal_string
from core.pricing.book import PARENTS, REQUESTS, SECONDS_A_DAY, TOKEN_METERS, PriceVersion, Rate
from core.pricing.price import CostLine, Priced
from core.request import RequestRecord

_WHY: Mapping[str, str] = {
    "no_model": "The span names no model.",
    "unknown_provider": "No provider of the price book fits the provider's or the model's name.",
    "unknown_model": "The price book has no model of this name at this provider.",
    "no_price_for_model": "The price book knows this model but no price for it.",
    "no_price_for_service_tier": "No price for this service tier was known at that time.",
    "no_price_at_time": "No price was in force when the request started.",
    "no_rate": "The price has no rate for a class of tokens that the request used.",
    "usage_unknown": "The span does not tell the tokens that are billed.",
    "usage_negative": "The span tells a negative number of tokens.",
    "cost_out_of_range": "The token counts would cost more than the ledger can hold: nobody used so many.",
    "failed_without_usage": "The request failed and used no tokens that are known.",
    "served_from_cache": "A response cache in front of the model answered; the provider was not called.",
}


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """`quantity` units at `unit_price` dollars for `per` units make `amount` dollars, exactly."""

    meter: str
    quantity: int
    unit: str
    unit_price: str
    per: int
    pico_per_unit: int
    amount: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every amount is an exact decimal string in dollars; `None` is unknown or does not apply."""

    status: str
    reason: str | None
    why: str | None
    currency: str
    cost: str | None
    list_cost: str | None
    lines: tuple[ExplainedLine, ...]
    arithmetic: str | None
    context: Mapping[str, str]
    price: Mapping[str, Any] | None
    model: Mapping[str, Any] | None
    usage_reading: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values for the JSON API."""
        return asdict(self)


def explain(record: RequestRecord, priced: Priced, version: PriceVersion | None) -> Explanation:
    """The arithmetic behind `priced`; `version` is the one it was priced by, None where there is none."""
    lines = tuple(_line(record, line, version) for line in priced.lines)
    return Explanation(
        status=priced.status,
        reason=priced.reason,
        why=None if priced.reason is None else _WHY.get(priced.reason.partition(":")[0]),
        currency="USD",
        cost=_money(priced.cost_pico),
        list_cost=_money(priced.list_pico),
        lines=lines,
        arithmetic=_arithmetic(lines, priced),
        context=dict(priced.context),
        price=None if version is None else _price(priced, version),
        model=_model(priced),
        usage_reading=record.usage.reading,
    )


def _line(record: RequestRecord, line: CostLine, version: PriceVersion | None) -> ExplainedLine:
    tokens = line.meter in TOKEN_METERS
    per = 1_000_000 if tokens else 1
    return ExplainedLine(
        meter=line.meter,
        quantity=line.tokens,
        unit="token" if tokens else "request" if line.meter == REQUESTS else "amount",
        unit_price=to_decimal_string(line.pico_per_token * per),
        per=per,
        pico_per_unit=line.pico_per_token,
        amount=to_decimal_string(line.pico),
        note=None if version is None else _note(record, line.meter, version),
    )


def _note(record: RequestRecord, meter: str, version: PriceVersion) -> str | None:
    if meter == "reported":
        return "as reported by the provider"
    source, notes = meter, []
    while source not in version.rates and source in PARENTS:
        source = PARENTS[source]
    if source != meter:
        notes.append(f"priced as {source}: the price has no rate for {meter}")
    rate = _rate(version.rates.get(source, ()), record.usage.input_tokens or 0)
    if rate is not None and rate.above_tokens:
        notes.append(f"the rate above {rate.above_tokens} input tokens, for all of them")
    if rate is not None and rate.normalised:
        notes.append(f"rounded to whole pico from {rate.raw} for {rate.per}")
    return "; ".join(notes) or None


def _rate(tiers: tuple[Rate, ...], input_tokens: int) -> Rate | None:
    if not tiers:
        return None
    return max((rate for rate in tiers[1:] if input_tokens > rate.above_tokens), key=_above, default=tiers[0])


def _above(rate: Rate) -> int:
    return rate.above_tokens


def _arithmetic(lines: tuple[ExplainedLine, ...], priced: Priced) -> str | None:
    if priced.cost_pico is None or not lines:
        return None
    terms = (
        f"{line.quantity} × ${line.unit_price}" + (f" / {line.per:,}" if line.per != 1 else "")
        for line in lines
    )
    return f"{' + '.join(terms)} = ${to_decimal_string(priced.cost_pico)}"


def _price(priced: Priced, version: PriceVersion) -> dict[str, Any]:
    return {
        "price_version_id": priced.price_version_id,
        "layer": version.layer,
        "provider": version.provider,
        "model": version.model,
        "context": dict(version.context),
        "source": version.source,
        "source_digest": version.source_digest,
        "valid_from": None if version.valid_from is None else version.valid_from.isoformat(),
        "valid_to": None if version.valid_to is None else version.valid_to.isoformat(),
        "daily_utc": None if version.daily is None else [_clock(second) for second in version.daily],
        "recorded_at": version.recorded_at.isoformat(),
    }


def _model(priced: Priced) -> dict[str, Any] | None:
    matched = priced.matched
    if matched is None:
        return None
    return {
        "name": matched.name,
        "name_from": matched.name_field,
        "provider": matched.provider,
        "priced_as": matched.priced_as,
        "model": matched.model,
        "steps": list(matched.steps),
    }


def _clock(second: int) -> str:
    return f"{second % SECONDS_A_DAY // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d}"


def _money(pico: int | None) -> str | None:
    return None if pico is None else to_decimal_string(pico)
