from __future__ import annotations

import json
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from genai_prices import types as genai
from genai_prices.data import providers

from billing.catalogue import Catalogue, read_catalogue
from core.pricing.book import SECONDS_A_DAY, PriceVersion, version_from_json, version_to_json
from core.pricing.match import model_from_json, model_to_json, provider_from_json, provider_to_json

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = datetime(2026, 11, 2, tzinfo=UTC)


@cache
def catalogue() -> Catalogue:
    return read_catalogue(FIRST)


def test_reading_twice_gives_the_same_digests_in_the_same_order() -> None:
    again = read_catalogue(SECOND)
    digests = [version.source_digest for version in catalogue().versions]
    assert digests == [version.source_digest for version in again.versions]
    assert len(set(digests)) == len(digests)
    assert (again.models, again.providers) == (catalogue().models, catalogue().providers)
    assert {version.recorded_at for version in again.versions} == {SECOND}


def seconds(version: PriceVersion) -> set[int]:
    """The whole hours and half hours of the day that the version covers."""
    begin, end = version.daily or (0, 0)
    length = (end - begin) % SECONDS_A_DAY or SECONDS_A_DAY
    return {(begin + step) % SECONDS_A_DAY // 1800 for step in range(0, length, 1800)}


def test_no_two_versions_of_a_model_and_context_hold_at_the_same_moment() -> None:
    of_model: defaultdict[tuple[str, ...], list[PriceVersion]] = defaultdict(list)
    for version in catalogue().versions:
        of_model[(version.provider, version.model, *map(str, sorted(version.context.items())))].append(
            version
        )
    early, late = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    for versions in of_model.values():
        for number, left in enumerate(versions):
            for right in versions[number + 1 :]:
                starts = max(left.valid_from or early, right.valid_from or early)
                ends = min(left.valid_to or late, right.valid_to or late)
                assert starts >= ends or not seconds(left) & seconds(right), (left, right)


def test_a_standard_price_has_no_gap() -> None:
    covered: Counter[tuple[str, str]] = Counter()
    for version in catalogue().versions:
        if not version.context and version.valid_to is None:
            covered[(version.provider, version.model)] += len(seconds(version))
    assert set(covered.values()) == {48}
    assert len(covered) == catalogue().tally.models - catalogue().tally.models_without_price


def every_price() -> Iterator[tuple[str, str, str, str]]:
    """Provider, model, price key and decimal of every price in the package, in tiers and variants too."""
    for provider in providers:
        for model in provider.models:
            lists: list[Any] = [model.prices] if isinstance(model.prices, genai.ModelPrice) else []
            lists += [price.prices for price in model.prices] if isinstance(model.prices, list) else []
            lists += [variant.prices for variant in model.price_variants or ()]
            for prices in lists:
                for key, price in vars(prices).items():
                    tiers = (
                        [price.base, *(t.price for t in price.tiers)] if hasattr(price, "tiers") else [price]
                    )
                    for decimal in tiers:
                        yield provider.id, model.id, key, str(decimal)


def test_no_price_of_the_package_is_lost() -> None:
    ours = {
        (version.provider, version.model, rate.raw)
        for version in catalogue().versions
        for tiers in version.rates.values()
        for rate in tiers
    }
    lost = {(provider, model, raw) for provider, model, _, raw in every_price()} - ours
    assert lost == set()


def test_what_is_no_version_is_counted() -> None:
    tally = catalogue().tally
    assert tally.providers == len(providers) == len(catalogue().providers)
    assert tally.models == sum(len(provider.models) for provider in providers) == len(catalogue().models)
    assert tally.versions == len(catalogue().versions)
    assert tally.empty_price_lists == tally.models_without_price
    assert tally.variants_shadowed == 0
    contexts = Counter(tuple(version.context.items()) for version in catalogue().versions if version.context)
    assert {key for ((key, _),) in contexts} == {
        "processing",
        "service_tier",
        "speed",
        "route",
        "search_type",
    }
    assert (("service_tier", "default"),) not in contexts


def test_float_noise_is_rounded_and_said_so() -> None:
    noisy = [
        rate
        for version in catalogue().versions
        for tiers in version.rates.values()
        for rate in tiers
        if rate.normalised
    ]
    assert len(noisy) == catalogue().tally.normalised_rates
    assert all(len(rate.raw) > 8 for rate in noisy if rate.per == 1_000_000)
    assert 0 < len(noisy) < catalogue().tally.rates / 100


def test_everything_survives_json() -> None:
    read = json.loads(json.dumps([version_to_json(version) for version in catalogue().versions]))
    assert tuple(map(version_from_json, read)) == catalogue().versions
    models = json.loads(json.dumps([model_to_json(model) for model in catalogue().models]))
    assert tuple(map(model_from_json, models)) == catalogue().models
    sellers = json.loads(json.dumps([provider_to_json(provider) for provider in catalogue().providers]))
    assert tuple(map(provider_from_json, sellers)) == catalogue().providers


def test_reading_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the catalogue opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert read_catalogue(FIRST).versions
