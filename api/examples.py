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

NEW_RUBRIC: dict[str, Any] = {
    "name": "tone",
    "title": "Tone of voice",
    "inputs": ["question", "answer"],
    "instructions": "Our customers are adults and in a hurry.",
    "dimensions": [
        {
            "name": "warmth",
            "question": "Is the answer friendly?",
            "levels": ["rude or cold", "neutral", "friendly"],
        }
    ],
}
RUBRIC: dict[str, Any] = {
    **NEW_RUBRIC,
    "version": "9f1c2ab84de07735",
    "dimensions": [
        {
            "name": "warmth",
            "question": "Is the answer friendly?",
            "levels": [
                {"score": 0.0, "words": "rude or cold"},
                {"score": 0.5, "words": "neutral"},
                {"score": 1.0, "words": "friendly"},
            ],
        }
    ],
    "scorer": None,
    "options": None,
    "score_names": ["tone.warmth"],
    "built_in": False,
    "created_at": "2026-11-22T08:30:00Z",
    "created_by": "key tp_admin_…4f2a",
}
NEW_JUDGE: dict[str, Any] = {
    "name": "gpt-4.1-mini",
    "kind": "openai",
    "model": "gpt-4.1-mini",
    "key_variable": "TRIPOINT_JUDGE_KEY_OPENAI",
}
JUDGE: dict[str, Any] = {
    **NEW_JUDGE,
    "base_url": "https://api.openai.com/v1",
    "provider": "openai",
    "max_output_tokens": 1024,
    "temperature": None,
    "timeout_s": 60.0,
    "at_once": 4,
    "structured": True,
    "input_usd_per_million": None,
    "output_usd_per_million": None,
    "created_at": "2026-11-22T08:30:00Z",
    "retired_at": None,
    "failures": 0,
    "open_until": None,
    "last_error": None,
}
NEW_POLICY: dict[str, Any] = {
    "rubric": "relevance",
    "judge": "gpt-4.1-mini",
    "method": "neyman",
    "strata": ["feature", "tier"],
    "wanted_a_day": 300,
    "back_days": 7,
}
POLICY: dict[str, Any] = {
    "id": 3,
    "rubric": "relevance",
    "version": "b61f0c5e2a9d4481",
    "judge": "gpt-4.1-mini",
    "strong_judge": None,
    "method": "neyman",
    "strata": ["feature", "tier"],
    "wanted_a_day": 300,
    "floor": 10,
    "least": 0.01,
    "repeats": 1,
    "escalate_below": 0.5,
    "audit": 0.05,
    "filters": {},
    "starts_at": "2026-11-15T08:30:00Z",
    "created_at": "2026-11-22T08:30:00Z",
    "created_by": "key tp_admin_…4f2a",
    "ended_at": None,
}
BUDGET: dict[str, Any] = {
    "day": "2026-11-22",
    "limit": "5",
    "spent": "1.3274",
    "reserved": "0.0182",
    "calls": 412,
    "currency": "USD",
}
WHY: dict[str, Any] = {
    "items": [
        {
            "rubric": "relevance",
            "policy": 3,
            "state": None,
            "why": "It was not drawn: its number is 0.4821, and only numbers below 0.0500, the probability of its"
            ' stratum ["support-chat","lightweight"] on that day, are.',
            "probability": 0.05,
            "number": 0.4821,
        }
    ]
}
NEW_TRIAL: dict[str, Any] = {"rubric": "relevance", "judge": "gpt-4.1-mini"}
TRIAL: dict[str, Any] = {
    "trial": "trial-3f9a1c20b7e4",
    "rubric": "relevance",
    "version": "b61f0c5e2a9d4481",
    "items": [
        {
            "id": 9120,
            "request": f"{TRACE_ID}-{SPAN_ID}",
            "state": "scored",
            "judge": "gpt-4.1-mini",
            "repeat": 0,
            "scores": {"relevance": 0.75},
            "said": {"relevance": "It answers with some padding."},
            "confidence": 0.9,
            "reason": None,
            "cost": "0.000312",
            "done_at": "2026-11-22T08:31:00Z",
        }
    ],
}
JUDGING_HEALTH: dict[str, Any] = {
    "budget": BUDGET,
    "hits_limit_at": None,
    "settled_not_looked_at": 0,
    "waiting": 12,
    "asked": 4,
    "judges": [
        {
            "judge": "gpt-4.1-mini",
            "scored": 2011,
            "failed": 3,
            "waiting": 12,
            "unreadable": 9,
            "calls": 2120,
            "errors": 97,
            "cost": "0.6611",
            "latency_p50_ms": 1410.2,
            "latency_p95_ms": 3820.9,
            "paused_until": None,
            "last_error": "HTTP 429: slow down",
        }
    ],
    "failed": [
        {
            "reason": "no context was stored with it",
            "judgements": 3,
            "example": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        }
    ],
}
_JUDGED: dict[str, Any] = {
    "name": "faithfulness",
    "requests": 48_210,
    "judged": 4_800,
    "coverage": 0.0996,
    "sessions": 3_120,
    "escalated": 410,
    "open_to_labels": 4_800,
    "judge": {"mean": 0.874, "low": 0.866, "high": 0.882, "reason": None},
    "corrected": {
        "mean": 0.821,
        "low": 0.793,
        "high": 0.849,
        "reason": None,
        "method": "cross-fitted",
        "labels": 240,
        "gain": 0.93,
    },
    "at_length": {
        "mean": None,
        "low": None,
        "high": None,
        "reason": "One row has no length to share: group by something.",
    },
}
ESTIMATES: dict[str, Any] = {
    "as_of": "2026-11-22T08:30:00Z",
    "from": "2026-11-01T00:00:00Z",
    "to": None,
    "method": "A sample of the requests was judged, each drawn with a known probability …",
    "groups": 1,
    "total": [_JUDGED],
    "rows": [
        {
            "feature": "support-chat",
            **_JUDGED,
            "at_length": {"mean": 0.869, "low": 0.86, "high": 0.878, "reason": None},
        }
    ],
}

