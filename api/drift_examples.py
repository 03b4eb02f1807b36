"""The examples that OpenAPI shows of streams, alerts, anchors and channels."""

from __future__ import annotations

from typing import Any

from api.examples import SPAN_ID, TRACE_ID

TERMS: dict[str, Any] = {"alpha": 0.01, "reference": 200, "least_effect": 0.02, "run_length": 10000}

_STREAM: dict[str, Any] = {
    "id": 7,
    "feature": "support-chat",
    "tier": "lightweight",
    "model": "gpt-4o-mini-2024-07-18",
    "rubric": "answer",
    "rubric_version": "1f0c9d2e7ab34c55",
    "dimension": "helpful",
    "score_name": "answer.helpful",
    "judge": "gpt-5-mini",
    "strong_judge": None,
    "status": "watching",
    "count": 812,
    "reference": {"count": 200, "mean": 0.81, "low": 0.72, "high": 0.88, "least_effect": 0.02},
    "evidence": 1.7,
    "threshold": 200.0,
    "side": "fall",
    "signal": 310.4,
    "signal_threshold": 10000,
    "noticed": False,
    "moved": False,
    "alert_id": None,
    "updated_at": "2026-11-22T08:30:00Z",
}
STREAMS: dict[str, Any] = {
    "terms": TERMS,
    "method": "Each stream's first scores are its reference …",
    "watched": 1,
    "left_out": 0,
    "items": [_STREAM],
}

_EXAMPLE: dict[str, Any] = {
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "started_at": "2026-11-20T14:03:00Z",
    "score": 0.25,
    "reason": "It answers another question.",
    "values": {"feature": "support-chat", "tier": "lightweight", "release": "2026.11"},
}
ALERT_LINE: dict[str, Any] = {
    "id": 3,
    "kind": "drift",
    "severity": "page",
    "state": "open",
    "title": "answer.helpful of support-chat · lightweight · gpt-4o-mini fell from 0.81 to 0.58",
    "verdict": "system",
    "who": "system",
    "opened_at": "2026-11-20T16:00:00Z",
    "acknowledged_at": None,
    "acknowledged_by": None,
    "resolved_at": None,
    "resolved_by": None,
}
ALERTS: dict[str, Any] = {"items": [ALERT_LINE], "next": None}
ALERT: dict[str, Any] = {
    **ALERT_LINE,
    "body": {
        "sentence": "The system changed: answer.helpful of support-chat · lightweight · gpt-4o-mini fell by 0.23"
        " (95 % interval 0.18 to 0.28) about 2026-11-20 14:00 UTC. 60 anchors were judged again and did not move"
        " with it.",
        "examples": {"before": [], "after": [_EXAMPLE]},
    },
    "later": None,
    "deliveries": [
        {
            "channel": "on call",
            "kind": "webhook",
            "event": "opened",
            "state": "sent",
            "attempts": 1,
            "last_error": None,
            "sent_at": "2026-11-20T16:00:02Z",
            "not_before": "2026-11-20T16:00:00Z",
        }
    ],
}

NEW_ANCHORS: dict[str, Any] = {"name": "November", "rubric": "answer", "every": "day", "size": 100}
ANCHOR_SET: dict[str, Any] = {
    "id": 2,
    "name": "November",
    "rubric": "answer",
    "rubric_version": "1f0c9d2e7ab34c55",
    "every": "day",
    "size": 100,
    "created_at": "2026-11-01T08:00:00Z",
    "created_by": "ann@example.com",
    "retired_at": None,
    "judged": 2100,
    "last_at": "2026-11-22T00:20:00Z",
    "watches": [
        {
            "judge": "gpt-5-mini",
            "dimension": "answer.helpful",
            "status": "watching",
            "count": 1900,
            "margin": 0.04,
            "evidence": 0.8,
            "threshold": 200.0,
            "alarms": False,
        }
    ],
}
ANCHORS: dict[str, Any] = {"items": [ANCHOR_SET]}
ANCHOR_ITEMS: dict[str, Any] = {
    "items": [
        {
            "place": 0,
            "trace_id": TRACE_ID,
            "span_id": SPAN_ID,
            "started_at": "2026-10-30T14:03:00Z",
            "labels": {"helpful": 0.75},
        }
    ]
}
OWED: dict[str, Any] = {"owed": 100}

NEW_CHANNEL: dict[str, Any] = {
    "name": "on call",
    "kind": "webhook",
    "url": "https://hooks.example.com/tripoint",
    "secret_variable": "TRIPOINT_WEBHOOK_SECRET_ONCALL",
    "to": [],
}
CHANNEL: dict[str, Any] = {
    "id": 4,
    **NEW_CHANNEL,
    "created_at": "2026-11-01T08:00:00Z",
    "created_by": "ann@example.com",
    "last": {
        "channel": "on call",
        "kind": "webhook",
        "event": "opened",
        "state": "sent",
        "attempts": 1,
        "last_error": None,
        "sent_at": "2026-11-20T16:00:02Z",
        "not_before": "2026-11-20T16:00:00Z",
    },
}
CHANNELS: dict[str, Any] = {"items": [CHANNEL]}
