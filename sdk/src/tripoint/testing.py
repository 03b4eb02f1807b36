"""For the tests of applications: what was said and called, in memory.

with tripoint.testing.capture() as seen:
    answer_customer("where is my order?")
assert seen.calls[0].feature == "support-chat"
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tripoint import _content, _spool
from tripoint._chunks import ABORTED, STREAM, TTFT
from tripoint._setup import stamp
from tripoint._words import CONTEXT, ROUTE, TAG

_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings", "rerank"})
# What the instrumentations in use call the same thing, best first.
_NAMES: Mapping[str, Sequence[str]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model": ("gen_ai.request.model", "llm.request.model_name", "llm.model_name", "embedding.model_name"),
    "response_model": ("gen_ai.response.model", "llm.model_name"),
    "response_id": ("gen_ai.response.id",),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "ttft_s": (TTFT, "gen_ai.server.time_to_first_token"),
    "stream": (STREAM, "gen_ai.is_streaming", "llm.is_streaming"),
    "error_type": ("error.type",),
    "http_status": ("http.response.status_code",),
    "cost_usd": ("gen_ai.usage.cost",),
    "input": ("gen_ai.input.messages", "input.value"),
    "output": ("gen_ai.output.messages", "output.value"),
}


@dataclass(frozen=True)
class CapturedCall:
    """One call to a model as Tripoint will read it; None is what nobody said. Times are in seconds."""

    name: str
    operation: str
    feature: str | None = None
    user: str | None = None
    session: str | None = None
    tenant: str | None = None
    plan: str | None = None
    tier: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    ttft_s: float | None = None
    duration_s: float = 0.0
    stream: bool | None = None
    aborted: bool = False
    finish_reason: str | None = None
    error_type: str | None = None
    http_status: int | None = None
    cost_usd: float | None = None
    input: Any = None
    output: Any = None
    span: ReadableSpan | None = field(default=None, repr=False, compare=False)


class Captured:
    """What ended while the capture was open, oldest first, with the content that would have left."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []
        self._lock = threading.Lock()

    def _add(self, span: ReadableSpan) -> None:
        with self._lock:
            self._spans.append(_content.current.leaving(span))

    @property
    def spans(self) -> list[ReadableSpan]:
        """Every span."""
        with self._lock:
            return list(self._spans)

    @property
    def calls(self) -> list[CapturedCall]:
        """The spans that are calls to a model."""
        return [_call(span) for span in self.spans if _operation(span) is not None]

    @property
    def call(self) -> CapturedCall:
        """The only call; an AssertionError says so where there were none or more."""
        calls = self.calls
        assert len(calls) == 1, f"expected one call to a model, saw {len(calls)}: {[c.name for c in calls]}"
        return calls[0]

    def clear(self) -> None:
        """Forget what was seen so far."""
        with self._lock:
            self._spans.clear()


class _Recorder(SpanProcessor):
    def __init__(self) -> None:
        self.open: list[Captured] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        for captured in tuple(self.open):
            captured._add(span)


_recorder = _Recorder()
_recorded: WeakSet[TracerProvider] = WeakSet()
_counting = threading.Lock()


@contextmanager
def capture() -> Iterator[Captured]:
    """See what the block's spans say, whether or not `init` was called. While it is open nothing is sent to
    Tripoint. Raises RuntimeError where the TracerProvider is not OpenTelemetry's SDK."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = TracerProvider(sampler=ALWAYS_ON)
        trace.set_tracer_provider(provider)
    if not isinstance(provider, TracerProvider):
        raise RuntimeError(
            "the TracerProvider in use is not OpenTelemetry's SDK; its spans cannot be captured"
        )
    if provider not in _recorded:
        stamp(provider)
        provider.add_span_processor(_recorder)
        _recorded.add(provider)
    captured = Captured()
    _hold_back(1)
    _recorder.open.append(captured)
    try:
        yield captured
    finally:
        _recorder.open.remove(captured)
        _hold_back(-1)


def _hold_back(change: int) -> None:
    with _counting:
        _spool.captured += change


def _operation(span: ReadableSpan) -> str | None:
    said = span.attributes or {}
    operation = said.get("gen_ai.operation.name")
    if operation is not None:
        return str(operation) if operation in _OPERATIONS else None
    kind = str(said.get("openinference.span.kind", "")).lower()
    old = {"llm": "chat", "embedding": "embeddings", "reranker": "rerank"}.get(kind)
    return old or {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}.get(
        str(said.get("llm.request.type", ""))
    )


def _call(span: ReadableSpan) -> CapturedCall:
    said = dict(span.attributes or {})
    found: dict[str, Any] = {
        name: next((said[place] for place in places if place in said), None)
        for name, places in _NAMES.items()
    }
    reasons = said.get("gen_ai.response.finish_reasons")
    for name in ("input", "output"):
        found[name] = _read(found[name])
    return CapturedCall(
        name=span.name,
        operation=_operation(span) or "",
        tags={name[len(TAG) :]: value for name, value in said.items() if name.startswith(TAG)},
        route={word: said[name] for word, name in ROUTE.items() if word != "tier" and name in said},
        duration_s=((span.end_time or 0) - (span.start_time or 0)) / 1e9,
        aborted=bool(said.get(ABORTED, False)),
        finish_reason=str(reasons[0]) if isinstance(reasons, (list, tuple)) and reasons else None,
        span=span,
        **{word: said.get(name) for word, name in CONTEXT.items()},  # type: ignore[arg-type]
        **found,
    )


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
