"""What holds for every price, and agreement with genai-prices' own arithmetic over its whole catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import genai_prices
import pytest
from genai_prices import types as genai
from genai_prices.data import providers
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.catalogue import read_catalogue
from core.pricing.match import Clause, Matcher, clause_from_json, clause_to_json, is_match
from core.pricing.price import PriceBook, price_request
from core.request import RequestRecord
from core.usage import Usage

RECORDED = datetime(2026, 11, 1, tzinfo=UTC)
DATES = [
    datetime(2024, 6, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 11, 1, 2, 30, tzinfo=UTC),
    datetime(2027, 2, 1, 9, 59, 59, tzinfo=UTC),
]
BELOW = Usage(1_001, 203, 57, 31, 411, 89)
ABOVE = Usage(300_001, 20_003, 57, 31, 411, 89)


@cache
def book() -> PriceBook:
    catalogue = read_catalogue(RECORDED)
    return PriceBook(catalogue.versions, catalogue.models, catalogue.providers)


def request(provider: str | None, model: str, usage: Usage, moment: datetime, **more: Any) -> RequestRecord:
    started_ns = int(moment.timestamp()) * 1_000_000_000
    return RequestRecord("t", "s", started_ns, 1, provider=provider, request_model=model, usage=usage, **more)


tokens = st.integers(min_value=0, max_value=2_000_000)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens, tokens)
moments = st.datetimes(datetime(2023, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
models = st.deferred(lambda: st.sampled_from([(v.provider, v.model) for v in book().versions]))


@given(models, usages, moments, st.sampled_from([None, "flex", "priority", "batch", "fast"]))
@settings(max_examples=300, deadline=None)
def test_lines_sum_to_the_cost_and_nothing_is_negative(
    model: tuple[str, str], usage: Usage, moment: datetime, tier: str | None
) -> None:
    priced = price_request(request(*model, usage, moment, service_tier=tier), book())
    assert (priced.status == "priced") == (priced.cost_pico is not None) == (priced.reason is None)
    if priced.cost_pico is None:
        assert priced.lines == ()
        return
    assert priced.cost_pico == sum(line.pico for line in priced.lines)
    assert all(line.pico == line.tokens * line.pico_per_token >= 0 for line in priced.lines)
    counted = sum(line.tokens for line in priced.lines if line.meter != "requests")
    assert counted == (usage.input_tokens or 0) + (usage.output_tokens or 0)


@given(usages, usages, st.sampled_from([("openai", "gpt-4o-mini"), ("anthropic", "claude-opus-4-7")]))
@settings(max_examples=100, deadline=None)
def test_the_cost_of_a_sum_is_the_sum_of_costs_within_one_version(
    left: Usage, right: Usage, model: tuple[str, str]
) -> None:
    both = Usage(*(getattr(left, name) + getattr(right, name) for name in Usage.__slots__[:6]))
    costs = [
        price_request(request(*model, usage, RECORDED), book()).cost_pico for usage in (left, right, both)
    ]
    assert costs[0] + costs[1] == costs[2]  # type: ignore[operator]


@given(usages)
@settings(max_examples=100, deadline=None)
def test_within_a_tier_the_cost_is_linear_in_output(usage: Usage) -> None:
    costs = [
        price_request(
            request("google", "gemini-2.5-pro", replace(usage, visible_output=count), RECORDED), book()
        ).cost_pico
        for count in (0, 1, 2, 3)
    ]
    assert len({right - left for left, right in pairwise(costs)}) == 1  # type: ignore[operator]


@given(st.lists(st.tuples(models, usages), min_size=2, max_size=6), st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_requests_and_of_versions_changes_nothing(
    asked: list[tuple[tuple[str, str], Usage]], random: Any
) -> None:
    records = [request(*model, usage, RECORDED) for model, usage in asked]
    wanted = {(v.provider, v.model) for v in book().versions} & {model for model, _ in asked}
    versions = [version for version in book().versions if (version.provider, version.model) in wanted]
    random.shuffle(versions)
    shuffled = PriceBook(tuple(versions), book().models, book().providers, remembers=1)
    answers = {id(record): price_request(record, book()).cost_pico for record in records}
    random.shuffle(records)
    assert {id(record): price_request(record, shuffled).cost_pico for record in records} == answers


def theirs(usage: Usage) -> genai.Usage:
    """Our exclusive classes as their inclusive counts; every unit that we do not use is stated as none."""
    counts: dict[str, int] = {unit: 0 for unit in unit_data if unit != "requests"}
    counts |= {
        "input_tokens": usage.input_tokens or 0,
        "cache_read_tokens": usage.cache_read or 0,
        "cache_write_tokens": usage.cache_write or 0,
        "cache_write_5m_tokens": usage.cache_write_5m or 0,
        "cache_write_1h_tokens": usage.cache_write_1h or 0,
        "output_tokens": usage.output_tokens or 0,
        "output_reasoning_tokens": usage.reasoning or 0,
    }
    return genai.Usage(**counts)


def compare(
    provider: genai.Provider, model: genai.ModelInfo, usage: Usage, moment: datetime, context: dict[str, str]
) -> str:
    """How our cost stands to theirs; a model without an output rate is asked about input alone."""
    if vars(model.get_prices(moment)).get("output_mtok") is None:
        usage = replace(usage, visible_output=0, reasoning=0)
    tier = context.get("service_tier") or context.get("speed")
    record = request(
        provider.id,
        name_of(provider, model),
        usage,
        moment,
        service_tier=tier,
        batch=context.get("processing") == "batch",
    )
    priced = price_request(record, book())
    if priced.cost_pico is None:
        return f"unpriced: {(priced.reason or '').partition(':')[0]}"
    total = model.calc_price(
        theirs(usage), provider, genai_request_timestamp=moment, price_context=context
    ).total_price
    difference = abs(Decimal(priced.cost_pico) - total.scaleb(12))
    if difference == 0:
        return "equal"
    version = book().version_at(record)
    assert version is not None
    normalised = any(rate.normalised for tiers in version.rates.values() for rate in tiers)
    # Rounding a rate moves it by half a pico at most; float noise stays far below that.
    limit = Decimal(sum(line.tokens for line in priced.lines)) / 2
    assert normalised and difference <= limit, (provider.id, model.id, moment, priced.cost_pico, total)
    return "equal after rounding the rate to whole pico"


def name_of(provider: genai.Provider, model: genai.ModelInfo) -> str:
    """A name by which genai-prices finds the model; for 85 of them that is not their own id."""
    return next(name for name in names(model) if provider.find_model(name) is model)


def every_model() -> Iterator[tuple[genai.Provider, genai.ModelInfo]]:
    for provider in providers:
        for model in provider.models:
            yield provider, model


def test_costs_agree_with_genai_prices_for_every_model_at_every_date() -> None:
    outcomes: Counter[str] = Counter()
    for provider, model in every_model():
        for moment in DATES:
            usage = ABOVE if moment.year >= 2026 else BELOW
            outcomes[compare(provider, model, usage, moment, {})] += 1
    # They charge nothing where a model has no price, or is priced by audio, pages or characters and used
    # tokens. We say so instead.
    assert set(outcomes) == {
        "equal",
        "equal after rounding the rate to whole pico",
        "unpriced: no_price_for_model",
        "unpriced: no_rate",
    }
    without_price = sum(not vars(model.get_prices(RECORDED)) for _, model in every_model())
    assert outcomes["unpriced: no_price_for_model"] == len(DATES) * without_price
    without_input = sum(
        bool(prices := vars(model.get_prices(RECORDED))) and "input_mtok" not in prices
        for _, model in every_model()
    )
    assert outcomes["unpriced: no_rate"] == len(DATES) * without_input
    assert outcomes["equal after rounding the rate to whole pico"] < outcomes.total() / 100


def test_variants_agree_with_genai_prices_while_they_are_in_force() -> None:
    outcomes: Counter[str] = Counter()
    for provider, model in every_model():
        contexts = [variant.when for variant in model.price_variants or ()]
        for context in contexts:
            if context.keys() & {"service_tier", "processing", "speed"}:
                for usage in (BELOW, ABOVE):
                    outcomes[compare(provider, model, usage, DATES[3], context)] += 1
                    before = compare(provider, model, usage, DATES[1], context)
                    # They fall back to the standard price before the variant is known; we do not.
                    assert before in ("equal", "unpriced: no_price_for_service_tier", "unpriced: no_rate")
    # The rest are priced by audio or pages.
    assert set(outcomes) == {"equal", "unpriced: no_rate"}, outcomes
    assert outcomes["equal"] > 300


def names(model: genai.ModelInfo) -> Iterator[str]:
    """Every name spelt out in the model's clauses, and some made from them."""
    yield model.id
    stack: list[Any] = [model.match]
    while stack:
        clause = stack.pop()
        stack += getattr(clause, "or_", None) or getattr(clause, "and_", None) or []
        for attribute in ("equals", "starts_with", "ends_with", "contains"):
            if isinstance(text := getattr(clause, attribute, None), str):
                yield text
                yield f"{text}-20251211"


