"""The JSON API as a program meets it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from core.store import requests
from tests.collector.sending import send, server_with
from tests.conftest import Database, Project
from tests.otlp import body, llm_span

Get = Callable[..., Any]
MINUTE_NS = 60 * 10**9


@pytest.fixture
def get(client: httpx.Client, project: Project) -> Get:
    """An answer of the API as JSON."""

    def ask(path: str, **parameters: Any) -> Any:
        renamed = {name.rstrip("_"): value for name, value in parameters.items()}
        answer = client.get(f"/api/v1/{path}", params=renamed, headers=project.reading())
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def take(client: httpx.Client, project: Project) -> Callable[..., None]:
    """Spans, sent."""

    def take(*spans: dict[str, Any]) -> None:
        assert send(client, project, *spans).json() == {}

    return take


# the contract ----------------------------------------------------------------------------------------

CONTRACT = {
    *("trace_id", "span_id", "provider", "request_model", "response_model", "response_id", "operation"),
    *("feature", "user", "session", "tenant", "plan", "tier", "usage", "ttft_ms", "duration_ms", "status"),
    *("error_type", "streaming", "cost", "currency", "pricing_status", "state", "source"),
}
USAGE = {
    *("input_tokens", "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
    "reasoning_tokens",
}


def test_a_request_has_the_fields_that_were_promised(get: Get, take: Callable[..., None]) -> None:
    take(llm_span(tripoint__feature="search", user__id="ann", session__id="s1"))
    page = get("requests")
    assert set(page) == {"items", "next", "previous", "judging"}
    (item,) = page["items"]
    assert set(item) >= CONTRACT
    assert set(item["usage"]) >= USAGE
    assert {
        name: item[name] for name in ("feature", "user", "session", "cost", "currency", "status", "state")
    } == {
        "feature": "search",
        "user": "ann",
        "session": "s1",
        "cost": "0.00001365",  # 23 × 0.15 + 17 × 0.60 micro-dollars
        "currency": "USD",
        "status": "ok",
        "state": "provisional",
    }
    assert (item["usage"]["input_tokens"], item["usage"]["output_tokens"], item["duration_ms"]) == (
        23,
        17,
        500,
    )


def test_what_nobody_told_is_null(get: Get, take: Callable[..., None]) -> None:
    take(llm_span(input_tokens=None, output_tokens=None))
    (item,) = get("requests")["items"]
    assert [item[name] for name in ("feature", "user", "ttft_ms", "streaming", "response_id", "cost")] == [
        None
    ] * 6
    assert set(item["usage"].values()) == {None}


def test_attribution_has_the_fields_that_were_promised(get: Get, take: Callable[..., None]) -> None:
    take(llm_span(tripoint__feature="search", tripoint__tier="premium"), llm_span())
    answer = get("attribution", group_by="feature,tier", metrics="requests,cost", from_="2020-01-01")
    assert set(answer) >= {"as_of", "currency", "coverage", "rows"}
    assert answer["currency"] == "USD"
    assert answer["from"] == "2020-01-01T00:00:00Z"
    assert datetime.fromisoformat(answer["as_of"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert answer["rows"] == [
        {"feature": "search", "tier": "premium", "requests": 1, "cost": "0.00001365", "unpriced_requests": 0},
        {"feature": None, "tier": None, "requests": 1, "cost": "0.00001365", "unpriced_requests": 0},
    ]
    assert answer["total"] == {"requests": 2, "cost": "0.0000273", "unpriced_requests": 0}
    assert answer["coverage"]["requests"] == 2


def test_intervals_carry_their_start(get: Get, take: Callable[..., None]) -> None:
    take(llm_span())
    (row,) = get("attribution", interval="day")["rows"]
    assert row["start"] == datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z")


def test_days_are_those_of_the_zone_and_written_in_utc(get: Get, take: Callable[..., None]) -> None:
    # 19:00 UTC on the 1st is half past midnight on the 2nd in Kolkata.
    late = datetime(2026, 11, 1, 19, tzinfo=UTC)
    take(
        llm_span(start_ns=round(late.timestamp()) * 10**9),
        llm_span(start_ns=round((late - timedelta(hours=10)).timestamp()) * 10**9),
    )
    asked = {"interval": "day", "metrics": "requests", "zone": "Asia/Kolkata"}
    assert [row["start"] for row in get("attribution", **asked)["rows"]] == [
        "2026-10-31T18:30:00Z",
        "2026-11-01T18:30:00Z",
    ]
    answer = get("attribution", **asked, from_="2026-11-02", to="2026-11-03")
    assert (answer["from"], answer["to"]) == ("2026-11-01T18:30:00Z", "2026-11-02T18:30:00Z")
    assert answer["total"]["requests"] == 1
    assert len(get("requests", from_="2026-11-02", zone="Asia/Kolkata")["items"]) == 1
    assert len(get("requests", from_="2026-11-02")["items"]) == 0


@pytest.mark.parametrize(
    ("order", "direction", "first"),
    [("feature", None, "a"), ("feature", "desc", "c"), ("input_tokens", None, "b"), ("start", "desc", "c")],
)
def test_groups_come_in_order_and_all_of_them_page_by_page(
    get: Get, take: Callable[..., None], order: str, direction: str | None, first: str
) -> None:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    take(
        *(
            llm_span(
                tripoint__feature=name,
                input_tokens=tokens,
                start_ns=round((day - timedelta(days=ago)).timestamp()) * 10**9,
            )
            for name, tokens, ago in (("a", 20, 3), ("b", 90, 2), ("c", 50, 1))
        )
    )
    asked = {"group_by": "feature", "interval": "day", "metrics": "input_tokens", "order": order}
    asked |= {"direction": direction} if direction else {}
    whole = get("attribution", **asked)
    assert whole["rows"][0]["feature"] == first and whole["next_offset"] is None
    rows, offset = [], 0
    while offset is not None:
        page = get("attribution", **asked, limit=2, offset=offset)
        assert (page["groups"], page["total"]) == (3, whole["total"])
        rows += page["rows"]
        offset = page["next_offset"]
    assert rows == whole["rows"]
    assert get("attribution", **asked, offset=7)["rows"] == []


@pytest.mark.parametrize("parameter", ["feature", "session", "tenant", "user", "tier", "model", "tag.team"])
def test_requests_and_attribution_filter_alike(get: Get, take: Callable[..., None], parameter: str) -> None:
    named = {
        "feature": "tripoint.feature",
        "session": "session.id",
        "tenant": "tripoint.tenant",
        "user": "user.id",
        "tier": "tripoint.tier",
        "model": "gen_ai.response.model",
        "tag.team": "tripoint.tag.team",
    }
    take(llm_span(**{named[parameter]: "one"}), llm_span(**{named[parameter]: "two"}), llm_span())
    for values, count in ((["one"], 1), (["one", "two"], 2), (["none"], 0)):
        assert len(get("requests", **{parameter: values})["items"]) == count
        assert get("attribution", **{parameter: values})["total"]["requests"] == count
    unset = 0 if parameter == "model" else 1
    assert len(get("requests", unset=parameter)["items"]) == unset


def test_a_trace_is_found_by_its_id_in_either_case(get: Get, take: Callable[..., None]) -> None:
    span = llm_span()
    take(span, llm_span())
    for spelled in (span["traceId"], span["traceId"].upper()):
        assert [item["span_id"] for item in get("requests", trace_id=spelled)["items"]] == [span["spanId"]]


# paging ----------------------------------------------------------------------------------------------


def walk(get: Get, limit: int, between: Callable[[], None] = lambda: None) -> list[str]:
    """The span ids of all pages."""
    found: list[str] = []
    cursor = ""
    while True:
        page = get("requests", limit=limit, cursor=cursor)
        assert len(page["items"]) <= limit
        found += [item["span_id"] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = page["next"]
        between()


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
def test_pages_show_everything_once_newest_first(get: Get, take: Callable[..., None], limit: int) -> None:
    now = time.time_ns()
    # pairs at the same moment, so that ties have to be broken
    spans = [llm_span(start_ns=now - (n // 2) * MINUTE_NS) for n in range(8)]
    take(*spans)
    found = walk(get, limit)
    assert sorted(found) == sorted(span["spanId"] for span in spans)
    starts = {span["spanId"]: int(span["startTimeUnixNano"]) for span in spans}
    assert [starts[span] for span in found] == sorted(starts.values(), reverse=True)


def test_pages_stay_stable_while_requests_come_in(get: Get, take: Callable[..., None]) -> None:
    now = time.time_ns()
    spans = [llm_span(start_ns=now - (n + 1) * MINUTE_NS) for n in range(6)]
    take(*spans)
    found = walk(get, 2, between=lambda: take(llm_span(start_ns=time.time_ns())))
    assert found == [span["spanId"] for span in spans]


def test_requests_come_in_another_order_and_lead_back(get: Get, take: Callable[..., None]) -> None:
    take(*(llm_span(duration_ns=ms * 10**6, input_tokens=1000 - ms) for ms in (300, 100, 500, 400, 200)))
    asked = {"order": "latency", "limit": 2}
    first = get("requests", **asked)
    second = get("requests", **asked, cursor=first["next"])
    assert [item["duration_ms"] for page in (first, second) for item in page["items"]] == [500, 400, 300, 200]
    assert first["previous"] is None
    assert get("requests", **asked, cursor=second["previous"]) == first
    slow = get("requests", order="input_tokens", direction="asc", limit=1)["items"]
    assert [item["duration_ms"] for item in slow] == [500]


def test_a_cursor_of_another_order_is_400_and_says_so(
    client: httpx.Client, project: Project, get: Get, take: Callable[..., None]
) -> None:
    take(llm_span(), llm_span())
    cursor = get("requests", limit=1)["next"]
    asked = {"cursor": cursor, "order": "cost"}
    answer = client.get("/api/v1/requests", params=asked, headers=project.reading())
    assert answer.status_code == 400
    assert "belongs to the order 'started desc', not to 'cost desc'" in answer.json()["detail"]


def _cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%",
        "\0",
        "ä",
        _cursor(),
        _cursor(1, 2, 3),
        _cursor("started desc", False, None, "a" * 32, "b" * 16, "2026-01-01T00:00:00"),
        _cursor("started desc", False, None, "a" * 32, "b" * 16, "now"),
        _cursor("started desc", False, None, "a" * 32, "b" * 16, 7),
        _cursor("started desc", False, None, ["a"] * 32, "b" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor("started desc", False, None, "a" * 32, "'" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor("started desc", 0, None, "a" * 32, "b" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor("started desc", False, 2**63, "a" * 32, "b" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor("started desc", False, "1", "a" * 32, "b" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor(["started desc"], False, None, "a" * 32, "b" * 16, "2026-01-01T00:00:00+00:00"),
        _cursor("2026-01-01T00:00:00+00:00", "a" * 32, "b" * 16),
        base64.urlsafe_b64encode(b"[" * 40_000).decode(),
        base64.urlsafe_b64encode(b"9" * 9_000).decode(),
    ],
)
def test_a_cursor_that_no_page_gave_is_400(client: httpx.Client, project: Project, cursor: str) -> None:
    answer = client.get("/api/v1/requests", params={"cursor": cursor}, headers=project.reading())
    assert answer.status_code == 400
    assert "cursor" in answer.json()["detail"]


# one request, one trace ------------------------------------------------------------------------------


def test_one_request_is_found_by_its_id(get: Get, take: Callable[..., None]) -> None:
    span = llm_span()
    take(span)
    (item,) = get("requests")["items"]
    assert item["id"] == f"{span['traceId']}-{span['spanId']}"
    assert get(f"requests/{item['id']}") == item


def test_the_lines_of_a_cost_add_up_to_it(get: Get, take: Callable[..., None]) -> None:
    take(
        llm_span(
            model="claude-sonnet-4-5",
            provider="anthropic",
            input_tokens=1000,
            output_tokens=200,
            gen_ai__usage__cache_read__input_tokens=300,
            gen_ai__usage__cache_creation__input_tokens=100,
        )
    )
    (item,) = get("requests")["items"]
    explained = get(f"requests/{item['id']}/cost")
    assert explained["id"] == item["id"]
    assert len(explained["lines"]) >= 3
    assert sum(Decimal(line["amount"]) for line in explained["lines"]) == Decimal(item["cost"])


def test_an_unpriced_request_explains_itself_too(get: Get, take: Callable[..., None]) -> None:
    take(llm_span(model="nobody-knows", provider="acme"))
    (item,) = get("requests")["items"]
    explained = get(f"requests/{item['id']}/cost")
    assert explained["lines"] == []
    assert item["pricing_reason"] in json.dumps(explained)


def test_a_trace_shows_its_requests_spans_and_contents(get: Get, take: Callable[..., None]) -> None:
    root = llm_span(input_tokens=None, output_tokens=None)
    root["attributes"] = []
    leaf = llm_span(
        trace_id=root["traceId"], parent=root["spanId"], gen_ai__input__messages='[{"role":"user"}]'
    )
    take(root, leaf)
    trace = get(f"traces/{root['traceId']}")
    assert [item["span_id"] for item in trace["requests"]] == [leaf["spanId"]]
    assert [span["span_id"] for span in trace["spans"]] == [root["spanId"]]
    assert trace["contents"] == [{"span_id": leaf["spanId"], "input": '[{"role":"user"}]', "output": None}]


def test_settle_tells_how_many_traces_it_settled(
    client: httpx.Client, project: Project, get: Get, take: Callable[..., None]
) -> None:
    take(llm_span(), llm_span())
    for expected in (2, 0):
        answer = client.post("/api/v1/settle", headers=project.ruling())
        assert (answer.status_code, answer.json()) == (200, {"traces": expected})
    assert {item["state"] for item in get("requests")["items"]} == {"settled"}


# keys ------------------------------------------------------------------------------------------------


def test_a_key_is_made_listed_without_its_secret_and_revoked(client: httpx.Client, project: Project) -> None:
    wanted = {"role": "finance", "name": "month end", "expires_in_days": 30}
    made = client.post("/api/v1/keys", json=wanted, headers=project.ruling())
    assert made.status_code == 201
    secret = made.json()["key"]
    assert client.get("/api/v1/attribution", headers={"authorization": f"Bearer {secret}"}).status_code == 200

    listing = client.get("/api/v1/keys", headers=project.ruling())
    assert secret not in listing.text and secret.rpartition("_")[2][:16] not in listing.text
    (listed,) = [key for key in listing.json() if key["id"] == made.json()["id"]]
    assert (listed["role"], listed["name"], listed["revoked_at"]) == ("finance", "month end", None)
    days = datetime.fromisoformat(listed["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < days <= timedelta(days=30)

    for _ in range(2):
        assert client.delete(f"/api/v1/keys/{listed['id']}", headers=project.ruling()).status_code == 204
    listing = client.get("/api/v1/keys", headers=project.ruling()).json()
    assert next(key for key in listing if key["id"] == listed["id"])["revoked_at"] is not None


@pytest.mark.parametrize(
    "wanted",
    [
        {"role": "king"},
        {},
        {"role": "read", "name": "x" * 201},
        {"role": "read", "name": "a\0b"},
        {"role": "read", "name": "\ud800"},
        {"role": "read", "expires_in_days": 0},
        {"role": "read", "expires_in_days": 10**12},
        {"role": ["read"]},
        [],
        None,
    ],
)
def test_a_key_that_cannot_be_is_400_in_a_sentence(
    client: httpx.Client, project: Project, wanted: Any
) -> None:
    headers = {**project.ruling(), "content-type": "application/json"}
    answer = client.post("/api/v1/keys", content=json.dumps(wanted), headers=headers)
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["detail"]) > 10


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "9" * 5000, "x", "1.5"])
def test_a_key_number_that_cannot_be_is_400(client: httpx.Client, project: Project, number: str) -> None:
    assert client.delete(f"/api/v1/keys/{number}", headers=project.ruling()).status_code == 400


def test_a_body_larger_than_any_key_is_413_and_not_held_in_memory(client: httpx.Client) -> None:
    def endless() -> Any:
        for _ in range(3000):
            yield b" " * 1_000

    answer = client.post("/api/v1/keys", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


# errors ----------------------------------------------------------------------------------------------

BAD_QUESTIONS = {
    "attribution?group_by=featre": "There is no dimension 'featre'",
    "attribution?featre=x": "There is no dimension 'featre'",
    "attribution?trace_id=" + "a" * 32: "There is no dimension 'trace_id'",
    "attribution?unset=featre": "There is no dimension 'featre'",
    "attribution?metrics=costs": "There is no metric 'costs'",
    "attribution?order=costs": "There is no metric 'costs'",
    "attribution?order=feature": "order=feature needs group_by=feature",
    "attribution?order=start": "order=start needs an interval",
    "attribution?direction=up": "Use asc or desc",
    "attribution?offset=-1": "between 0 and 10000000",
    "attribution?offset=10000001": "between 0 and 10000000",
    "attribution?zone=Europe/Berln": "is not a time zone",
    "requests?zone=Mars": "is not a time zone",
    "requests?offset=50": "There is no dimension 'offset'",
    "attribution?interval=minute": "There is no interval 'minute'",
    "attribution?group_by=feature,tier,plan,user,model": "at most 4",
    "attribution?from=yesterday": "is not a time",
    "attribution?to=2026-13-01": "is not a time",
    "attribution?from=2026-02-01&to=2026-01-01": "The window is empty",
    "attribution?from=0001-01-01T00:00:00%2B05:00": "out of range",
    "attribution?limit=0": "between 1 and 10000",
    "attribution?limit=10001": "between 1 and 10000",
    "attribution?limit=ten": "limit",
    "attribution?limit=" + "9" * 5000: "limit",
    "attribution?feature=": "write unset=feature",
    "attribution?feature=%00": "NUL",
    "attribution?tag.a%00b=x": "There is no dimension",
    "attribution?group_by=tag.%00": "There is no dimension",
    "attribution?" + "&".join(f"feature={n}" for n in range(501)): "at most 500 values",
    "requests?limit=0": "between 1 and 1000",
    "requests?limit=-1": "between 1 and 1000",
    "requests?limit=1001": "between 1 and 1000",
    "requests?order=latency_p95": "Requests have no order 'latency_p95'. Use one of started, cost",
    "requests?direction=up": "Use asc or desc",
    "requests?trace_id=xyz": "32 hex digits",
    "requests?trace_id=%00": "32 hex digits",
    "requests?featre=x": "There is no dimension 'featre'",
    "requests?session=%00": "NUL",
    "requests/xyz": "trace id (32 hex digits)",
    "requests/xyz/cost": "trace id (32 hex digits)",
    "requests/" + "a" * 32: "trace id (32 hex digits)",
    "traces/xyz": "32 hex digits",
    "traces/" + "\u0660" * 32: "32 hex digits",
}


@pytest.mark.parametrize("path", BAD_QUESTIONS, ids=lambda path: path[:50])
def test_a_bad_question_is_400_and_says_what_would_do(
    client: httpx.Client, project: Project, path: str
) -> None:
    answer = client.get(f"/api/v1/{path}", headers=project.reading())
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"title", "status", "detail"}
    assert BAD_QUESTIONS[path] in answer.json()["detail"]


@pytest.mark.parametrize(
    "question",
    [
        "from=2026-01-01&to=2026-01-02",
        "from=2026-01-01T00:00:00",
        "from=2026-01-01T00:00:00%2B02:00",
        "from=2026-01-01T00:00:00 02:00",
        "from=2026-01-01 08:30",
        "from=20260101T083000Z",
        "from=0001-01-01",
        "to=9999-12-31T23:59:59.999999Z",
        "from=&to=&group_by=",
        "tag.%27%3B--=x",
        "feature=%F0%9F%98%80",
        "feature=%FF",
    ],
)
def test_odd_questions_are_answered(client: httpx.Client, project: Project, question: str) -> None:
    for path in ("attribution", "requests"):
        answer = client.get(f"/api/v1/{path}?{question}", headers=project.reading())
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["requests/{0}-{1}", "requests/{0}-{1}/cost", "traces/{0}"])
def test_what_is_not_there_is_404_in_a_sentence(client: httpx.Client, project: Project, path: str) -> None:
    answer = client.get(f"/api/v1/{path.format('ab' * 16, 'ab' * 8)}", headers=project.reading())
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("There is no such")


def test_a_time_that_lies_in_no_zone_is_utc(get: Get, take: Callable[..., None]) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    take(llm_span(start_ns=int(at.timestamp()) * 10**9))
    plain = at.replace(tzinfo=None)
    assert len(get("requests", from_=plain.isoformat())["items"]) == 1
    assert len(get("requests", from_=(plain + timedelta(seconds=1)).isoformat())["items"]) == 0
    assert len(get("requests", from_=f"{plain.isoformat()}+01:00")["items"]) == 1
    assert len(get("requests", from_=f"{plain.isoformat()}-01:00")["items"]) == 0


# probes ----------------------------------------------------------------------------------------------


def test_the_probes_need_no_key(client: httpx.Client) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ready\n"


def test_the_metrics_count_bodies_and_spans(client: httpx.Client, take: Callable[..., None]) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = value("tripoint_spans_total"), value('tripoint_otlp_bodies_total{signal="traces",status="200"}')
    take(llm_span(), llm_span())
    after = value("tripoint_spans_total"), value('tripoint_otlp_bodies_total{signal="traces",status="200"}')
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


def test_more_readers_than_connections_wait_and_are_answered(database: Database, project: Project) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with server_with(database) as server, server.client() as client, ThreadPoolExecutor(40) as pool:
        ask = lambda _: client.get("/api/v1/attribution", headers=project.reading()).status_code  # noqa: E731
        assert set(pool.map(ask, range(120))) == {200}


def test_a_trace_longer_than_shown_says_so(
    client: httpx.Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [llm_span(trace_id="ab" * 16) for _ in range(4)]
    client.post("/v1/traces", content=body(*spans), headers=project.sending("application/json"))
    whole = client.get(f"/api/v1/traces/{'ab' * 16}", headers=project.reading()).json()
    assert (len(whole["requests"]), whole["complete"]) == (4, True)
    monkeypatch.setattr(requests, "TRACE_SPANS_MAX", 3)
    part = client.get(f"/api/v1/traces/{'ab' * 16}", headers=project.reading()).json()
    assert (len(part["requests"]), part["complete"]) == (3, False)
