"""OpenLLMetry (Traceloop): GenAI names since 0.6x, and the older `llm.*` and numbered ones."""

from __future__ import annotations

from core.conventions.family import (
    AGENT,
    FREE_METADATA,
    TASK,
    TOOL,
    WORKFLOW,
    Family,
    Scope,
    Texts,
    request,
)

ASSOCIATION = "traceloop.association.properties."

OPENLLMETRY = Family(
    name="openllmetry",
    kinds={
        "traceloop.span.kind": {"workflow": WORKFLOW, "task": TASK, "agent": AGENT, "tool": TOOL},
        "llm.request.type": {
            "chat": request("chat"),
            "completion": request("text_completion"),
            "embedding": request("embeddings"),
            "rerank": request("rerank"),
        },
    },
    fields={
        "request_model": ("llm.request.model",),
        "response_model": ("llm.response.model",),
        "input": ("llm.usage.prompt_tokens",),
        "output": ("llm.usage.completion_tokens",),
        "total": ("llm.usage.total_tokens",),
        "streaming": ("gen_ai.is_streaming", "llm.is_streaming"),
        "finish_reason": (
            "gen_ai.completion.0.finish_reason",
            "llm.response.finish_reason",
            "llm.response.stop_reason",
        ),
        "user": ("llm.user", *(ASSOCIATION + key for key in FREE_METADATA["user"])),
        "feature_hint": ("traceloop.workflow.name",),
        **{
            field: tuple(ASSOCIATION + key for key in keys)
            for field, keys in FREE_METADATA.items()
            if field != "user"
        },
    },
    tag_prefixes=(ASSOCIATION,),
    first_token_events=("gen_ai.content.completion.chunk", "llm.content.completion.chunk"),
    scopes={
        "opentelemetry.instrumentation.openai.v1": Scope("inclusive", ends_streams_with_a_reason=True),
        "opentelemetry.instrumentation.anthropic": Scope("inclusive"),
    },
    asked=Texts(numbered=("gen_ai.prompt.",), events={"gen_ai.content.prompt": "gen_ai.prompt"}),
    answered=Texts(
        numbered=("gen_ai.completion.",), events={"gen_ai.content.completion": "gen_ai.completion"}
    ),
)
