"""Evaluation results on spans: committed with their span, or named in the answer."""

from __future__ import annotations

import time
from typing import Any

import httpx
from sqlalchemy import Engine

from tests.collector.sending import JSON, send, server_with
from tests.conftest import Database, Project
from tests.otlp import attribute, body, llm_span
from tests.store.rows import table


def result(name: str | None = "relevance", value: Any = 0.8, **more: Any) -> dict[str, Any]:
    said = {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": value, **more}
    return {
        "name": "gen_ai.evaluation.result",
        "timeUnixNano": str(time.time_ns()),
        "attributes": [attribute(key, told) for key, told in said.items() if told is not None],
    }


def scored(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return llm_span(**fields) | {"events": list(events)}


def test_a_result_is_kept_with_its_span_and_a_retry_counts_once(
    client: httpx.Client, project: Project, engine: Engine
) -> None:
    span = scored(result(), result("tone", 1))
    for _ in range(2):
        assert send(client, project, span).json() == {}
    rows = table(engine, project, "score")
    assert {(row["name"], row["value"], row["source"]) for row in rows} == {
        ("relevance", 0.8, "evaluation"),
        ("tone", 1.0, "evaluation"),
    }
    assert {(row["trace_id"], row["span_id"]) for row in rows} == {(span["traceId"], span["spanId"])}


def test_a_result_that_is_no_score_is_counted_and_named(
    client: httpx.Client, project: Project, engine: Engine
) -> None:
    before = unread(client)
    answer = send(client, project, scored(result(), result(value=7.5), result(value=7.5), result(name=None)))
    assert answer.status_code == 200
    told = answer.json()["partialSuccess"]
    assert told["rejectedSpans"] == "0"
    assert "2 evaluation results not kept: value=7.5 is outside 0 to 1" in told["errorMessage"]
    assert "1 evaluation result not kept: it has no gen_ai.evaluation.name" in told["errorMessage"]
    assert len(table(engine, project, "score")) == 1
    assert len(table(engine, project)) == 1
    assert unread(client) == before + 3


def unread(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(
        next(line for line in lines if line.startswith("tripoint_evaluations_unread_total")).split()[1]
    )


def test_a_result_among_very_many_events_is_found(
    client: httpx.Client, project: Project, engine: Engine
) -> None:
    chunk = {"name": "chunk", "timeUnixNano": str(time.time_ns())}
    send(client, project, scored(*[chunk] * 500, result(), *[chunk] * 500))
    assert len(table(engine, project, "score")) == 1


def test_a_refused_span_brings_no_score(client: httpx.Client, project: Project, engine: Engine) -> None:
    answer = send(client, project, scored(result(), start_ns=1))
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert table(engine, project, "score") == []


def test_an_explanation_is_dropped_where_content_is_not_stored(
    database: Database, project: Project, engine: Engine
) -> None:
    span = scored(result(**{"gen_ai.evaluation.explanation": "quotes the prompt"}))
    with server_with(database, store_content=False) as server, server.client() as client:
        client.post("/v1/traces", content=body(span), headers=project.sending(JSON))
    assert [row["comment"] for row in table(engine, project, "score")] == [None]
