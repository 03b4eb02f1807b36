"""28,185 real requests of two production services, sent as spans: every sum is exact, whoever asks and however."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlalchemy import Engine

from core.question import DIMENSIONS
from tests import otlp_protobuf
from tests.conftest import SHARED, Project, Server, make_project

TRACES = SHARED / "data" / "azure_llm_2023"
if not TRACES.is_dir():
    pytest.skip(f"the Azure traces are not at {TRACES}", allow_module_level=True)

pytestmark = pytest.mark.slow

# Public prices in dollars a million tokens: gpt-4o-mini 0.15 in and 0.60 out, gpt-4.1 2.00 in and 8.00 out.
# A dollar a million tokens is a million pico-dollars a token.
PICO_PER_TOKEN = {"gpt-4o-mini": (150_000, 600_000), "gpt-4.1": (2_000_000, 8_000_000)}
MODELS = {"conv": "gpt-4o-mini", "code": "gpt-4.1"}
FEATURES = ("chat", "search", "summary", "autocomplete", "review")
TIERS = ("lightweight", "standard", "premium")
PLANS = ("free", "team", "enterprise")
BATCH = 500

REQUESTS = 19_366 + 8_819
INPUT_TOKENS = 22_361_870 + 18_059_974
OUTPUT_TOKENS = 4_088_665 + 245_896
COST = (
    Decimal(
        22_361_870 * 150_000 + 4_088_665 * 600_000  # conv: 3.3542805 + 2.453199 dollars
        + 18_059_974 * 2_000_000 + 245_896 * 8_000_000  # code: 36.119948 + 1.967168 dollars
    )
    / 10**12
)  # fmt: skip

PAIRS = (
    "feature,tier",
    "feature,model",
    "user,tier",
    "tier,plan",
    "tenant,feature",
    "session,user",
    "model,status",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One row of a trace as the request that stands for it."""

    at: int
    model: str
    started_ns: int
    input_tokens: int
    output_tokens: int

    @property
    def cost_pico(self) -> int:
        rate_in, rate_out = PICO_PER_TOKEN[self.model]
        return self.input_tokens * rate_in + self.output_tokens * rate_out

    @property
    def dimensions(self) -> dict[str, str]:
        """Spread by the row's number alone; strides without a common factor mix them all."""
        return {
            "feature": FEATURES[self.at % 5],
            "tier": TIERS[self.at % 3],
            "plan": PLANS[self.at // 7 % 3],
            "user": f"user-{self.at // 4 % 997}",
            "session": f"session-{self.at // 4}",
            "tenant": f"tenant-{self.at % 11}",
            "model": self.model,
            "service": "azure",
            "status": "ok",
        }


@cache
def trace() -> list[Sent]:
    return [
        Sent(at, model, started_ns, tokens_in, tokens_out)
        for at, (model, started_ns, tokens_in, tokens_out) in enumerate(_rows())
    ]


def _rows() -> Iterator[tuple[str, int, int, int]]:
    for name, model in MODELS.items():
        with gzip.open(TRACES / f"AzureLLMInferenceTrace_{name}.csv.gz", "rt") as file:
            for row in csv.DictReader(file):
                second, _, fraction = row["TIMESTAMP"].partition(".")
                start = int(datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp())
                started_ns = start * 10**9 + int(fraction.ljust(9, "0"))
                yield model, started_ns, int(row["ContextTokens"]), int(row["GeneratedTokens"])


def body(requests: Sequence[Sent]) -> bytes:
    return otlp_protobuf.body((_span(request) for request in requests), service="azure")


def _span(request: Sent) -> Span:
    named = ("feature", "tier", "plan", "user", "session", "tenant")
    return otlp_protobuf.span(
        (request.at + 1).to_bytes(16, "big"),
        (request.at + 1).to_bytes(8, "big"),
        f"chat {request.model}",
        request.started_ns,
        250_000_000 + request.output_tokens * 20_000_000,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": request.model,
            "gen_ai.usage.input_tokens": request.input_tokens,
            "gen_ai.usage.output_tokens": request.output_tokens,
            **{f"tripoint.{name}": request.dimensions[name] for name in named},
        },
    )


Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def project(owner: Engine) -> Project:
    return make_project(owner, "azure")


@pytest.fixture(scope="module")
def ask(server: Server, project: Project) -> Iterator[Ask]:
    """The attribution of both traces, sent once for the module and settled."""
    requests = trace()
    with server.client() as client:
        for at in range(0, len(requests), BATCH):
            answer = client.post(
                "/v1/traces", content=body(requests[at : at + BATCH]), headers=project.sending()
            )
            assert (answer.status_code, answer.content) == (200, b"") or _only_late(answer), answer.text
        settled = client.post("/api/v1/settle", headers=project.ruling())
        assert settled.json() == {"traces": REQUESTS}

        def attribution(**parameters: Any) -> dict[str, Any]:
            asked = {
                "metrics": "requests,input_tokens,output_tokens,cost,list_cost",
                "limit": 10_000,
                **parameters,
            }
            got = client.get("/api/v1/attribution", params=asked, headers=project.reading())
            assert got.status_code == 200, got.text
            found: dict[str, Any] = got.json()
            return found

        yield attribution


