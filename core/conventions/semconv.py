"""OpenTelemetry GenAI semantic conventions, every generation, and the provider SDKs that follow them."""

from __future__ import annotations

from core.conventions.family import (
    AGENT,
    HTTP,
    MEMORY,
    NEVER_FETCH,
    RETRIEVER,
    TASK,
    TOOL,
    WORKFLOW,
    Family,
    Scope,
    Texts,
    request,
)

OPERATIONS = {
    "chat": request("chat"),
    "text_completion": request("text_completion"),
    "generate_content": request("generate_content"),
    "embeddings": request("embeddings"),
    "rerank": request("rerank"),
    "image_generation": request("image_generation"),
    "generate_image": request("image_generation"),
    "speech": request("speech"),
    "generate_speech": request("speech"),
    "text_to_speech": request("speech"),
    "transcription": request("transcription"),
    "speech_to_text": request("transcription"),
    "invoke_agent": AGENT,
    "create_agent": AGENT,
    "invoke_workflow": WORKFLOW,
    "execute_tool": TOOL,
    "agent_step": TASK,
    "plan": TASK,
    "retrieval": RETRIEVER,
    "create_memory": MEMORY,
    "update_memory": MEMORY,
    "upsert_memory": MEMORY,
    "delete_memory": MEMORY,
    "search_memory": MEMORY,
    "create_memory_store": MEMORY,
    "delete_memory_store": MEMORY,
    # reading a stored answer back shows its usage again, and costs nothing
    "fetch_response": NEVER_FETCH,
}

SEMCONV = Family(
    name="semconv",
    kinds={"gen_ai.operation.name": OPERATIONS},
    fields={
        "operation": ("gen_ai.operation.name",),
        "provider": ("gen_ai.provider.name", "gen_ai.system"),
        "request_model": ("gen_ai.request.model",),
        "response_model": ("gen_ai.response.model",),
        "response_id": ("gen_ai.response.id",),
        "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "total": ("gen_ai.usage.total_tokens",),
        "cache_read": (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached",
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.details.cache_read_input_tokens",
            "gen_ai.usage.details.cached_tokens",
        ),
        "cache_write": (
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
        ),
        "cache_write_5m": (
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
            "gen_ai.usage.details.ephemeral_5m_input_tokens",
        ),
        "cache_write_1h": (
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
            "gen_ai.usage.details.ephemeral_1h_input_tokens",
        ),
        "reasoning": (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning",
            "gen_ai.usage.details.reasoning_tokens",
        ),
        "ttft_s": (
            "gen_ai.response.time_to_first_chunk",
            # the names of two metrics, which some libraries also put on their spans
            "gen_ai.server.time_to_first_token",
            "gen_ai.client.operation.time_to_first_chunk",
        ),
        "streaming": ("gen_ai.request.stream",),
        "finish_reason": ("gen_ai.response.finish_reasons", "anthropic.message.stop_reason"),
        "service_tier": (
            "openai.response.service_tier",
            "gen_ai.openai.response.service_tier",
            "anthropic.response.service_tier",
        ),
        "service_tier_asked": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
        "cost_reported": ("gen_ai.usage.cost",),
        "retries": ("http.request.resend_count",),
        "attempt": ("gen_ai.request.attempt",),
        "error_type": ("error.type",),
        "http_status": ("http.response.status_code", "http.status_code"),
        "server_address": ("server.address", "net.peer.name", "gen_ai.openai.api_base", "url.full"),
        "region": ("cloud.region", "aws.region"),
        "user": ("user.id", "enduser.id", "gen_ai.request.user", "gen_ai.user"),
        "session": ("session.id", "gen_ai.conversation.id"),
        "feature_hint": ("gen_ai.agent.name", "gen_ai.workflow.name"),
    },
    last_resorts={"feature_hint": ("gen_ai.prompt.name",)},
    scopes={
        "com.anthropic.sdk.python": Scope(
            "inclusive", native=True, marks_streams_beside="gen_ai.request.model"
        ),
        "opentelemetry.instrumentation.genai.openai": Scope(
            "inclusive", marks_streams_beside="gen_ai.request.model", ends_streams_with_a_reason=True
        ),
        "opentelemetry.instrumentation.openai_v2": Scope("inclusive"),
        "opentelemetry.util.genai.handler": Scope("inclusive"),
    },
    asked=Texts(whole=("gen_ai.input.messages",), system=("gen_ai.system_instructions",)),
    answered=Texts(whole=("gen_ai.output.messages",)),
)

# Not a family of model calls: it only tells HTTP spans from other ones, so it is asked last.
_METHODS = {method: HTTP for method in ("get", "post", "put", "patch", "delete", "head", "options")}
HTTP_CLIENT = Family(name="http", kinds={"http.request.method": _METHODS, "http.method": _METHODS})
