"""The public price catalogue, read from the installed genai-prices snapshot into our own immutable values.

Reads what the installed package carries and nothing else: no network, no updater. Whoever prices requests
needs only what this returns, not the package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version as installed_version
from typing import Any, NamedTuple

from genai_prices import types as genai
from genai_prices.data import providers as _bundled
from genai_prices.data_units import unit_data

from core.errors import SetupError
from core.money import PICO, round_units
from core.pricing.book import SECONDS_A_DAY, PriceVersion, Rate, sealed
from core.pricing.match import Clause, ModelMatch, ProviderMatch

# Their unit names for our exclusive token classes; every other unit keeps its own name.
_METERS: Mapping[str, str] = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_tokens": "output",
    "output_reasoning_tokens": "reasoning",
}
_CACHE_WRITE = "cache_write_tokens"  # of either lifetime, where no narrower price is given
_UNITS: Mapping[str, tuple[str, int]] = {
    unit["price_key"]: (usage_key, unit["per"]) for usage_key, unit in unit_data.items()
}
# A service tier that providers answer for "none in particular"; the catalogue lists it as an empty variant.
_NO_VARIANT = {"service_tier": "default"}

_Rates = Mapping[str, tuple[Rate, ...]]
_Window = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the catalogue held, so that nothing is left out without a number.

    A price list is one set of prices under one condition. `variants_standard` were the standard price by
    another name and are not versions of their own; `variants_shadowed` can never apply.
    """

    providers: int = 0
    models: int = 0
    models_without_price: int = 0
    price_lists: int = 0
    empty_price_lists: int = 0
    variants: int = 0
    variants_standard: int = 0
    variants_shadowed: int = 0
    versions: int = 0
    versions_by_time_of_day: int = 0
    rates: int = 0
    normalised_rates: int = 0


class Catalogue(NamedTuple):
    """Price versions, model matches and provider matches, each in a fixed order."""

    versions: tuple[PriceVersion, ...]
    models: tuple[ModelMatch, ...]
    providers: tuple[ProviderMatch, ...]
    tally: Tally


def read_catalogue(recorded_at: datetime) -> Catalogue:
    """Every provider, model, dated price, time-of-day price, tier and variant of the installed snapshot.

    The same package gives the same digests in the same order, whenever it is read.
    """
    source = f"genai-prices {installed_version('genai-prices')}"
    versions: list[PriceVersion] = []
    models: list[ModelMatch] = []
    shadowed = standard = 0
    for provider in _bundled:
        for position, model in enumerate(provider.models):
            models.append(ModelMatch(provider.id, model.id, position, _clause(model.match)))
            found = list(_versions_of(provider, model, source, recorded_at))
            versions += found
            standard += sum(_is_standard(variant) for variant in model.price_variants or ())
            shadowed += _shadowed(model, found)
    providers = tuple(_provider(provider, position) for position, provider in enumerate(_bundled))
    tally = _tally(versions, standard, shadowed)
    return Catalogue(tuple(versions), tuple(models), providers, tally)


def _versions_of(
    provider: genai.Provider, model: genai.ModelInfo, source: str, recorded_at: datetime
) -> Iterator[PriceVersion]:
    for context in _contexts(model):
        for valid_from, valid_to, window, rates in _periods(model, context):
            yield sealed(
                PriceVersion(
                    layer="catalogue",
                    provider=provider.id,
                    model=model.id,
                    recorded_at=recorded_at,
                    rates=rates,
                    context=context,
                    valid_from=_midnight(valid_from),
                    valid_to=_midnight(valid_to),
                    daily=window,
                    source=source,
                )
            )


def _contexts(model: genai.ModelInfo) -> list[dict[str, str]]:
    """The standard context, then each variant's in the catalogue's order."""
    contexts: list[dict[str, str]] = [{}]
    for variant in model.price_variants or ():
        if variant.when not in contexts and not _is_standard(variant):
            contexts.append(dict(variant.when))
    return contexts


def _periods(
    model: genai.ModelInfo, context: dict[str, str]
) -> Iterator[tuple[date | None, date | None, _Window, _Rates]]:
    """Consecutive half-open validities, each with its window of the day; equal neighbours are one."""
    starts = sorted({c.start_date for c in _constraints(model) if isinstance(c, genai.StartDateConstraint)})
    open_since: list[tuple[_Window, _Rates, date | None]] = []
    for start in (None, *starts):
        # Before the first date any day will do that none of the dates has reached.
        day = start or (starts[0] - timedelta(days=1) if starts else date(2000, 1, 1))
        now = _windows(model, context, day)
        for window, rates, since in open_since:
            if (window, rates) not in now:
                yield since, start, window, rates
        kept = [entry for entry in open_since if entry[:2] in now]
        open_since = kept + [(*new, start) for new in now if new not in [entry[:2] for entry in kept]]
    for window, rates, since in open_since:
        yield since, None, window, rates


def _windows(model: genai.ModelInfo, context: dict[str, str], day: date) -> list[tuple[_Window, _Rates]]:
    """The day's prices by window in seconds since UTC midnight; None is the whole day."""
    hours = [c for c in _constraints(model) if isinstance(c, genai.TimeOfDateConstraint)]
    cuts = sorted({0} | {_second(moment) for c in hours for moment in (c.start_time, c.end_time)})
    runs: list[tuple[int, int, _Rates]] = []
    for begin, end in zip(cuts, [*cuts[1:], SECONDS_A_DAY], strict=True):
        rates = _rates_at(model, context, datetime.combine(day, time(), UTC) + timedelta(seconds=begin))
        if runs and runs[-1][2] == rates:
            runs[-1] = (runs[-1][0], end, rates)
        else:
            runs.append((begin, end, rates))
    if len(runs) > 1 and runs[0][2] == runs[-1][2]:  # one run over midnight
        runs[0] = (runs.pop()[0], runs[0][1], runs[0][2])
    if len(runs) == 1:
        return [(None, runs[0][2])] if runs[0][2] else []
    return [((begin, end % SECONDS_A_DAY), rates) for begin, end, rates in runs if rates]