NEW_REVIEWS: dict[str, Any] = {
    "rubric": "faithfulness",
    "a_day": 20,
    "second_share": 0.2,
    "now": 40,
    "requests": [],
    "raters": 1,
}
PUT: dict[str, Any] = {"pool": 1840, "drawn": 37, "asked": 0}
QUEUE: dict[str, Any] = {
    "plans": [{"rubric": "faithfulness", "a_day": 20, "second_share": 0.2, "filled_on": "2026-11-22"}],
    "progress": [
        {
            "rubric": "faithfulness",
            "open": 31,
            "done": 129,
            "asked": 2,
            "for_you": 28,
            "by_you": 64,
            "skipped_by_you": 3,
        }
    ],
}
NEXT: dict[str, Any] = {
    "item": {
        "id": 4711,
        "rubric": "faithfulness",
        "version": "0f3c9a51d2b7e684",
        "title": "Faithfulness to the context",
        "instructions": "Judge against the context alone, not against what you know of the world.",
        "dimensions": [
            {
                "name": "faithfulness",
                "question": "Is everything that the answer claims supported by the context?",
                "levels": [
                    {"score": 0.0, "words": "Its main claims contradict the context."},
                    {"score": 1.0, "words": "Every claim is supported by the context."},
                ],
            }
        ],
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "question": "Why is my invoice higher than last month?",
        "context": "Document:\nLine 3: 12 seats …",
        "answer": "Because two seats were added on 3 November.",
        "leased_until": "2026-11-22T08:45:00Z",
    }
}
ANSWER: dict[str, Any] = {"levels": {"faithfulness": 2}, "comment": None, "skip": None}
ANSWERED: dict[str, Any] = {"outcome": "labelled"}

_LABEL: dict[str, Any] = {
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "rubric": "faithfulness",
    "version": "0f3c9a51d2b7e684",
    "dimension": "faithfulness",
    "value": 0.75,
    "level": "Nearly every claim is supported.",
    "rater": "ann@example.com",
    "time": "2026-11-22T09:12:00Z",
    "comment": None,
    "drawn": True,
    "judge": 1.0,
    "judge_chance": 0.1,
    "label_chance": 0.04,
}
LABELS: dict[str, Any] = {"items": [_LABEL], "next": None}
NEW_LABELS: dict[str, Any] = {
    "labels": [
        {
            "trace_id": TRACE_ID,
            "span_id": SPAN_ID,
            "rubric": "faithfulness",
            "dimension": "faithfulness",
            "value": 0.75,
            "rater": "ann@example.com",
            "time": "2026-11-22T09:12:00Z",
        }
    ]
}
_COEFFICIENT: dict[str, Any] = {"items": 240, "value": 0.62, "low": 0.53, "high": 0.7, "reason": None}
AGREEMENT: dict[str, Any] = {
    "from": None,
    "to": None,
    "method": "Weighted kappa (Cohen 1968, quadratic weights) and ICC(2,1) …",
    "rows": [
        {
            "name": "faithfulness",
            "labelled": 240,
            "twice": 52,
            "judge_kappa": _COEFFICIENT,
            "judge_icc": _COEFFICIENT,
            "people_kappa": {"items": 52, "value": 0.74, "low": 0.58, "high": 0.85, "reason": None},
            "people_icc": {"items": 52, "value": 0.74, "low": 0.58, "high": 0.86, "reason": None},
        }
    ],
}
NEW_COMPARISON: dict[str, Any] = {
    "name": "lightweight or premium",
    "rubric": "relevance",
    "version": None,
    "judge": "gpt-4.1-mini",
    "first_label": "lightweight",
    "second_label": "premium",
    "pairs": [
        {
            "first": {"trace_id": TRACE_ID, "span_id": SPAN_ID},
            "second": {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"},
        },
        {
            "question": "Where is my parcel?",
            "first": "It is in Hamburg and arrives tomorrow.",
            "second": "Please ask the carrier.",
            "cluster": "sess-9f2",
        },
    ],
}
_COMPARISON_LINE: dict[str, Any] = {
    "id": 12,
    "name": "lightweight or premium",
    "rubric": "relevance",
    "version": "b61f0c5e2a9d4481",
    "judge": "gpt-4.1-mini",
    "first_label": "lightweight",
    "second_label": "premium",
    "pairs": 200,
    "done": True,
    "waiting": 0,
    "scored": 398,
    "failed": 2,
    "cost": "0.1204",
    "currency": "USD",
    "created_at": "2026-11-22T08:30:00Z",
    "created_by": "key tp_admin_…4f2a",
}
COMPARISON: dict[str, Any] = _COMPARISON_LINE | {
    "method": "Each pair counts with the mean of the judge's verdicts in both orders …",
    "dimensions": [
        {
            "dimension": "relevance",
            "n": 198,
            "sessions": 160,
            "win_rate": {"value": 0.41, "low": 0.35, "high": 0.47, "reason": None},
            "flip_rate": {"value": 0.12, "low": 0.08, "high": 0.17, "reason": None},
            "ties": 31,
            "win_rate_at_equal_length": {"value": 0.45, "low": 0.38, "high": 0.52, "reason": None},
        }
    ],
    "reasons": [{"state": "failed", "reason": "HTTP 400: bad request", "judgements": 2, "pair": 17}],
}
COMPARISONS: dict[str, Any] = {"items": [_COMPARISON_LINE], "next": None}
