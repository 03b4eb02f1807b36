"""Every real body, sent to a real server as its library sent it, reads back as what the provider saw."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlalchemy import Engine, text

from tests.captured_wire import Recorded, export, post, record_of, recorded, single_spans
from tests.captures import (
    CAPTURES,
    RULES,
    cases,
    expected,
    is_known,
    no_usage_was_sent,
    spans_of,
    true_requests,
)
from tests.conftest import Project, Server, make_project

if not CAPTURES.is_dir():
    pytest.skip(f"the captures are not at {CAPTURES}", allow_module_level=True)

READABLE = [case for case in cases() if "expect_http_status" not in expected(case)]
REFUSED = [case for case in cases() if "expect_http_status" in expected(case)]
OVER_GRPC = [case for case in READABLE if any(body.transport == "grpc" for body in recorded(case))]
pytestmark = pytest.mark.slow  # tests/core/test_captures.py asks the same of the pure functions, quickly
OF_SEVERAL_SPANS = [case for case in READABLE if len(spans_of(case)) > 1]
ORDERS = 4
TOKENS = {
    "input_tokens": "input_tokens_total",
    "uncached_input_tokens": "input_tokens_uncached",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
ASKED = ",".join(["requests", "errors", "cost", *TOKENS])


@dataclass(frozen=True)
class Reader:
    """One project's eyes and hands on the server."""

    client: httpx.Client
    project: Project

    def send(self, body: Recorded) -> httpx.Response:
        return post(self.client, body, self.project.ingest)

    def settle(self) -> int:
        answer = self.client.post("/api/v1/settle", headers=self.project.ruling())
        assert answer.status_code == 200, answer.text
        return int(answer.json()["traces"])

    def requests(self) -> list[dict[str, Any]]:
        """The counted requests, oldest first."""
        page = self.get("/api/v1/requests", limit=1000)
        assert page["next"] is None
        return list(reversed(page["items"]))

    def costs(self, group_by: str = "") -> dict[str, Any]:
        answer = self.get("/api/v1/attribution", group_by=group_by, metrics=ASKED)
        answer.pop("as_of")
        return answer

    def answers(self) -> list[Any]:
        """All that a reader may see of the project."""
        return [self.requests(), self.costs(), self.costs("model,user"), self.costs("feature,session")]

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=parameters, headers=self.project.reading())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def reader(client: httpx.Client, project: Project) -> Reader:
    return Reader(client, project)


@pytest.fixture
def readers(client: httpx.Client, owner: Engine) -> Callable[[], Reader]:
    """As many projects as a test wants."""
    return lambda: Reader(client, make_project(owner))


def send_as_recorded(reader: Reader, case: str) -> None:
    for body in recorded(case):
        answer = reader.send(body)
        assert answer.status_code == 200, answer.text
        if body.signal == "traces":
            assert not refusals(answer), answer.content


def refusals(answer: httpx.Response) -> int:
    """How many spans an OTLP answer says were not taken."""
    if answer.headers["content-type"] == "application/json":
        return int(answer.json().get("partialSuccess", {}).get("rejectedSpans", 0))
    return int(ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans)


def assert_it_reads_as_the_truth(reader: Reader, case: str) -> None:
    items = reader.requests()
    costs = reader.costs()
    if is_known(case, "requests"):
        assert (items, costs["total"]["requests"]) == ([], 0)
        return
    assert len(items) == expected(case)["logical_requests"]
    for item, truth in zip(items, true_requests(case), strict=True):
        assert item["state"] == "settled"
        for rule in RULES:
            rule(case, record_of(item), truth)
    assert_sums_are_those_of_the_parts(costs, items)
    for names in ("provider,model", "user", "session,status"):
        grouped = reader.costs(names)
        assert grouped["total"] == costs["total"]
        for row in grouped["rows"]:
            group = {name: row[name] for name in names.split(",")}
            assert_sums_are_those_of_the_parts(
                {"total": row, "coverage": None}, [i for i in items if group.items() <= seen(i).items()]
            )
    assert_totals_are_the_true_ones(case, costs["total"])


def seen(item: dict[str, Any]) -> dict[str, Any]:
    """An item's dimensions, the model as the attribution names it."""
    return {**item, "model": item["response_model"] or item["request_model"]}


