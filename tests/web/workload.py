"""Two weeks of a small product's requests: what the pages show in tests and in the README's pictures."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.conftest import Project
from tests.otlp import attribute, body, llm_span

_S = 1_000_000_000


@dataclass(frozen=True)
class Feature:
    """A feature of the product: its weight, its models by tier, its usual tokens."""

    name: str
    weight: int
    tiers: dict[str, tuple[str, str]]
    tokens: tuple[int, int]


FEATURES = (
    Feature(
        "support-chat",
        10,
        {"lightweight": ("openai", "gpt-4o-mini"), "premium": ("anthropic", "claude-sonnet-4-5")},
        (1400, 260),
    ),
    Feature(
        "search-answers",
        14,
        {"lightweight": ("gcp.gemini", "gemini-2.5-flash"), "standard": ("openai", "gpt-4.1-mini")},
        (2600, 180),
    ),
    Feature("document-summary", 4, {"standard": ("anthropic", "claude-haiku-4-5")}, (9000, 600)),
    Feature("code-review", 3, {"premium": ("anthropic", "claude-sonnet-4-5")}, (12000, 900)),
    Feature(
        "onboarding-agent",
        2,
        {"standard": ("openai", "gpt-4.1"), "premium": ("openai", "o4-mini")},
        (3000, 700),
    ),
)
_FIRST_TOKEN_S = {"lightweight": 0.28, "standard": 0.45, "premium": 0.9}
USERS = ("ada", "grace", "edsger", "barbara", "donald", "margaret", "alan", "katherine")


def two_weeks(now: datetime, requests: int = 1500, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Spans over fourteen days up to `now`: busier by day and on working days, a few failures, one model
    that nobody has a price for."""
    chance = random.Random(seed)
    for _ in range(requests):
        yield _request(chance, _moment(chance, now))


def _moment(chance: random.Random, now: datetime) -> datetime:
    while True:
        at = now - timedelta(seconds=chance.uniform(60, 14 * 86400))
        if chance.random() < (1 if at.weekday() < 5 else 0.35) * (1 if 7 <= at.hour < 20 else 0.25):
            return at


def _request(chance: random.Random, at: datetime) -> dict[str, Any]:
    feature = chance.choices(FEATURES, [f.weight for f in FEATURES])[0]
    tier = chance.choice(list(feature.tiers))
    provider, model = feature.tiers[tier]
    if feature.name == "document-summary" and chance.random() < 0.04:
        provider, model = "in-house", "acme-summarizer-7b"
    failed = chance.random() < 0.015
    streamed = feature.name != "document-summary"
    output = max(4, round(chance.lognormvariate(0, 0.5) * feature.tokens[1]))
    first = chance.lognormvariate(0, 0.35) * _FIRST_TOKEN_S[tier]
    seconds = first + output / chance.uniform(60, 140)
    return llm_span(
        provider=provider,
        model=model,
        input_tokens=None if failed else max(20, round(chance.lognormvariate(0, 0.4) * feature.tokens[0])),
        output_tokens=None if failed else output,
        start_ns=int(at.timestamp() * _S),
        duration_ns=int(seconds * _S),
        feature=feature.name,
        tripoint__tier=tier,
        user__id=f"{chance.choice(USERS)}@example.com" if chance.random() < 0.95 else None,
        session__id=f"session-{chance.randrange(400)}",
        tripoint__plan=chance.choice(("free", "team", "enterprise")),
        gen_ai__request__stream=streamed,
        gen_ai__response__time_to_first_chunk=round(first, 3) if streamed and not failed else None,
        error__type="RateLimitError" if failed else None,
        http__response__status_code=429 if failed else None,
    ) | ({"status": {"code": 2}} if failed else {})


