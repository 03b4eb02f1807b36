"""Scores and quality over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

import launch
from core.pricing.price import PriceBook
from core.request import RequestRecord
from tests.conftest import Project
from tests.store.rows import NOON, a_request, store

TRACE, SPAN = "ab" * 16, "cd" * 8


def one(**fields: Any) -> dict[str, Any]:
    return {"trace_id": TRACE, "span_id": SPAN, "name": "helpfulness", "value": 0.5, **fields}


def of(record: RequestRecord, value: float | bool, **fields: Any) -> dict[str, Any]:
    return one(trace_id=record.trace_id, span_id=record.span_id, value=value, **fields)


def post(
    client: httpx.Client, project: Project, *scores: dict[str, Any], key: str = "ingest"
) -> httpx.Response:
    headers = {"authorization": f"Bearer {getattr(project, key)}"}
    return client.post("/api/v1/scores", json={"scores": scores}, headers=headers)


def get(client: httpx.Client, project: Project, path: str, **asked: Any) -> Any:
    answer = client.get(f"/api/v1/{path}", params=asked, headers=project.reading())
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_sent_is_read_again_and_a_retry_counts_once(client: httpx.Client, project: Project) -> None:
    told = one(
        label="fair",
        source="feedback",
        author="ann",
        comment="It took long.",
        recorded_at=datetime.now(UTC).isoformat(),
    )
    assert post(client, project, told, one(name="resolved", value=True, id="t-1")).json() == {
        "stored": 2,
        "known": 0,
    }
    assert post(client, project, told, one(name="resolved", value=True, id="t-1")).json() == {
        "stored": 0,
        "known": 2,
    }
    items = get(client, project, "scores", trace_id=TRACE)["items"]
    assert {item["id"] for item in items} > {"t-1"}
    (back,) = [item for item in items if item["name"] == "helpfulness"]
    assert {name: back[name] for name in told if name != "recorded_at"} == {
        name: value for name, value in told.items() if name != "recorded_at"
    }
    assert get(client, project, "scores", trace_id=TRACE, span_id="12" * 8)["items"] == []


def test_a_trace_lists_its_scores(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook
) -> None:
    record = a_request()
    post(client, project, of(record, 1))
    store(engine, project, book, [record])
    (shown,) = get(client, project, f"traces/{record.trace_id}")["scores"]
    assert (shown["span_id"], shown["value"]) == (record.span_id, 1)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (one(value=4), "scores.1: value=4 is outside 0 to 1"),
        (one(value=10**400), "scores.1: value=inf is outside 0 to 1"),
        (one(span_id="x"), "scores.1: span_id must be 16 hex digits"),
        (one(value="good"), "scores.1.value"),
        (one(valeu=1), "scores.1.valeu"),
        (one(recorded_at="2001-01-01"), "scores.1: recorded_at"),
        (one(comment="x" * 2001), "scores.1: comment is longer than 2000"),
    ],
)
def test_one_bad_score_is_named_and_none_is_stored(
    client: httpx.Client, project: Project, bad: dict[str, Any], said: str
) -> None:
    answer = post(client, project, one(), bad)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert get(client, project, "scores", trace_id=TRACE)["items"] == []


def test_a_body_is_bounded(client: httpx.Client, project: Project) -> None:
    assert post(client, project).status_code == 400
    assert post(client, project, *[one(id=str(n)) for n in range(1000)]).json()["stored"] == 1000
    assert "at most 1000" in post(client, project, *[one()] * 1001).json()["detail"]
    assert post(client, project, one(comment="x" * 5 * 1024 * 1024)).status_code == 413
    headers = {"authorization": "Bearer nonsense"}
    assert client.post("/api/v1/scores", content=b"x" * 10**7, headers=headers).status_code == 401


def test_who_may_send_and_who_may_read(client: httpx.Client, project: Project, owner: Engine) -> None:
    for role, status in (("ingest", 200), ("review", 200), ("admin", 200), ("read", 403), ("finance", 403)):
        headers = {"authorization": f"Bearer {launch.make_key(owner, project.id, role)}"}
        assert client.post("/api/v1/scores", json={"scores": [one()]}, headers=headers).status_code == status
    asked = {"authorization": f"Bearer {project.ingest}"}
    assert client.get(f"/api/v1/scores?trace_id={TRACE}", headers=asked).status_code == 403


def test_a_parameter_that_does_not_exist_is_refused(client: httpx.Client, project: Project) -> None:
    for path in (
        f"scores?trace_id={TRACE}&span={SPAN}",
        "quality?nam=tone",
        "quality?group_by=x",
        "quality?name=",
    ):
        answer = client.get(f"/api/v1/{path}", headers=project.reading())
        assert answer.status_code == 400, path


# quality ---------------------------------------------------------------------------------------------


@pytest.fixture
def asked(client: httpx.Client, project: Project, engine: Engine, book: PriceBook) -> list[RequestRecord]:
    """Two tiers: four premium requests of two sessions, three of them scored; two lightweight ones, one scored."""
    records = [
        *(a_request(NOON + timedelta(hours=n), tier="premium", session=f"s{n % 2}") for n in range(4)),
        *(a_request(NOON + timedelta(hours=n), tier="lightweight") for n in range(2)),
    ]
    store(engine, project, book, records)
    values = [1.0, 0.5, 0.9, None, 0.2, None]
    told = [of(r, v, source="feedback") for r, v in zip(records, values, strict=True) if v is not None]
    assert post(client, project, *told).json()["stored"] == 4
    return records


def test_a_mean_stands_beside_what_it_stands_on(
    client: httpx.Client, project: Project, asked: list[RequestRecord]
) -> None:
    answer = get(client, project, "quality", group_by="tier")
    premium, lightweight = answer["rows"]
    assert (premium["tier"], premium["requests"], premium["scored"], premium["sessions"]) == (
        "premium",
        4,
        3,
        2,
    )
    assert premium["mean"] == pytest.approx(0.8)
    assert premium["coverage"] == 0.75
    assert premium["sources"] == {"feedback": 3}
    assert 0 <= premium["low"] < 0.8 < premium["high"] <= 1
    assert (lightweight["mean"], lightweight["scored"], lightweight["coverage"]) == (None, 1, 0.5)
    assert "needs 2 at least" in lightweight["reason"]
    (total,) = answer["total"]
    assert (total["scored"], total["requests"]) == (4, 6)
    assert total["mean"] == pytest.approx(0.65)
    assert "the scored requests only" in " ".join(answer["method"].split())


def test_the_interval_is_that_of_the_sessions(
    client: httpx.Client, project: Project, asked: list[RequestRecord]
) -> None:
    """By hand: the sessions' sums of (value − 0.8) are 0.3 and −0.3; their spread over 3 scores, enlarged by
    2 / (2 − 1), is √(2 (0.3² + 0.3²)) / 3 = 0.2; t at one degree of freedom is 12.7, so both ends are cut."""
    (row,) = get(client, project, "quality", tier="premium")["rows"]
    assert (row["low"], row["high"]) == (0, 1)


def test_of_a_rater_the_newest_score_counts_and_raters_are_averaged(
    client: httpx.Client, project: Project, asked: list[RequestRecord]
) -> None:
    first, now = asked[0], datetime.now(UTC)
    at = [(now + timedelta(seconds=n)).isoformat() for n in range(3)]
    post(client, project, of(first, 0, source="feedback", recorded_at=at[1]))
    post(client, project, of(first, 0.7, source="feedback", recorded_at=at[0]))
    post(client, project, of(first, 0.4, source="evaluation", recorded_at=at[2]))
    (row,) = get(client, project, "quality", tier="premium")["rows"]
    assert row["mean"] == pytest.approx(((0 + 0.4) / 2 + 0.5 + 0.9) / 3)
    assert (row["scored"], row["sources"]) == (3, {"feedback": 3, "evaluation": 1})


def test_each_dimension_has_rows_of_its_own_and_one_can_be_asked_for(
    client: httpx.Client, project: Project, asked: list[RequestRecord]
) -> None:
    post(client, project, *(of(record, True, name="tone") for record in asked[:2]))
    answer = get(client, project, "quality", group_by="tier")
    assert [(row["tier"], row["name"], row["scored"]) for row in answer["rows"]] == [
        ("premium", "helpfulness", 3),
        ("premium", "tone", 2),
        ("lightweight", "helpfulness", 1),
        ("lightweight", "tone", 0),
    ]
    (tone,) = get(client, project, "quality", name="tone", tier="premium")["rows"]
    assert (tone["mean"], tone["low"], tone["high"]) == (1, None, None)
    assert "All 2 scores are the same" in tone["reason"]
    (nothing,) = get(client, project, "quality", name="speed")["rows"]
    assert (nothing["mean"], nothing["reason"]) == (None, "No request was scored.")


def test_an_interval_cuts_by_the_start_of_the_request(
    client: httpx.Client, project: Project, asked: list[RequestRecord]
) -> None:
    rows = get(client, project, "quality", interval="hour")["rows"]
    assert [row["scored"] for row in rows] == [2, 1, 1, 0]
    assert rows[0]["start"] == NOON.isoformat().replace("+00:00", "Z")
    rows = get(client, project, "quality", **{"from": (NOON + timedelta(hours=2)).isoformat()})["rows"]
    assert [(row["requests"], row["scored"]) for row in rows] == [(2, 1)]


def test_a_score_of_a_span_around_requests_or_of_the_trace_is_of_the_last_of_them(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook
) -> None:
    trace, around = "77" * 16, "a1" * 8
    tiers = ("first", "middle", "last")
    records = [
        a_request(
            NOON + timedelta(minutes=n), trace_id=trace, tier=tier, parent_span_id=around if n < 2 else None
        )
        for n, tier in enumerate(tiers)
    ]
    store(engine, project, book, records)
    told = {"trace_id": trace, "value": 0.5}
    post(
        client,
        project,
        one(**told, span_id=records[0].span_id, name="itself"),
        one(**told, span_id=around, name="around"),
        one(**told, span_id="99" * 8, name="unknown"),
        one(**told, span_id=None, name="trace"),
    )
    rows = get(client, project, "quality", group_by="tier")["rows"]
    assert {row["name"]: row["tier"] for row in rows if row["scored"]} == {
        "itself": "first",
        "around": "middle",
        "unknown": "last",
        "trace": "last",
    }
    # A filter does not move a score to another request.
    rows = get(client, project, "quality", tier="first")["rows"]
    assert [(row["name"], row["scored"]) for row in rows] == [("itself", 1)]


def test_a_score_of_a_call_that_was_reported_twice_counts_for_the_row_that_counts(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook
) -> None:
    twin = a_request(response_id="r-1", tier="premium", source="opentelemetry.instrumentation.openai_v2")
    other = a_request(
        response_id="r-1",
        trace_id=twin.trace_id,
        parent_span_id=twin.span_id,
        source="openinference.instrumentation.openai",
    )
    later = a_request(NOON + timedelta(minutes=5), trace_id=twin.trace_id, tier="later")
    store(engine, project, book, [twin, other, later])
    client.post("/api/v1/settle", headers=project.ruling())
    shown = get(client, project, f"traces/{twin.trace_id}")["requests"]
    (hidden,) = [item for item in shown if not item["counted"]]
    post(client, project, one(trace_id=twin.trace_id, span_id=hidden["span_id"]))
    rows = get(client, project, "quality", group_by="tier")["rows"]
    assert [row["tier"] for row in rows if row["scored"]] == ["premium"]


def test_too_many_scores_are_refused_with_a_sentence(
    client: httpx.Client, project: Project, asked: list[RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.quality.SCORED_MAX", 2)
    answer = client.get("/api/v1/quality", headers=project.reading())
    assert (answer.status_code, "shorter time" in answer.json()["detail"]) == (400, True)


def test_no_more_groups_and_dimensions_are_answered_than_are_bearable(
    client: httpx.Client, project: Project, asked: list[RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.quality.ROWS_MAX", 1)
    answer = client.get("/api/v1/quality?group_by=tier", headers=project.reading())
    assert (answer.status_code, "name=" in answer.json()["detail"]) == (400, True)
    assert len(get(client, project, "quality", group_by="tier", limit=1)["rows"]) == 1


@pytest.mark.parametrize("group", ["user", "session", "streaming", "tag.team", "model", "http_status"])
def test_any_dimension_groups(
    client: httpx.Client, project: Project, asked: list[RequestRecord], group: str
) -> None:
    rows = get(client, project, "quality", group_by=group, interval="day", zone="Asia/Kolkata")["rows"]
    assert sum(row["scored"] for row in rows) == 4
