"""What the collector counts about itself, for /metrics."""

from __future__ import annotations

from prometheus_client import Counter

BODIES = Counter("tripoint_otlp_bodies", "OTLP bodies answered", ["signal", "status"])
SPANS = Counter("tripoint_spans", "Spans accepted (replays included)")
REJECTED = Counter("tripoint_spans_rejected", "Spans refused with a reason in the answer")
SCORES = Counter("tripoint_scores", "Scores accepted from evaluation results on spans (replays included)")
UNSCORED = Counter(
    "tripoint_evaluations_unread", "Evaluation results on spans that are no score, with a reason"
)
UNREAD = Counter("tripoint_items_unread", "Log records and data points answered as rejected", ["signal"])
SETTLED = Counter(
    "tripoint_traces_settled", "Traces settled by this process on request; the worker settles the others"
)
