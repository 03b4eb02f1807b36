"""Money worked by hand: dollars for a million tokens are pico-dollars times 1e6 for one token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from billing.catalogue import read_catalogue
from core.errors import BadInput
from core.pricing.book import ANY_MODEL, PriceVersion, Rate, sealed, version_from_json, version_to_json
from core.pricing.explain import explain
from core.pricing.price import CostLine, PriceBook, price_request
from core.request import RequestRecord
from core.usage import UNKNOWN, Usage

RECORDED = datetime(2026, 11, 1, tzinfo=UTC)


def ns(year: int, month: int, day: int, *clock: int) -> int:
    return int(datetime(year, month, day, *clock, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc, arg-type]


NOW = ns(2026, 11, 1, 12)


@cache
def book() -> PriceBook:
    catalogue = read_catalogue(RECORDED)
    numbered = tuple(replace(version, id=number) for number, version in enumerate(catalogue.versions, 1))
    return PriceBook(numbered, catalogue.models, catalogue.providers)


def with_versions(*more: PriceVersion) -> PriceBook:
    return PriceBook((*book().versions, *more), book().models, book().providers)


def request(provider: str | None, model: str | None, usage: Usage, **more: Any) -> RequestRecord:
    values: dict[str, Any] = {"started_ns": NOW, "operation": "chat", "response_model": model} | more
    return RequestRecord("t", "s", values.pop("started_ns"), 1, provider=provider, usage=usage, **values)


def own(layer: Any, provider: str, model: str, dollars: dict[str, str], **more: Any) -> PriceVersion:
    rates = {meter: (Rate(0, int(Decimal(price) * 1_000_000), price),) for meter, price in dollars.items()}
    return PriceVersion(layer, provider, model, RECORDED, rates, **more)


SMALL = Usage(uncached_input=23, visible_output=17)
THOUSAND = Usage(uncached_input=1000, visible_output=1000)


def test_input_and_output_each_at_their_rate() -> None:
    priced = price_request(request("openai", "gpt-4o-mini-2024-07-18", SMALL), book())
    # 23 × $0.15/M + 17 × $0.60/M = $0.00000345 + $0.0000102
    assert priced.lines == (
        CostLine("input", 23, 150_000, 3_450_000),
        CostLine("output", 17, 600_000, 10_200_000),
    )
    assert (priced.status, priced.reason, priced.cost_pico) == ("priced", None, 13_650_000)
    assert priced.list_pico == 13_650_000
    assert priced.price_version_id is not None


def test_cached_input_is_cheaper_and_not_counted_twice() -> None:
    usage = Usage(uncached_input=256, cache_read=1792, visible_output=64, reading="inclusive")
    priced = price_request(request("openai", "gpt-4o-mini", usage), book())
    # 256 × 0.15 + 1792 × 0.075 + 64 × 0.60 = 38.4 + 134.4 + 38.4 = 211.2 millionths of a dollar
    assert priced.cost_pico == 211_200_000


def test_anthropic_cache_reads_and_both_kinds_of_writes() -> None:
    usage = Usage(120, 1500, 200, 100, 64, None)
    priced = price_request(request("anthropic", "claude-sonnet-4-5-20250929", usage), book())
    # 120 × 3 + 1500 × 0.30 + 200 × 3.75 + 100 × 6 + 64 × 15 = 360 + 450 + 750 + 600 + 960 = 3120
    assert priced.cost_pico == 3_120_000_000
    assert [line.pico for line in priced.lines] == [
        360_000_000,
        450_000_000,
        750_000_000,
        600_000_000,
        960_000_000,
    ]


@pytest.mark.parametrize(
    ("tokens", "dollars"),
    [(200_000, 250_100_000_000), (200_001, 500_152_500_000)],
    # 200000 × 1.25/M + 10 × 10/M = 0.25 + 0.0001;  200001 × 2.50/M + 10 × 15/M = 0.5000025 + 0.00015
)
def test_one_token_over_the_threshold_moves_all_tokens(tokens: int, dollars: int) -> None:
    usage = Usage(uncached_input=tokens, visible_output=10)
    assert price_request(request("google", "gemini-2.5-pro", usage), book()).cost_pico == dollars


def test_cached_tokens_count_towards_the_threshold() -> None:
    usage = Usage(uncached_input=1, cache_read=200_000, visible_output=0)
    # over 200000 in all: 1 × 2.50/M + 200000 × 0.25/M
    assert price_request(request("google", "gemini-2.5-pro", usage), book()).cost_pico == 50_002_500_000


def test_a_price_holds_from_the_day_it_starts() -> None:
    usage = Usage(uncached_input=1000, visible_output=1000)
    before = request("openai", "o3", usage, started_ns=ns(2025, 6, 10) - 1)
    # before: 1000 × 10/M + 1000 × 40/M = 0.05; after: 1000 × 2/M + 1000 × 8/M = 0.01
    assert price_request(before, book()).cost_pico == 50_000_000_000
    after = replace(before, started_ns=ns(2025, 6, 10))
    assert price_request(after, book()).cost_pico == 10_000_000_000


@pytest.mark.parametrize(
    ("moment", "pico"),
    [((0, 59, 59), 660_000), ((1, 0, 0), 1_320_000), ((4, 0, 0), 660_000), ((6, 0, 0), 1_320_000)],
)
def test_a_price_by_the_time_of_day_changes_on_the_second(moment: tuple[int, int, int], pico: int) -> None:
    at = request(
        "deepseek", "deepseek-v4-pro", Usage(1, visible_output=0), started_ns=ns(2026, 11, 1, *moment)
    )
    assert price_request(at, book()).cost_pico == pico


def test_a_flex_request_pays_the_flex_price_and_none_before_that_price_is_known() -> None:
    flex = request("openai", "gpt-5", THOUSAND, service_tier="flex")
    # half of 1000 × 1.25/M + 1000 × 10/M
    assert price_request(flex, book()).cost_pico == 5_625_000_000
    early = price_request(replace(flex, started_ns=ns(2026, 10, 11, 23, 59, 59)), book())
    assert (early.status, early.reason, early.cost_pico) == (
        "unpriced",
        "no_price_for_service_tier:flex",
        None,
    )
    assert price_request(replace(flex, started_ns=ns(2026, 10, 12)), book()).cost_pico == 5_625_000_000


def test_a_batch_request_pays_the_batch_price_however_it_is_told() -> None:
    plain = request("anthropic", "claude-sonnet-4-5", Usage(1000, visible_output=1000))
    # half of 1000 × 3/M + 1000 × 15/M
    assert price_request(replace(plain, batch=True), book()).cost_pico == 9_000_000_000
    assert price_request(replace(plain, service_tier="batch"), book()).cost_pico == 9_000_000_000
    assert (
        price_request(replace(plain, batch=True, service_tier="standard"), book()).cost_pico == 9_000_000_000
    )
    both = price_request(replace(plain, batch=True, service_tier="priority"), book())
    assert both.reason == "no_price_for_service_tier:priority+batch"


@pytest.mark.parametrize("tier", [None, "", "default", "Standard", "auto", "on_demand", "ON-DEMAND"])
def test_the_standard_tier_has_many_names(tier: str | None) -> None:
    assert price_request(request("openai", "gpt-5", SMALL, service_tier=tier), book()).context == {}


def test_an_unknown_tier_is_unpriced_rather_than_standard() -> None:
    priced = price_request(request("openai", "gpt-5", SMALL, service_tier="scale"), book())
    assert (priced.reason, priced.cost_pico, priced.list_pico) == (
        "no_price_for_service_tier:scale",
        None,
        None,
    )


def test_a_reseller_does_not_inherit_the_makers_discount() -> None:
    flex = request("azure", "gpt-5", SMALL, service_tier="flex")
    assert price_request(flex, book()).reason == "no_price_for_service_tier:flex"
    assert price_request(replace(flex, service_tier=None), book()).status == "priced"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (request("openai", None, SMALL), "no_model"),
        (request("openai", "", SMALL, request_model=" "), "no_model"),
        (request("acme", "gpt-4o", SMALL), "unknown_provider"),
        (request(None, "nobody-knows-this", SMALL), "unknown_provider"),
        (request("openai", "gpt-nine", SMALL), "unknown_model"),
        (request(None, "gpt-nine", SMALL), "unknown_model"),
        (request(None, "openai/gpt-nine", SMALL), "unknown_model"),
        (request("openai", "gpt-4o", UNKNOWN), "usage_unknown"),
        (request("openai", "gpt-4o", Usage(uncached_input=5)), "usage_unknown"),
        (request("openai", "gpt-4o", Usage(visible_output=5)), "usage_unknown"),
        (request("openai", "gpt-4o", UNKNOWN, status="aborted"), "usage_unknown"),
        (request("openai", "gpt-4o", UNKNOWN, status="error"), "failed_without_usage"),
        (request("openai", "gpt-4o", Usage(-1, visible_output=5)), "usage_negative"),
        (request("openai", "text-embedding-3-small", SMALL), "no_rate:output"),
    ],
)
def test_what_cannot_be_priced_has_a_reason_and_no_number(record: RequestRecord, reason: str) -> None:
    priced = price_request(record, book())
    assert (priced.status, priced.reason) == ("unpriced", reason)
    assert (priced.cost_pico, priced.list_pico, priced.price_version_id, priced.lines) == (
        None,
        None,
        None,
        (),
    )


def test_a_failed_request_that_used_tokens_is_billed() -> None:
    assert (
        price_request(request("openai", "gpt-4o-mini", SMALL, status="error"), book()).cost_pico == 13_650_000
    )


def test_an_embedding_has_no_output_to_wait_for() -> None:
    record = request("openai", "text-embedding-3-small", Usage(uncached_input=1000), operation="embeddings")
    assert price_request(record, book()).cost_pico == 20_000_000  # 1000 × 0.02/M
    assert price_request(replace(record, operation=None), book()).cost_pico == 20_000_000


def test_an_answer_from_a_response_cache_costs_nothing_and_says_so() -> None:
    priced = price_request(request("openai", "gpt-4o", SMALL, cache="exact"), book())
    assert (priced.status, priced.reason, priced.cost_pico) == ("priced", "served_from_cache", 0)
    assert (
        price_request(request("openai", "gpt-4o-mini", SMALL, cache="prefix"), book()).cost_pico == 13_650_000
    )


def test_reasoning_costs_what_output_costs_unless_it_has_its_own_rate() -> None:
    usage = Usage(uncached_input=0, visible_output=10, reasoning=90)
    assert price_request(request("openai", "o3", usage), book()).cost_pico == 100 * 8_000_000
    search = request("perplexity", "sonar-deep-research", usage)
    # 10 × 8/M + 90 × 3/M
    assert [line[:4] for line in price_request(search, book()).lines][:2] == [
        ("output", 10, 8_000_000, 80_000_000),
        ("reasoning", 90, 3_000_000, 270_000_000),
    ]


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [
        ("openai", "gpt-5.2-20251211", ("openai", "gpt-5.2")),
        ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("gcp.gen_ai", "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("vertex_ai", "claude-sonnet-4-5@20250929", ("google", "claude-sonnet-4-5")),
        ("azure.ai.openai", "gpt-4.1", ("openai", "gpt-4.1")),
        ("litellm", "anthropic/claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        (None, "gpt-4o", ("openai", "gpt-4o")),
        (None, "openai/gpt-4o", ("openai", "gpt-4o")),
        (None, "text-embedding-3-small", ("openai", "text-embedding-3-small")),
        ("OpenAI", "GPT-4o", ("openai", "gpt-4o")),
        (
            "aws.bedrock",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ("aws", "regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ),
        (
            "bedrock",
            "bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ("aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ),
    ],
)
def test_names_on_the_wire_find_their_model(provider: str | None, model: str, found: tuple[str, str]) -> None:
    matched = price_request(request(provider, model, SMALL), book()).matched
    assert matched is not None
    assert (matched.priced_as, matched.model) == found


def test_the_host_sends_the_bill_whatever_the_client_library_calls_itself() -> None:
    record = request("openai", "openai/gpt-4o", SMALL, server_address="openrouter.ai")
    matched = price_request(record, book()).matched
    assert matched is not None
    assert matched.provider == "openrouter"
    local = replace(record, server_address="127.0.0.1")
    matched = price_request(local, book()).matched
    assert matched is not None
    assert matched.provider == "openai"


def test_the_model_that_answered_is_priced_not_the_one_asked_for() -> None:
    record = request("openai", "gpt-4o-mini", SMALL, request_model="gpt-4o")
    assert price_request(record, book()).cost_pico == 13_650_000
    other = price_request(replace(record, response_model="llama-9", request_model="gpt-4o-mini"), book())
    assert other.reason == "unknown_model"
    snapshot = replace(record, response_model="gpt-4o-mini-2031-01-01", request_model="gpt-4o-mini")
    assert price_request(snapshot, book()).cost_pico == 13_650_000
    asked = price_request(replace(record, response_model=None), book()).matched
    assert asked is not None
    assert (asked.name, asked.name_field) == ("gpt-4o", "request_model")


def test_a_contract_is_charged_and_the_list_price_is_kept_beside_it() -> None:
    contract = own("contract", "openai", "gpt-4o-mini", {"input": "0.10", "output": "0.40"}, id=9001)
    priced = price_request(request("openai", "gpt-4o-mini", SMALL), with_versions(contract))
    assert (priced.cost_pico, priced.list_pico, priced.price_version_id) == (9_100_000, 13_650_000, 9001)


def test_a_contract_with_a_reseller_beats_the_makers_list_price() -> None:
    contract = own("contract", "azure", "gpt-4.1", {"input": "1", "output": "4"}, id=9001)
    priced = price_request(request("azure", "gpt-4.1", THOUSAND), with_versions(contract))
    assert (priced.cost_pico, priced.list_pico) == (5_000_000_000, 10_000_000_000)


def test_outside_a_contracts_dates_the_list_price_holds() -> None:
    contract = own(
        "contract",
        "openai",
        "gpt-4o-mini",
        {"input": "0.10", "output": "0.40"},
        valid_from=datetime(2026, 11, 2, tzinfo=UTC),
        valid_to=datetime(2026, 11, 3, tzinfo=UTC),
    )
    costs = [
        price_request(
            request("openai", "gpt-4o-mini", SMALL, started_ns=at), with_versions(contract)
        ).cost_pico
        for at in (ns(2026, 11, 2) - 1, ns(2026, 11, 2), ns(2026, 11, 3) - 1, ns(2026, 11, 3))
    ]
    assert costs == [13_650_000, 9_100_000, 9_100_000, 13_650_000]


def test_a_self_hosted_model_needs_no_match_of_its_own() -> None:
    ours = own("self_hosted", "vllm", "Llama-Ours", {"input": "0.2", "output": "0.2"})
    priced = price_request(request("vllm", "llama-ours", SMALL), with_versions(ours))
    assert (priced.cost_pico, priced.list_pico) == (40 * 200_000, None)


def test_a_price_not_yet_in_force_is_no_price() -> None:
    later = own("self_hosted", "vllm", "ours", {"input": "1"}, valid_from=datetime(2027, 1, 1, tzinfo=UTC))
    assert price_request(request("vllm", "ours", SMALL), with_versions(later)).reason == "no_price_at_time"


def test_of_two_prices_of_one_layer_the_one_recorded_last_speaks() -> None:
    old = own("correction", "openai", "gpt-4o-mini", {"input": "1", "output": "1"}, id=1)
    new = own("correction", "openai", "gpt-4o-mini", {"input": "2", "output": "2"}, id=2)
    later = replace(new, recorded_at=datetime(2026, 11, 2, tzinfo=UTC))
    for versions in ((old, later), (later, old)):
        assert (
            price_request(request("openai", "gpt-4o-mini", SMALL), with_versions(*versions)).cost_pico
            == 80_000_000
        )


def test_a_trusted_report_is_taken_unless_there_is_a_contract_or_no_figure() -> None:
    trust = PriceVersion("reported", "openrouter", ANY_MODEL, RECORDED, id=7)
    record = request("openrouter", "someone/new-model", SMALL, cost_reported_pico=42)
    priced = price_request(record, with_versions(trust))
    assert (priced.cost_pico, priced.price_version_id) == (42, 7)
    assert priced.lines == (CostLine("reported", 1, 42, 42),)
    assert (
        price_request(replace(record, cost_reported_pico=0), with_versions(trust)).reason == "unknown_model"
    )
    assert price_request(record, book()).reason == "unknown_model"
    contract = own("contract", "openrouter", "someone/new-model", {"input": "1", "output": "1"})
    assert price_request(record, with_versions(trust, contract)).cost_pico == 40_000_000


def test_an_explanation_shows_the_arithmetic_and_its_source() -> None:
    record = request("openai", "gpt-4o-mini-2024-07-18", SMALL)
    why = explain(record, price_request(record, book()), book().version_at(record)).as_json()
    assert why["arithmetic"] == "23 × $0.15 / 1,000,000 + 17 × $0.6 / 1,000,000 = $0.00001365"
    assert why["cost"] == "0.00001365"
    assert [line["amount"] for line in why["lines"]] == ["0.00000345", "0.0000102"]
    assert why["price"]["source"].startswith("genai-prices ")
    assert len(why["price"]["source_digest"]) == 64
    assert why["model"]["name"] == "gpt-4o-mini-2024-07-18"
    assert why["model"]["name_from"] == "response_model"
    assert why["model"]["model"] == "gpt-4o-mini"


def test_an_explanation_says_which_tier_and_which_parent_rate_applied() -> None:
    record = request("google", "gemini-2.5-pro", Usage(200_001, visible_output=1, reasoning=9))
    lines = explain(record, price_request(record, book()), book().version_at(record)).lines
    assert [line.note for line in lines] == [
        "the rate above 200000 input tokens, for all of them",
        "the rate above 200000 input tokens, for all of them",
        "priced as output: the price has no rate for reasoning; "
        "the rate above 200000 input tokens, for all of them",
    ]


def test_an_unpriced_request_is_explained_too() -> None:
    record = request("openai", "gpt-5", SMALL, service_tier="scale")
    why = explain(record, price_request(record, book()), None)
    assert (why.cost, why.arithmetic, why.price) == (None, None, None)
    assert why.reason == "no_price_for_service_tier:scale"
    assert why.why == "No price for this service tier was known at that time."


def test_a_version_survives_json_and_its_digest_covers_the_content_alone() -> None:
    version = sealed(
        own("contract", "openai", "gpt-4o", {"input": "1"}, daily=(3600, 60), context={"a": "b"})
    )
    assert version_from_json(version_to_json(version)) == version
    again = replace(version, id=5, source="x", recorded_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert sealed(again).source_digest == version.source_digest
    assert sealed(replace(version, daily=None)).source_digest != version.source_digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "OpenAI"},
        {"valid_from": datetime(2026, 1, 1)},
        {"valid_from": RECORDED, "valid_to": RECORDED},
        {"daily": (5, 5)},
        {"daily": (0, 86_400)},
        {"rates": {"input": ()}},
        {"rates": {"input": (Rate(0, -1, "-1"),)}},
    ],
)
def test_an_impossible_price_cannot_be_made(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"layer": "contract", "provider": "p", "model": "m", "recorded_at": RECORDED}
    PriceVersion(**right)
    with pytest.raises(BadInput):
        PriceVersion(**(right | wrong))