def _only_late(answer: httpx.Response) -> bool:
    """A backfill is stored, with a word about its age."""
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    return said.rejected_spans == 0 and "stored although" in said.error_message


def assert_is_the_whole(total: dict[str, Any]) -> None:
    assert total["requests"] == REQUESTS
    assert total["input_tokens"] == INPUT_TOKENS
    assert total["output_tokens"] == OUTPUT_TOKENS
    assert Decimal(total["cost"]) == Decimal(total["list_cost"]) == COST
    assert total["unpriced_requests"] == 0


def test_the_public_data_is_what_its_page_says() -> None:
    assert len(trace()) == REQUESTS
    assert sum(request.input_tokens for request in trace()) == INPUT_TOKENS
    assert sum(request.output_tokens for request in trace()) == OUTPUT_TOKENS
    assert sum(request.cost_pico for request in trace()) == COST * 10**12


def test_the_total_is_exact_to_the_last_pico_dollar(ask: Ask) -> None:
    answer = ask()
    assert_is_the_whole(answer["total"])
    assert answer["total"]["cost"] == "43.8945955"
    assert answer["coverage"] == {
        "requests": REQUESTS,
        "priced": REQUESTS,
        "unpriced": 0,
        "unpriced_reasons": {},
        "usage_known": REQUESTS,
        "ttft_known": 0,
        "provisional": 0,
    }


@pytest.mark.parametrize("names", [*DIMENSIONS, *PAIRS, "feature,tier,plan,model", "tag.none"])
def test_the_parts_of_every_grouping_sum_to_the_total(ask: Ask, names: str) -> None:
    assert_parts_are_the_whole(ask(group_by=names))


@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("names", ["", "feature", "tier,model", "user"])
def test_the_parts_of_every_interval_sum_to_the_total(ask: Ask, interval: str, names: str) -> None:
    assert_parts_are_the_whole(ask(group_by=names, interval=interval))


def assert_parts_are_the_whole(answer: dict[str, Any]) -> None:
    assert_is_the_whole(answer["total"])
    rows = answer["rows"]
    assert len(rows) == answer["groups"]
    parts = {name: sum(row[name] for row in rows) for name in ("requests", "input_tokens", "output_tokens")}
    parts["unpriced_requests"] = sum(row["unpriced_requests"] for row in rows)
    parts |= {name: sum(Decimal(row[name]) for row in rows) for name in ("cost", "list_cost")}
    assert_is_the_whole(parts)


@pytest.mark.parametrize("names", ["model", "feature", "tier", "user", "session", "plan,tier", *PAIRS])
def test_every_part_is_the_sum_of_its_own_requests(ask: Ask, names: str) -> None:
    truth: defaultdict[tuple[str, ...], list[Sent]] = defaultdict(list)
    for request in trace():
        truth[tuple(request.dimensions[name] for name in names.split(","))].append(request)
    answer = ask(group_by=names)
    assert len(answer["rows"]) == len(truth)
    for row in answer["rows"]:
        requests = truth[tuple(row[name] for name in names.split(","))]
        assert row["requests"] == len(requests)
        assert row["input_tokens"] == sum(request.input_tokens for request in requests)
        assert row["output_tokens"] == sum(request.output_tokens for request in requests)
        assert Decimal(row["cost"]) * 10**12 == sum(request.cost_pico for request in requests)


def test_every_hour_holds_the_requests_that_started_in_it(ask: Ask) -> None:
    truth: defaultdict[str, int] = defaultdict(int)
    for request in trace():
        hour = datetime.fromtimestamp(request.started_ns // (3600 * 10**9) * 3600, UTC)
        truth[hour.isoformat().replace("+00:00", "Z")] += request.cost_pico
    rows = ask(interval="hour")["rows"]
    assert {row["start"]: Decimal(row["cost"]) * 10**12 for row in rows} == truth


def test_windows_that_touch_share_no_request_and_lose_none(ask: Ask) -> None:
    edges = ["2023-11-16T18:00:00Z", "2023-11-16T18:30:07.5Z", "2023-11-16T18:30:07.500001Z", "2023-11-17"]
    parts = [ask(**{"from": start, "to": end})["total"] for start, end in pairwise(edges)]
    assert sum(part["requests"] for part in parts) == REQUESTS
    assert sum(Decimal(part["cost"] or 0) for part in parts) == COST


def test_the_filters_of_one_dimension_share_the_total_out(ask: Ask) -> None:
    parts = [ask(feature=feature)["total"] for feature in FEATURES]
    assert sum(part["requests"] for part in parts) == REQUESTS
    assert sum(Decimal(part["cost"]) for part in parts) == COST
