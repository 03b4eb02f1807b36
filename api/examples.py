"""The examples that OpenAPI shows; a test reads each with the model that it stands for."""

from __future__ import annotations

from typing import Any

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"

REQUEST: dict[str, Any] = {
    "id": f"{TRACE_ID}-{SPAN_ID}",
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "parent_span_id": "b7ad6b7169203331",
    "started_at": "2026-11-22T08:30:00.120000Z",
    "provider": "openai",
    "request_model": "gpt-4o-mini",
    "response_model": "gpt-4o-mini-2024-07-18",
    "response_id": "chatcmpl-2165cc8aa38c432eb37c",
    "operation": "chat",
    "service": "support-bot",
    "environment": "production",
    "release": "2026.11",
    "feature": "support-chat",
    "user": "user-4711",
    "session": "sess-9f2",
    "tenant": "acme",
    "plan": "pro",
    "tier": "lightweight",
    "tags": {"team": "support"},
    "router": "length-and-plan",
    "router_version": "3",
    "route_score": 0.82,
    "route_reason": "short question",
    "cascade_id": None,
    "cascade_step": None,
    "escalated_from": None,
    "fallback_from": None,
    "attempt": None,
    "retries": None,
    "service_tier": "default",
    "batch": False,
    "region": None,
    "cache": None,
    "usage": {
        "input_tokens": 23,
        "uncached_input_tokens": 23,
        "cache_read_tokens": 0,
        "cache_write_tokens": None,
        "cache_write_1h_tokens": None,
        "output_tokens": 17,
        "reasoning_tokens": 0,
        "reading": "inclusive",
    },
    "ttft_ms": 344.392,
    "duration_ms": 541.018,
    "streaming": True,
    "status": "ok",
    "error_type": None,
    "http_status": 200,
    "finish_reason": "stop",
    "cost": "0.00001365",
    "list_cost": "0.00001365",
    "cost_reported": None,
    "currency": "USD",
    "pricing_status": "priced",
    "pricing_reason": None,
    "price_version_id": 1174,
    "state": "settled",
    "counted": True,
    "duplicate_of": None,
    "source": "opentelemetry.instrumentation.genai.openai",
    "source_version": "1.3b0",
}

JUDGING: dict[str, Any] = {"requests": 12, "cost": "0.00342", "unpriced_requests": 0, "included": False}
REQUESTS: dict[str, Any] = {"items": [REQUEST], "next": None, "previous": None, "judging": JUDGING}

COST: dict[str, Any] = {
    "id": REQUEST["id"],
    "status": "priced",
    "reason": None,
    "why": None,
    "currency": "USD",
    "cost": "0.00001365",
    "list_cost": "0.00001365",
    "lines": [
        {
            "meter": "input",
            "quantity": 23,
            "unit": "token",
            "unit_price": "0.15",
            "per": 1000000,
            "pico_per_unit": 150000,
            "amount": "0.00000345",
            "note": None,
        },
        {
            "meter": "output",
            "quantity": 17,
            "unit": "token",
            "unit_price": "0.6",
            "per": 1000000,
            "pico_per_unit": 600000,
            "amount": "0.0000102",
            "note": None,
        },
    ],
    "arithmetic": "23 × $0.15 / 1,000,000 + 17 × $0.6 / 1,000,000 = $0.00001365",
    "context": {},
    "price": {
        "price_version_id": 1174,
        "layer": "catalogue",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "context": {},
        "source": "genai-prices 0.2.3",
        "source_digest": "9b1c0d1e6f4a4c0b8f0d2a7e5c3b1a09",
        "valid_from": None,
        "valid_to": None,
        "daily_utc": None,
        "recorded_at": "2026-11-22T08:00:00+00:00",
    },
    "model": {
        "name": "gpt-4o-mini-2024-07-18",
        "name_from": "response_model",
        "provider": "openai",
        "priced_as": "openai",
        "model": "gpt-4o-mini",
        "steps": [],
    },
    "usage_reading": "inclusive",
}