def assert_sums_are_those_of_the_parts(costs: dict[str, Any], items: Iterable[dict[str, Any]]) -> None:
    items, total = list(items), costs["total"]
    assert total["requests"] == len(items)
    assert total["errors"] == sum(item["status"] == "error" for item in items)
    for name in TOKENS:
        known = [item["usage"][name] for item in items if item["usage"][name] is not None]
        assert total[name] == (sum(known) if known else 0 if not items else None), name
    priced = [Decimal(item["cost"]) for item in items if item["cost"] is not None]
    assert total["unpriced_requests"] == len(items) - len(priced)
    if priced:
        assert Decimal(total["cost"]) == sum(priced)


def assert_totals_are_the_true_ones(case: str, total: dict[str, Any]) -> None:
    """The truth's own totals, where the wire carried the usage of all of its successes."""
    truth, spans = expected(case), spans_of(case)
    succeeded = [request for request in truth["requests"] if request["status"] < 400]
    if "totals_note" in truth or any(no_usage_was_sent(request, spans) for request in succeeded):
        return
    for name in ("input_tokens", "output_tokens"):
        assert (total[name] or 0) == truth["totals_over_successful_requests"][TOKENS[name]], name


@pytest.mark.parametrize("case", READABLE)
def test_a_capture_sent_as_recorded_reads_back_as_the_truth(reader: Reader, case: str) -> None:
    send_as_recorded(reader, case)
    reader.settle()
    assert_it_reads_as_the_truth(reader, case)


@pytest.mark.parametrize("case", OVER_GRPC)
def test_a_capture_of_grpc_reads_back_as_the_truth(server: Server, reader: Reader, case: str) -> None:
    for body in recorded(case):
        export(server.grpc_address, body, reader.project.ingest, gzip="gzip" in case)
    reader.settle()
    assert_it_reads_as_the_truth(reader, case)


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_body_is_refused_and_leaves_nothing(reader: Reader, case: str) -> None:
    for body in recorded(case):
        answer = reader.send(body)
        assert answer.status_code == expected(case)["expect_http_status"]
        assert "retry-after" not in answer.headers
    assert reader.settle() == 0
    assert reader.requests() == []


@pytest.mark.parametrize("case", OF_SEVERAL_SPANS)
def test_spans_one_by_one_in_any_order_settled_in_between_give_the_same_answer(
    reader: Reader, readers: Callable[[], Reader], case: str
) -> None:
    send_as_recorded(reader, case)
    reader.settle()
    bodies, chance = single_spans(case), random.Random(case)
    orders = {tuple(chance.sample(range(len(bodies)), len(bodies))) for _ in range(ORDERS)}
    for order in sorted(orders):
        other = readers()
        for body in (bodies[at] for at in order):
            sent = other.client.post(
                "/v1/traces",
                content=body.content,
                headers=other.project.sending(
                    "application/json" if body.content_type == "json" else "application/x-protobuf"
                ),
            )
            assert sent.status_code == 200, sent.text
            other.settle()
        assert other.answers() == reader.answers(), order


def test_sending_everything_again_changes_nothing(reader: Reader, owner: Engine) -> None:
    for _ in range(2):
        for case in READABLE:
            send_as_recorded(reader, case)
    reader.settle()
    answers, rows = reader.answers(), rows_of(owner, reader.project)
    for case in reversed(READABLE):
        send_as_recorded(reader, case)
    assert reader.settle() == 0
    assert reader.answers() == answers
    assert rows_of(owner, reader.project) == rows


def rows_of(owner: Engine, project: Project) -> list[tuple[Any, ...]]:
    """Everything that the ledger holds of a project, to the last column."""
    found: list[tuple[Any, ...]] = []
    with owner.begin() as connection:
        for table in ("request", "context_span", "content", "unsettled", "user_name"):
            rows = connection.execute(
                text(f"SELECT t::text FROM {table} t WHERE project_id = :project ORDER BY 1"),
                {"project": project.id},
            )
            found += [(table, *row) for row in rows]
    assert any(row[0] == "request" for row in found)
    return found


def test_a_rule_would_notice_a_wrong_answer(reader: Reader) -> None:
    case = "genai/oai_plain"
    send_as_recorded(reader, case)
    reader.settle()
    (item,), (truth,) = reader.requests(), true_requests(case)
    item["usage"]["output_tokens"] += 1
    with pytest.raises(AssertionError):
        for rule in RULES:
            rule(case, record_of(item), truth)
