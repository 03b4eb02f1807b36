"""OpenInference (Arize): `llm.*` names, with much of the truth inside JSON attributes."""

from __future__ import annotations

from core.conventions.family import (
    AGENT,
    CHAIN,
    FREE_METADATA,
    RETRIEVER,
    SPAN,
    TASK,
    TOOL,
    Blob,
    Family,
    Scope,
    Texts,
    request,
)

_CLIENT = Scope(
    "inclusive", marks_streams_beside="llm.invocation_parameters", ends_streams_with_a_reason=True
)
_PARAMETERS = {
    "request_model": ("model",),
    "streaming": ("stream",),
    "service_tier_asked": ("service_tier",),
    "user": ("user",),
}

OPENINFERENCE = Family(
    name="openinference",
    kinds={
        "openinference.span.kind": {
            "llm": request("chat"),
            "embedding": request("embeddings"),
            "reranker": request("rerank"),
            "agent": AGENT,
            "chain": CHAIN,
            "tool": TOOL,
            "retriever": RETRIEVER,
            "guardrail": TASK,
            "evaluator": TASK,
            "prompt": TASK,
            "unknown": SPAN,
        }
    },
    fields={
        "provider": ("llm.provider", "llm.system"),
        "request_model": ("llm.request.model_name",),
        "response_model": ("llm.response.model_name",),
        "input": ("llm.token_count.prompt",),
        "output": ("llm.token_count.completion",),
        "total": ("llm.token_count.total",),
        "cache_read": ("llm.token_count.prompt_details.cache_read",),
        "cache_write": ("llm.token_count.prompt_details.cache_write",),
        "reasoning": ("llm.token_count.completion_details.reasoning",),
        "finish_reason": ("llm.finish_reason",),
        "cost_reported": ("llm.cost.total",),
        "feature_hint": ("agent.name",),
    },
    # one slot holds the response's model where it is known, else the request's
    last_resorts={
        "request_model": ("embedding.model_name", "llm.model_name"),
        "response_model": ("llm.model_name", "embedding.model_name"),
    },
    blobs=(
        Blob("metadata", FREE_METADATA, tags=True),
        Blob("llm.invocation_parameters", _PARAMETERS),
        Blob("embedding.invocation_parameters", _PARAMETERS),
        Blob("output.value", {"response_id": ("id",), "service_tier": ("service_tier",)}),
        Blob("input.value", {"request_model": ("model",)}),
    ),
    first_token_events=("First Token Stream Event",),
    scopes={
        "openinference.instrumentation.openai": _CLIENT,
        "openinference.instrumentation.anthropic": _CLIENT,
    },
    asked=Texts(whole=("input.value",), numbered=("llm.input_messages.",)),
    answered=Texts(whole=("output.value",), numbered=("llm.output_messages.",)),
)