NEW_SCORES: dict[str, Any] = {
    "scores": [
        {
            "trace_id": TRACE_ID,
            "span_id": SPAN_ID,
            "name": "helpfulness",
            "value": 0.75,
            "label": "4 of 5 stars",
            "source": "feedback",
            "author": "user-4711",
            "comment": "Found my order at once.",
            "recorded_at": "2026-11-22T08:31:00Z",
        },
        {"trace_id": TRACE_ID, "name": "resolved", "value": True, "id": "ticket-815"},
    ]
}
STORED: dict[str, Any] = {"stored": 2, "known": 0}

SCORE: dict[str, Any] = {
    "id": "ticket-815",
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "name": "helpfulness",
    "value": 0.75,
    "label": "4 of 5 stars",
    "source": "feedback",
    "author": "user-4711",
    "comment": "Found my order at once.",
    "recorded_at": "2026-11-22T08:31:00Z",
}
SCORES: dict[str, Any] = {"items": [SCORE], "complete": True}

TRACE: dict[str, Any] = {
    "trace_id": TRACE_ID,
    "requests": [REQUEST],
    "spans": [
        {
            "span_id": "b7ad6b7169203331",
            "parent_span_id": None,
            "name": "POST /support-chat",
            "kind": "span",
            "source": "tripoint.demo",
            "service": "support-bot",
            "started_at": "2026-11-22T08:30:00.117000Z",
            "duration_ms": 546.2,
            "status": "ok",
            "error_type": None,
            "feature": "support-chat",
            "user": "user-4711",
            "session": "sess-9f2",
        }
    ],
    "complete": True,
    "scores": [SCORE],
    "contents": [
        {
            "span_id": SPAN_ID,
            "input": '[{"role":"user","parts":[…]}]',
            "output": '[{"role":"assistant","parts":[…]}]',
        }
    ],
}

ATTRIBUTION: dict[str, Any] = {
    "as_of": "2026-11-22T08:30:00Z",
    "currency": "USD",
    "from": None,
    "to": None,
    "coverage": {
        "requests": 3,
        "priced": 2,
        "unpriced": 1,
        "unpriced_reasons": {"unknown_model": 1},
        "usage_known": 3,
        "ttft_known": 1,
        "provisional": 0,
    },
    "judging": JUDGING,
    "groups": 1,
    "next_offset": None,
    "total": {"requests": 3, "cost": "0.001234", "unpriced_requests": 1},
    "rows": [{"feature": "support-chat", "requests": 3, "cost": "0.001234", "unpriced_requests": 1}],
}

KEY: dict[str, Any] = {
    "id": 12,
    "role": "ingest",
    "name": "checkout service",
    "hint": "tp_ingest_…0c02",
    "created_at": "2026-11-01T08:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": "2026-11-22T08:30:00Z",
}
MADE_KEY: dict[str, Any] = {"id": 12, "key": "tp_ingest_…"}
SETTLED: dict[str, Any] = {"traces": 5}

AUDIT: dict[str, Any] = {
    "items": [
        {
            "id": 118,
            "at": "2026-11-22T08:30:00Z",
            "actor": "ann@example.com",
            "action": "key.create",
            "target": "tp_ingest_…0c02 (checkout service)",
            "details": {"role": "ingest", "expires": None},
        }
    ],
    "next": "118",
}

_MEAN: dict[str, Any] = {
    "name": "helpfulness",
    "mean": 0.81,
    "low": 0.77,
    "high": 0.85,
    "scored": 240,
    "sessions": 112,
    "requests": 4800,
    "coverage": 0.05,
    "sources": {"feedback": 240},
    "reason": None,
}
QUALITY: dict[str, Any] = {
    "as_of": "2026-11-22T08:30:00Z",
    "from": "2026-11-01T00:00:00Z",
    "to": None,
    "method": "Each request counts with its raters' newest scores …",
    "judging": JUDGING,
    "groups": 1,
    "total": [_MEAN],
    "rows": [{"feature": "support-chat", "tier": "lightweight", **_MEAN}],
}