def agent_trace(now: datetime, trace_id: str, turns: int = 7) -> list[dict[str, Any]]:
    """An agent that thinks, calls a tool and looks something up, `turns` times: four spans a turn and two above."""
    start = int((now - timedelta(minutes=5)).timestamp() * _S)
    at, number, spans = start + 40_000_000, 2, []
    for turn in range(turns):
        step, think, tool, find = (f"{number + i:016x}" for i in range(4))
        number += 4
        spans += [
            _span(trace_id, step, "1".zfill(16), f"step {turn + 1}", at, 3 * _S, {"openinference.span.kind": "CHAIN"}),
            _thought(trace_id, think, step, turn, at),
            _span(trace_id, tool, step, "execute_tool lookup_invoice", at + int(1.7 * _S), int(0.9 * _S),
                  {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup_invoice"}),
            _span(trace_id, find, tool, "SELECT invoice", at + int(1.8 * _S), _S // 2, {"db.system": "postgresql"}),
        ]  # fmt: skip
        at += int(3.1 * _S)
    whole = at - start
    root = _span(
        trace_id, "f" * 16, None, "POST /support/tickets", start, whole, {"http.request.method": "POST"}
    )
    agent = _span(
        trace_id, "1".zfill(16), "f" * 16, "invoke_agent billing-assistant", start + 20_000_000, whole - 30_000_000,
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "billing-assistant",
         "feature": "support-chat", "user.id": "ada@example.com", "session.id": "session-31"},
    )  # fmt: skip
    return [root, agent, *spans]


def _thought(trace_id: str, span_id: str, parent: str, turn: int, at: int) -> dict[str, Any]:
    premium = turn % 3 == 2
    asked = [
        {
            "role": "system",
            "content": "You answer questions about invoices. Use the tools; never guess a sum.",
        },
        {"role": "user", "content": f"Why is line {turn + 1} of my November invoice higher than last month?"},
    ]
    answered = [
        {"role": "assistant", "content": f"Let me look up line {turn + 1} and compare it with October."}
    ]
    return llm_span(
        trace_id=trace_id, span_id=span_id, parent=parent,
        provider="anthropic" if premium else "openai",
        model="claude-sonnet-4-5" if premium else "gpt-4o-mini",
        input_tokens=1200 + 350 * turn, output_tokens=90 + 12 * turn,
        start_ns=at, duration_ns=int((1.2 + 0.06 * turn) * _S),
        tripoint__tier="premium" if premium else "lightweight",
        tripoint__route__router="ladder", tripoint__route__version="2026-11-03",
        tripoint__route__score=0.31 if premium else 0.84,
        tripoint__route__reason="the lightweight answer cited no line" if premium else "short question",
        tripoint__cascade__id=f"{trace_id[:8]}-{turn // 3}", tripoint__cascade__step=2 if premium else 1,
        tripoint__cascade__escalated_from="lightweight" if premium else None,
        gen_ai__usage__cache_read__input_tokens=1024 if turn else None,
        gen_ai__request__stream=True,
        gen_ai__response__time_to_first_chunk=0.32 + 0.02 * turn,
        gen_ai__response__finish_reasons=["tool_calls" if turn < 6 else "stop"],
        gen_ai__input__messages=json.dumps(asked),
        gen_ai__output__messages=json.dumps(answered),
    )  # fmt: skip


def _span(
    trace_id: str,
    span_id: str,
    parent: str | None,
    name: str,
    start: int,
    duration: int,
    attributes: dict[str, Any],
) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": span_id,
        **({"parentSpanId": parent} if parent else {}),
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + duration),
        "attributes": [attribute(key, value) for key, value in attributes.items()],
        "status": {},
    }


def send(client: httpx.Client, project: Project, spans: list[dict[str, Any]], batch: int = 500) -> None:
    """The spans through the collector's own door, settled."""
    for at in range(0, len(spans), batch):
        answer = client.post(
            "/v1/traces",
            content=body(*spans[at : at + batch], scope="shop-gateway", service="shop"),
            headers=project.sending("application/json"),
        )
        assert answer.status_code == 200, answer.text
        assert not answer.json().get("partialSuccess", {}).get("rejectedSpans"), answer.text
    assert client.post("/api/v1/settle", headers=project.ruling()).status_code == 200
