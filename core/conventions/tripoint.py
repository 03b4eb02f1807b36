"""Names that our own SDK writes, and the plain ones that anyone may write by hand."""

from __future__ import annotations

from core.conventions.family import Family, Scope

TRIPOINT = Family(
    name="tripoint",
    fields={
        "feature": ("tripoint.feature", "app.feature", "feature"),
        "user": ("tripoint.user",),
        "session": ("tripoint.session",),
        "tenant": ("tripoint.tenant", "tenant.id"),
        "plan": ("tripoint.plan",),
        "tier": ("tripoint.tier", "gen_ai.route.tier"),
        "router": ("tripoint.route.router",),
        "router_version": ("tripoint.route.version",),
        "route_score": ("tripoint.route.score",),
        "route_reason": ("tripoint.route.reason",),
        "cascade_id": ("tripoint.cascade.id",),
        "cascade_step": ("tripoint.cascade.step",),
        "escalated_from": ("tripoint.cascade.escalated_from",),
        "fallback_from": ("tripoint.cascade.fallback_from",),
        "attempt": ("tripoint.attempt",),
        "cache": ("tripoint.cache.kind",),
        "cache_similarity": ("tripoint.cache.similarity",),
        "batch": ("tripoint.batch",),
        "aborted": ("tripoint.aborted",),
    },
    tag_prefixes=("tripoint.tag.",),
    # `llm_call` asks for the whole input, and marks every stream
    scopes={"tripoint": Scope("inclusive", marks_streams_beside="gen_ai.request.model")},
)