def genai_lookup(name: str, provider: str | None) -> tuple[str, str, str] | None:
    try:
        found, model = get_snapshot().find_provider_model(name, None, provider, None)
    except LookupError:
        return None
    owner = next(p.id for p in providers if any(m is model for m in p.models))
    return found.id, owner, model.id


def our_lookup(name: str, provider: str | None) -> tuple[tuple[str | None, ...] | None, tuple[str, ...]]:
    found = matcher().resolve(provider, None, None, name)
    return (None if found.model is None else (found.provider, found.priced_as, found.model)), found.steps


@cache
def matcher() -> Matcher:
    return Matcher(book().providers, book().models)


def test_every_name_in_the_catalogue_finds_the_model_that_genai_prices_finds() -> None:
    compared = rewritten = 0
    for provider in providers:
        for model in provider.models:
            for name in names(model):
                wanted = genai_lookup(name, provider.id)
                found, steps = our_lookup(name, provider.id)
                compared += 1
                if wanted is None and found is not None:
                    rewritten += 1
                    assert steps, (provider.id, name)  # found only by a rewriting that they do not do
                else:
                    assert found == wanted, (provider.id, name)
    assert compared > 5000
    assert rewritten < compared / 20


def test_without_a_provider_we_find_what_genai_prices_finds_and_more_where_it_is_unambiguous() -> None:
    more = 0
    for _, model in every_model():
        wanted = genai_lookup(model.id, None)
        found, steps = our_lookup(model.id, None)
        if wanted is None and found is not None:
            more += 1
            assert steps, model.id  # says by what the provider was told
        else:
            assert found == wanted, model.id
    assert more > 1000


