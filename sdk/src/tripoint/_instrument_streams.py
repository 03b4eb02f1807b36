"""What instrumentations leave out or get wrong of streams: when the first output came, and whether it was left early.

The spans that an instrumentation has begun in a context are known from their start; the client's stream object,
made in the same context, claims them; the stream's own iterator sees each chunk before any instrumentation does.
The last word on a span's attributes is had just before it ends, since some instrumentations write the time of the
prelude there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from importlib import import_module
from time import perf_counter, time_ns
from typing import Any
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode

from tripoint._chunks import ABORTED, STREAM, TTFT, shows_something
from tripoint._log import harmless, tell_once

# Which client's calls an instrumentation scope reports; longer names before shorter ones that they begin with.
_SCOPES = (
    ("opentelemetry.instrumentation.genai.openai", "openai"),
    ("opentelemetry.instrumentation.genai.anthropic", "anthropic"),
    ("openinference.instrumentation.openai", "openai"),
    ("openinference.instrumentation.anthropic", "anthropic"),
    ("opentelemetry.instrumentation.openai", "openai"),
    ("opentelemetry.instrumentation.anthropic", "anthropic"),
    ("com.anthropic.sdk.python", "anthropic"),
)
_LATE_NS = 5_000_000
_clients: dict[str, str | None] = {}
_LAST = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed", "error"})


class Begun:
    """One span of a call that has begun. It stands in for the span's `end` to have the last word."""

    __slots__ = ("began", "complete", "scope", "span", "streamed", "ttft_s")

    def __init__(self, span: Span, scope: str) -> None:
        self.span, self.scope, self.began = span, scope, perf_counter()
        self.streamed = self.complete = False
        self.ttft_s: float | None = None
        span.end = self.end  # type: ignore[method-assign]

    def claim(self) -> None:
        self.streamed = True
        self._say(STREAM, True)

    def shown(self, at: float) -> None:
        self.ttft_s = at - self.began
        self._say(TTFT, self.ttft_s)

    def end(self, end_time: int | None = None) -> None:
        """End the span, which has its own `end` again from here on."""
        vars(self.span).pop("end", None)
        if self.span.is_recording():
            self._last_word()
        self.span.end(end_time)

    @harmless
    def _last_word(self) -> None:
        said = self.span.attributes or {}
        failed = self.span.status.status_code is StatusCode.ERROR
        if not self.streamed:
            if STREAM not in said and not failed:
                self._say(STREAM, False)
            return
        self._say(STREAM, True)
        if self.ttft_s is not None:
            self._say(TTFT, self.ttft_s)
        elif TTFT in said:
            # A prelude was timed and no output came; OpenTelemetry has no public way to take it back.
            attributes: Any = self.span._attributes
            del attributes[TTFT]
        # To one instrumentation a stream that its reader drops is an error, called _OTHER.
        if not self.complete and (not failed or said.get("error.type") == "_OTHER"):
            self._say(ABORTED, True)

    def _say(self, name: str, value: bool | float) -> None:
        if self.span.is_recording():
            self.span.set_attribute(name, value)


_begun: dict[str, ContextVar[tuple[Begun, ...]]] = {
    client: ContextVar(f"tripoint_begun_{client}", default=()) for client in ("openai", "anthropic")
}
_watched: WeakSet[TracerProvider] = WeakSet()


class StreamSpanProcessor(SpanProcessor):
    """Knows the spans of calls from their start."""

    @harmless
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        client = _client_of(scope)
        if client is None or _is_history(span):
            return
        others = (b for b in _begun[client].get() if b.scope != scope and b.span.is_recording())
        _begun[client].set((*others, Begun(span, scope)))

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing to do."""


def _is_history(span: Span) -> bool:
    """Whether the call was over before its span was begun; OpenLLMetry does so with streamed Responses."""
    return span.start_time is not None and time_ns() - span.start_time > _LATE_NS


def watch_spans(provider: TracerProvider) -> None:
    """Watch the spans of this provider, once."""
    if provider not in _watched:
        _watched.add(provider)
        provider.add_span_processor(StreamSpanProcessor())


def watch_streams(client: str) -> None:
    """Watch the streams that this client library makes, once."""
    module = import_module(client)
    _watch(module.Stream, client, _watched_items)
    _watch(module.AsyncStream, client, _watched_async_items)


def _watch(stream: Any, client: str, watched: Callable[[Any, tuple[Begun, ...]], Any]) -> None:
    if "_tripoint_begun" in vars(stream):
        return
    begin, items = stream.__init__, stream.__stream__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        self._tripoint_begun = _claimed(client)
        begin(self, *args, **kwargs)

    def __stream__(self: Any) -> Any:  # noqa: N807
        return watched(items(self), self._tripoint_begun) if self._tripoint_begun else items(self)

    stream._tripoint_begun = ()
    stream.__init__, stream.__stream__ = __init__, __stream__


def _claimed(client: str) -> tuple[Begun, ...]:
    """The spans that belong to the stream that is being made in this context."""
    try:
        found = tuple(b for b in _begun[client].get() if not b.streamed and b.span.is_recording())
        for begun in found:
            begun.claim()
        _begun[client].set(())
        return found
    except Exception as error:
        tell_once("claim", "a stream could not be watched: %r", error)
        return ()


def _watched_items(items: Iterator[Any], calls: tuple[Begun, ...]) -> Iterator[Any]:
    shown = False
    for item in items:
        shown = _seen(item, calls, shown)
        yield item
    _complete(calls)


async def _watched_async_items(items: AsyncIterator[Any], calls: tuple[Begun, ...]) -> AsyncIterator[Any]:
    shown = False
    try:
        async for item in items:
            shown = _seen(item, calls, shown)
            yield item
        _complete(calls)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


def _seen(item: Any, calls: tuple[Begun, ...], shown: bool) -> bool:
    try:
        if not shown and shows_something(item):
            at = perf_counter()
            for begun in calls:
                begun.shown(at)
            shown = True
        elif shown and _is_last(item):
            _complete(calls)
    except Exception as error:
        tell_once("chunk", "a chunk could not be read: %r", error)
    return shown


def _is_last(item: Any) -> bool:
    kind = getattr(item, "type", None)
    if isinstance(kind, str):
        return kind in _LAST
    return any(getattr(choice, "finish_reason", None) for choice in getattr(item, "choices", None) or ())


def _complete(calls: tuple[Begun, ...]) -> None:
    for begun in calls:
        begun.complete = True


def _client_of(scope: str) -> str | None:
    if scope not in _clients:
        _clients[scope] = next((client for start, client in _SCOPES if scope.startswith(start)), None)
    return _clients[scope]