def _rates_at(model: genai.ModelInfo, context: dict[str, str], moment: datetime) -> _Rates:
    """The rates in force; empty where the context's variant is not in force or nothing is priced."""
    in_force = (v for v in model.price_variants or () if v.constraint is None or v.constraint.active(moment))
    if context and all(variant.when != context for variant in in_force):
        return {}
    priced = {}
    for price_key, price in sorted(_stated(model.get_prices(moment, context)).items()):
        if price_key not in _UNITS:
            raise SetupError(
                f"genai-prices has a price for {model.id} by a unit it does not define: {price_key}"
            )
        usage_key, per = _UNITS[price_key]
        priced[usage_key] = _tiers(price, per)
    return _by_meter(priced)


def _by_meter(priced: dict[str, tuple[Rate, ...]]) -> _Rates:
    rates = {
        _METERS.get(usage_key, usage_key): tiers
        for usage_key, tiers in priced.items()
        if usage_key != _CACHE_WRITE
    }
    if _CACHE_WRITE in priced:
        either = priced[_CACHE_WRITE]
        # Our long-lived writes fall into the short-lived ones, so a narrow short-lived price must not catch
        # them.
        if "cache_write_5m" in rates:
            rates.setdefault("cache_write_1h", either)
        else:
            rates["cache_write_5m"] = either
    return dict(sorted(rates.items()))


def _tiers(price: Decimal | genai.TieredPrices, per: int) -> tuple[Rate, ...]:
    if isinstance(price, Decimal):
        return (_rate(0, price, per),)
    return (_rate(0, price.base, per), *(_rate(tier.start, tier.price, per) for tier in price.tiers))


def _rate(above_tokens: int, price: Decimal, per: int) -> Rate:
    pico, exact = round_units(price, PICO, per)
    return Rate(above_tokens, pico, str(price), not exact, per)


def _stated(prices: genai.ModelPrice) -> dict[str, Decimal | genai.TieredPrices]:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _constraints(model: genai.ModelInfo) -> list[genai.StartDateConstraint | genai.TimeOfDateConstraint]:
    lists = [] if isinstance(model.prices, genai.ModelPrice) else [price.constraint for price in model.prices]
    variants = [variant.constraint for variant in model.price_variants or ()]
    return [constraint for constraint in (*lists, *variants) if constraint is not None]


def _shadowed(model: genai.ModelInfo, versions: list[PriceVersion]) -> int:
    contexts = [version.context for version in versions]
    variants = model.price_variants or ()
    return sum(variant.when not in contexts and not _is_standard(variant) for variant in variants)


def _is_standard(variant: genai.PriceVariant) -> bool:
    return variant.when == _NO_VARIANT and not _stated(variant.prices)


def _tally(versions: list[PriceVersion], standard: int, shadowed: int) -> Tally:
    models = [model for provider in _bundled for model in provider.models]
    lists = [
        _stated(prices)
        for model in models
        for prices in (
            [model.prices]
            if isinstance(model.prices, genai.ModelPrice)
            else [price.prices for price in model.prices]
        )
    ]
    rates = [rate for version in versions for tiers in version.rates.values() for rate in tiers]
    priced = {(version.provider, version.model) for version in versions}
    return Tally(
        providers=len(_bundled),
        models=len(models),
        models_without_price=len(models) - len(priced),
        price_lists=len(lists),
        empty_price_lists=sum(not prices for prices in lists),
        variants=sum(len(model.price_variants or ()) for model in models),
        variants_standard=standard,
        variants_shadowed=shadowed,
        versions=len(versions),
        versions_by_time_of_day=sum(version.daily is not None for version in versions),
        rates=len(rates),
        normalised_rates=sum(rate.normalised for rate in rates),
    )


def _provider(provider: genai.Provider, position: int) -> ProviderMatch:
    return ProviderMatch(
        provider=provider.id,
        position=position,
        named_by=None if provider.provider_match is None else _clause(provider.provider_match),
        serves=None if provider.model_match is None else _clause(provider.model_match),
        api_pattern=provider.api_pattern,
        falls_back_to=tuple(provider.fallback_model_providers or ()),
    )


def _clause(clause: Any) -> Clause:
    match clause:
        case genai.ClauseEquals():
            return Clause("equals", clause.equals.lower())
        case genai.ClauseStartsWith():
            return Clause("starts_with", clause.starts_with.lower())
        case genai.ClauseEndsWith():
            return Clause("ends_with", clause.ends_with.lower())
        case genai.ClauseContains():
            return Clause("contains", clause.contains.lower())
        case genai.ClauseRegex():
            return Clause("regex", clause.regex)
        case genai.ClauseOr():
            return Clause("or", parts=tuple(_clause(part) for part in clause.or_))
        case genai.ClauseAnd():
            return Clause("and", parts=tuple(_clause(part) for part in clause.and_))
    raise SetupError(f"genai-prices has a match that this release cannot read: {type(clause).__name__}")


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _second(moment: time) -> int:
    utc = datetime.combine(
        date(1970, 1, 1), moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    ).astimezone(UTC)
    return utc.hour * 3600 + utc.minute * 60 + utc.second
