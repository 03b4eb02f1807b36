"""Judging as an operator has it: `tripoint up`, a judge's server that misbehaves, and everything killed at work."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.test_up import bearer, running, send_all, wait_until
from tests.judge.endpoint import Endpoint, chat, endpoint, verdict
from tests.otlp import llm_span

pytestmark = pytest.mark.slow
MANY = 40
__all__ = ["endpoint"]


def call(ready: dict[str, Any], method: str, path: str, value: Any = None) -> Any:
    answer = httpx.request(
        method,
        f"{ready['url']}/api/v1{path}",
        json=value,
        headers=bearer(ready["admin_key"]),
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def spans() -> list[dict[str, Any]]:
    """Answered questions, each in a trace of its own, with what was asked and answered."""
    return [
        llm_span(
            gen_ai__input__messages=json.dumps([{"role": "user", "content": f"Where is parcel {number}?"}]),
            gen_ai__output__messages=json.dumps(
                [{"role": "assistant", "content": f"{number} is in Hamburg."}]
            ),
        )
        for number in range(MANY)
    ]


def test_a_kill_at_work_loses_no_judgement_and_pays_twice_for_calls_in_flight_alone(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    def respond(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
        time.sleep(0.25)
        if number % 10 == 3:
            return 503, {"error": {"message": "busy"}}, {"retry-after": "1"}
        return 200, chat("I would say four." if number % 17 == 5 else verdict(4)), {}

    endpoint.respond = respond
    with running(tmp_path) as (_, ready):
        call(ready, "PUT", "/judging/budget", {"limit": "10"})
        judge = {
            "name": "tiny",
            "kind": "openai",
            "model": "tiny-1",
            "base_url": endpoint.url,
            "timeout_s": 2,
            "input_usd_per_million": "2",
            "output_usd_per_million": "8",
        }
        call(ready, "POST", "/judges", judge)
        policy = {"rubric": "relevance", "judge": "tiny", "wanted_a_day": 1_000_000, "back_days": 1}
        call(ready, "POST", "/policies", policy)
        send_all(ready, spans())
        wait_until(lambda: len(endpoint.calls) > MANY // 3, "the judge was not asked", 60)
    # `running` has killed all of it, as a power cut would.
    in_flight = 4
    with running(tmp_path) as (_, ready):
        wait_until(lambda: owed(ready) == 0, "something is owed for ever", 120)
        state = call(ready, "GET", "/judging")
        budget = state["budget"]
    (judged,) = state["judges"]
    assert judged["scored"] == MANY and judged["failed"] == 0
    answered = sum(1 for number in range(1, len(endpoint.calls) + 1) if number % 10 != 3)
    unreadable = sum(
        1 for number in range(1, len(endpoint.calls) + 1) if number % 17 == 5 and number % 10 != 3
    )
    assert MANY + unreadable <= answered <= MANY + unreadable + in_flight
    assert Decimal(budget["spent"]) <= Decimal(budget["limit"]) and budget["reserved"] == "0"


def owed(ready: dict[str, Any]) -> int:
    state = call(ready, "GET", "/judging")
    return int(state["waiting"] + state["asked"] + state["settled_not_looked_at"])