def test_provider_names_mean_what_they_mean_to_genai_prices_except_our_aliases() -> None:
    for provider in providers:
        assert matcher().provider_named(provider.id) == provider.id
    for name in (
        "anthropic",
        "bedrock",
        "vertex",
        "mistral_ai",
        "moonshot_ai",
        "xai",
        "together_ai",
        "cohere_chat",
    ):
        theirs_ = get_snapshot().find_provider(None, name, None).id
        assert matcher().provider_named(name) == theirs_


@pytest.mark.parametrize(
    ("clause", "text", "holds"),
    [
        (Clause("equals", "a"), "a", True),
        (Clause("equals", "a"), "ab", False),
        (Clause("starts_with", "a"), "ab", True),
        (Clause("ends_with", "a"), "ab", False),
        (Clause("contains", "b"), "abc", True),
        (Clause("regex", "^a.c$"), "abc", True),
        (Clause("or", parts=(Clause("equals", "x"), Clause("equals", "a"))), "a", True),
        (Clause("and", parts=(Clause("contains", "x"), Clause("equals", "a"))), "a", False),
    ],
)
def test_each_kind_of_clause(clause: Clause, text: str, holds: bool) -> None:
    assert is_match(clause, text) is holds
    assert clause_from_json(clause_to_json(clause)) == clause


def test_compiled_prices_are_remembered_within_a_bound_and_unknown_models_too() -> None:
    small = PriceBook(book().versions, book().models, book().providers, remembers=2)
    for name in ("gpt-4o", "gpt-4o", "nonesuch", "nonesuch", "gpt-5"):
        price_request(request("openai", name, BELOW, RECORDED), small)
    info = small._find.cache_info()  # type: ignore[attr-defined]
    assert (info.hits, info.misses, info.currsize) == (2, 3, 2)


def test_the_sample_uses_the_installed_catalogue() -> None:
    assert book().versions[0].source == f"genai-prices {genai_prices.__version__}"
