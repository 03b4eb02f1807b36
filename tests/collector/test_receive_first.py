"""A request goes in over HTTP and comes out of the API."""

from __future__ import annotations

import httpx

from tests.conftest import Project
from tests.otlp import body, llm_span


def test_what_was_acknowledged_is_in_the_next_answer(client: httpx.Client, project: Project) -> None:
    sent = client.post("/v1/traces", content=body(llm_span()), headers=project.sending("application/json"))
    assert (sent.status_code, sent.json()) == (200, {})
    answer = client.get("/api/v1/attribution?group_by=model", headers=project.reading()).json()
    assert [(row["model"], row["requests"], row["cost"]) for row in answer["rows"]] == [
        ("gpt-4o-mini", 1, "0.00001365")
    ]
