"""What of prompts and answers leaves the process: decided on a copy, just before a span is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from tripoint._log import tell_once

Capture = Literal["all", "sampled", "none"]
Redact = Callable[[str], str]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WHOLE = _names(
    """
    gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions gen_ai.tool.definitions
    gen_ai.tool.call.arguments gen_ai.tool.call.result gen_ai.tool.message gen_ai.prompt
    gen_ai.completion gen_ai.content.prompt gen_ai.content.completion gen_ai.event.content
    gen_ai.retrieval.query.text gen_ai.retrieval.documents gen_ai.evaluation.explanation
    gen_ai.request.tools gen_ai.input gen_ai.output input.value output.value llm.prompts
    llm.completions llm.function_call llm.request.functions llm.prompt_template.template
    llm.prompt_template.variables llm.invocation_parameters embedding.invocation_parameters
    embedding.text embedding.vector document.content message.content message.function_call_arguments_json
    tool.parameters tool.description tool.json_schema tool_call.function.arguments reranker.query
    prompt.template prompt.template.variables traceloop.entity.input traceloop.entity.output
    traceloop.prompt.template ai.prompt ai.response.text ai.response.object ai.response.toolCalls
    ai.response.reasoning ai.response.files ai.result.text ai.result.object ai.result.toolCalls
    ai.toolCall.args ai.toolCall.result ai.value ai.values ai.embedding ai.embeddings ai.schema
    ai.stream.chunk langfuse.observation.input langfuse.observation.output langfuse.trace.input
    langfuse.trace.output mlflow.spanInputs mlflow.spanOutputs mlflow.chat.messages mlflow.chat.tools
    logfire.msg request_data response_data events all_messages_events pydantic_ai.all_messages final_result
    tool_arguments tool_response model_request_parameters messages prompt completion response user_prompt
    system_prompt new_context tool_input tool_output hidden_params
    """
)
_PREFIXES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.completions.",
    "llm.tools.",
    "llm.prompt_template.",
    "llm.request.functions.",
    "llm.openai.",
    "llm.anthropic.",
    "embedding.embeddings.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
    "traceloop.prompt.",
    "ai.prompt.",
    "ai.settings.prompt",
    "gen_ai.tool.call.",
)
# Where numbered answers and events hold what their reader needs to know beside the words.
_FACTS = re.compile(r"(\.|^)finish_reason$")
_CONTENT_EVENTS = _names(
    """
    gen_ai.content.prompt gen_ai.content.completion gen_ai.system.message gen_ai.user.message
    gen_ai.assistant.message gen_ai.tool.message gen_ai.choice gen_ai.client.inference.operation.details
    gen_ai.content.completion.chunk llm.content.completion.chunk
    """
)
_ERROR_TEXTS = frozenset(
    {"exception.message", "exception.stacktrace", "error.message", "langfuse.observation.status_message"}
)
_ERROR_CODE = re.compile(r"Error code: \d{3}\b")
_LLM_NAMES = ("gen_ai.", "llm.", "ai.", "langfuse.", "mlflow.", "traceloop.", "openinference.")
_LONGEST_FACT = 1024
# Facts that some libraries keep only inside recorded content. They leave under names of their own.
_HIDDEN = {
    "input.value": {"model": "gen_ai.request.model"},
    "output.value": {"id": "gen_ai.response.id", "service_tier": "openai.response.service_tier"},
}
_PARAMETERS = frozenset({"llm.invocation_parameters", "embedding.invocation_parameters"})
_PLAIN_PARAMETERS = _names(
    """
    model stream service_tier user temperature top_p top_k max_tokens max_completion_tokens
    max_output_tokens n seed presence_penalty frequency_penalty encoding_format dimensions
    reasoning_effort parallel_tool_calls store timeout
    """
)
_SHARE = 1 << 56


@lru_cache(maxsize=4096)
def is_content(name: str) -> bool:
    """Whether an attribute of this name holds words of a prompt, an answer, a tool or a document."""
    if name in _WHOLE:
        return True
    return name.startswith(_PREFIXES) and not _FACTS.search(name)


class Policy:
    """Which traces may take their content along, and what is done to it first.

    The choice is made by trace id, so all spans of a trace and all services with the same rate agree. It
    touches words only: every number, name and time leaves whatever was chosen.
    """

    def __init__(self, capture: Capture = "all", rate: float = 0.1, redact: Redact | None = None) -> None:
        share = {"all": 1.0, "none": 0.0}.get(capture, min(max(rate, 0.0), 1.0))
        self.capture = capture
        self._below = round(share * _SHARE)
        self._redact = redact
        self._touches = redact is not None or self._below < _SHARE

    def keeps(self, trace_id: int) -> bool:
        """Whether the content of this trace leaves."""
        return (trace_id & (_SHARE - 1)) < self._below

    def leaving(self, span: ReadableSpan) -> ReadableSpan:
        """The span as it may leave: itself, or a copy."""
        if not self._touches:
            return span
        context = span.get_span_context()
        keeps = context is not None and self.keeps(context.trace_id)
        return _copy(span, self._redacted if keeps else _dropped)

    def without_content(self, span: ReadableSpan) -> ReadableSpan:
        """The span without a word of content, for one that is too large to send."""
        return _copy(span, _dropped)

    def _redacted(self, name: str, value: Any) -> Any:
        if self._redact is None:
            return value
        if isinstance(value, str):
            try:
                answer = self._redact(value)
            except Exception as error:
                # The error's own words may quote what it failed on.
                tell_once(
                    f"redact:{type(error).__name__}",
                    "redact= raised %s on an attribute %s; content that it fails on is dropped",
                    type(error).__name__,
                    name,
                )
                return None
            if not isinstance(answer, str):
                tell_once("redact:type", "redact= answered no text; such content is dropped")
                return None
            return answer
        if isinstance(value, Mapping):
            return {key: self._redacted(name, item) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
            parts = [self._redacted(name, item) for item in value]
            return [part for part in parts if part is not None]
        return None if isinstance(value, (bytes, bytearray)) else value


def _dropped(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in _ERROR_TEXTS:
        found = _ERROR_CODE.search(value)
        return found.group() if found else None
    return None


_Treat = Callable[[str, Any], Any]


def _copy(span: ReadableSpan, treat: _Treat) -> ReadableSpan:
    status = span.status
    description = status.description
    if description:
        description = treat("exception.message", description)
        status = Status(status.status_code, description)
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_treated(span.attributes or {}, treat),
        events=[_event(event, treat) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _treated(attributes: Mapping[str, Any], treat: _Treat) -> dict[str, Any]:
    left: dict[str, Any] = {}
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if is_content(name) and not (name in _WHOLE and isinstance(value, (bool, int, float))):
            if name in _HIDDEN:
                found.update(_facts_in(name, value))
            value = _plain_parameters(value) if name in _PARAMETERS else treat(name, value)
        elif name in _ERROR_TEXTS or (treat is _dropped and _is_long(name, value)):
            value = treat(name, value)
        if value is not None:
            left[name] = value
    for name, fact in found.items():
        left.setdefault(name, fact)
    return left


def _is_long(name: str, value: Any) -> bool:
    """A text of the language model's families that is too long to be a fact: the net below the list."""
    return isinstance(value, str) and len(value) > _LONGEST_FACT and name.startswith(_LLM_NAMES)


def _event(event: Event, treat: _Treat) -> Event:
    attributes: Mapping[str, Any] = event.attributes or {}
    if event.name in _CONTENT_EVENTS:
        changed = {
            name: treat(name, value)
            if not isinstance(value, (bool, int, float)) and not _FACTS.search(name)
            else value
            for name, value in attributes.items()
        }
        attributes = {name: value for name, value in changed.items() if value is not None}
    else:
        attributes = _treated(attributes, treat)
    return Event(event.name, attributes, event.timestamp)


def _facts_in(name: str, value: Any) -> dict[str, str]:
    content = _parsed(value)
    if not isinstance(content, dict):
        return {}
    return {
        attribute: content[key][:256]
        for key, attribute in _HIDDEN[name].items()
        if isinstance(content.get(key), str)
    }


def _plain_parameters(value: Any) -> str | None:
    content = _parsed(value)
    if not isinstance(content, dict):
        return None
    plain = {
        key: item
        for key, item in content.items()
        if key in _PLAIN_PARAMETERS and isinstance(item, (str, int, float, bool))
    }
    return json.dumps(plain)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


current = Policy()


def obey(policy: Policy) -> None:
    """Make this the policy of the process."""
    global current
    current = policy
