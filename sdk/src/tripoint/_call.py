"""A call to a model, written down by hand where nothing instruments it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from tripoint import _content
from tripoint._chunks import ABORTED, STREAM, TTFT, shows_something
from tripoint._feedback import Ids, ids_of
from tripoint._log import harmless
from tripoint._version import __version__
from tripoint._words import let_go, untold

T = TypeVar("T")

_LONGEST_TEXT = 1_000_000
_LONGEST_MESSAGE = 1_000
_tracer = trace.get_tracer("tripoint", __version__)


def llm_call(
    model: str,
    *,
    provider: str,
    operation: str = "chat",
    input: object = None,
    stream: bool = False,
    **parameters: object,
) -> Call:
    """A span for one call to a model: `with tripoint.llm_call(...) as call:`, or `async with`.

    `operation` is a GenAI operation (chat, text_completion, embeddings …). `input` is text or a list of
    messages; it leaves as `init(content=…)` says. Other parameters (temperature, max_tokens …) are kept where
    they are numbers, short texts or lists of these. Never raises; the block's own errors pass through.
    """
    return Call(model, provider, operation, input, stream, parameters)


class Call:
    """One call, from the start of its block to its end or to the end of its stream, whichever is later."""

    __slots__ = (
        "_aborted",
        "_asked",
        "_before",
        "_done",
        "_first",
        "_keeps",
        "_left",
        "_span",
        "_started",
        "_streams",
        "_token",
    )

    def __init__(
        self,
        model: str,
        provider: str,
        operation: str,
        asked: object,
        stream: bool,
        parameters: Mapping[str, object],
    ) -> None:
        self._asked = asked
        self._before: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        if stream:
            self._before[STREAM] = True
        for name, value in parameters.items():
            if (plain := _plain(value)) is not None:
                self._before[f"gen_ai.request.{name}"] = plain
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        self._started = time.perf_counter()
        self._first: float | None = None
        self._streams = 0
        self._left = self._done = self._aborted = self._keeps = False

    def __enter__(self) -> Call:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> Call:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end(error)

    @harmless
    def _begin(self) -> None:
        before = self._before
        name = f"{before['gen_ai.operation.name']} {before['gen_ai.request.model']}"
        here = get_current()
        span = self._span = _tracer.start_span(name, here, SpanKind.CLIENT, before)
        # What is said about the request is not the provider's: Baggage stays behind in here.
        self._token = attach(trace.set_span_in_context(span, untold(here)))
        self._keeps = span.is_recording() and _content.current.keeps(span.get_span_context().trace_id)
        if self._keeps and self._asked is not None:
            span.set_attribute("gen_ai.input.messages", _messages(self._asked, "user"))
        self._asked = None
        self._started = time.perf_counter()

    @harmless
    def _end(self, error: BaseException | None) -> None:
        if self._token is not None:
            let_go(self._token)
            self._token = None
        self._left = True
        if error is not None:
            self._failed(error)
            self._finish()
        elif self._streams == 0:
            self._finish()

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # cancelled, closed or interrupted: nobody's fault
            self._aborted = True
            return
        kind = type(error)
        plain = kind.__module__ in ("builtins", "__main__")
        self._span.set_attribute(
            "error.type", kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
        )
        if (status := _http_status(error)) is not None:
            self._span.set_attribute("http.response.status_code", status)
        self._span.set_status(Status(StatusCode.ERROR, str(error)[:_LONGEST_MESSAGE]))

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        if self._aborted:
            self._span.set_attribute(ABORTED, True)
        self._span.end()

    @property
    def span(self) -> Span:
        """OpenTelemetry's span, for attributes of your own."""
        return self._span

    @property
    def ids(self) -> Ids:
        """What names this call in `feedback`, now and later."""
        return ids_of(self._span.get_span_context())

    @harmless
    def first_token(self) -> None:
        """The first token is here: says so once, and that the answer was streamed."""
        if self._first is None:
            self._first = time.perf_counter() - self._started
            self._span.set_attributes({STREAM: True, TTFT: self._first})

    @overload
    def stream(self, chunks: AsyncIterable[T]) -> AsyncStream[T]: ...
    @overload
    def stream(self, chunks: Iterable[T]) -> Stream[T]: ...
    def stream(self, chunks: Any) -> Any:
        """The same chunks, watched: the first one that shows something is the first token, and the call lasts
        until the stream ends, fails or is thrown away, even after its block was left."""
        self._span.set_attribute(STREAM, True)
        return AsyncStream(self, chunks) if hasattr(chunks, "__aiter__") else Stream(self, chunks)

    @harmless
    def usage(
        self,
        *,
        input_tokens: int | None = None,
        uncached_input_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        cache_write_1h_tokens: int | None = None,
        output_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Token counts as the provider gave them.

        Say either `input_tokens`, the whole input with what was read from and written to the cache (OpenAI's
        number), or `uncached_input_tokens`, the input without both (Anthropic's `input_tokens`).
        `cache_write_tokens` counts all writes, `cache_write_1h_tokens` those among them that live an hour.
        `output_tokens` includes `reasoning_tokens`. What is None stays unknown.
        """
        if input_tokens is None and uncached_input_tokens is not None:
            input_tokens = uncached_input_tokens + (cache_read_tokens or 0) + (cache_write_tokens or 0)
        counts = {
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.cache_read.input_tokens": cache_read_tokens,
            "gen_ai.usage.cache_write.input_tokens": cache_write_tokens,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": cache_write_1h_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.usage.reasoning.output_tokens": reasoning_tokens,
        }
        self._span.set_attributes({name: count for name, count in counts.items() if count is not None})

    @harmless
    def output(self, answer: object) -> None:
        """The answer, as text or messages; it leaves as `init(content=…)` says."""
        if self._keeps and answer is not None:
            self._span.set_attribute("gen_ai.output.messages", _messages(answer, "assistant"))

    @harmless
    def response(
        self,
        *,
        model: str | None = None,
        id: str | None = None,
        finish_reason: str | None = None,
    ) -> None:
        """What the provider said about its answer."""
        said: dict[str, Any] = {}
        if model is not None:
            said["gen_ai.response.model"] = model
        if id is not None:
            said["gen_ai.response.id"] = id
        if finish_reason is not None:
            said["gen_ai.response.finish_reasons"] = (finish_reason,)
        self._span.set_attributes(said)

    @harmless
    def cost(self, usd: float) -> None:
        """What the call cost in US dollars by your own reckoning; Tripoint prices it by itself and shows both."""
        self._span.set_attribute("gen_ai.usage.cost", float(usd))

    @harmless
    def cached(self, kind: str, *, similarity: float | None = None) -> None:
        """A response cache answered instead of the model: `exact` or `semantic`, and how alike, 0 to 1."""
        self._span.set_attribute("tripoint.cache.kind", kind)
        if similarity is not None:
            self._span.set_attribute("tripoint.cache.similarity", float(similarity))

    @harmless
    def _chunk(self, chunk: object) -> None:
        if self._first is None and shows_something(chunk):
            self.first_token()

    def _opened(self) -> None:
        self._streams += 1

    @harmless
    def _closed(self, error: BaseException | None, whole: bool) -> None:
        """A stream of this call ended: whole, with an error, or because nobody wanted the rest."""
        self._streams -= 1
        if error is not None:
            self._failed(error)
        elif not whole:
            self._aborted = True
        if self._left and self._streams == 0:
            self._finish()


class _Watched(Generic[T]):
    """A stream that shows its call each chunk, and tells it how it ended, once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._open = True
        call._opened()

    def _seen(self, chunk: T) -> T:
        if self._call._first is None:
            self._call._chunk(chunk)
        return chunk

    def _stopped(self, error: BaseException) -> None:
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            self._end(whole=True)
        else:
            self._end(error)

    def _end(self, error: BaseException | None = None, whole: bool = False) -> None:
        if self._open:
            self._open = False
            self._call._closed(error, whole)

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self._end()


class Stream(_Watched[T]):
    """The chunks of an answer."""

    def __init__(self, call: Call, chunks: Iterable[T]) -> None:
        self._chunks = chunks
        self._each = iter(chunks)
        super().__init__(call)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._seen(next(self._each))
        except BaseException as error:
            self._stopped(error)
            raise

    def close(self) -> None:
        """Stop here; closes what it reads from where that can be closed."""
        self._end()
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


class AsyncStream(_Watched[T]):
    """The chunks of an answer, asynchronously."""

    def __init__(self, call: Call, chunks: AsyncIterable[T]) -> None:
        self._chunks = chunks
        self._each = aiter(chunks)
        super().__init__(call)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return self._seen(await anext(self._each))
        except BaseException as error:
            self._stopped(error)
            raise

    async def aclose(self) -> None:
        """Stop here; closes what it reads from where that can be closed."""
        self._end()
        close = getattr(self._chunks, "aclose", None) or getattr(self._chunks, "close", None)
        if close is not None:
            closing = close()
            if closing is not None:
                await closing


def _plain(value: object) -> Any:
    if isinstance(value, str):
        return value[:512]
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)) and len(value) <= 32:
        texts = all(isinstance(item, str) for item in value)
        numbers = all(isinstance(item, (int, float)) for item in value)
        return [item[:512] if isinstance(item, str) else item for item in value] if texts or numbers else None
    return None


def _messages(said: object, role: str) -> str:
    """Text becomes one message as the GenAI conventions write it; messages stay in the sender's shape."""
    if isinstance(said, str):
        said = [{"role": role, "parts": [{"type": "text", "content": said[:_LONGEST_TEXT]}]}]
    return json.dumps(said, ensure_ascii=False, default=_written)[:_LONGEST_TEXT]


def _written(thing: object) -> object:
    dump = getattr(thing, "model_dump", None)  # what openai, anthropic and pydantic give
    return dump(mode="json", exclude_none=True) if dump is not None else str(thing)


def _http_status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for found in (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
    ):
        if isinstance(found, int) and 100 <= found <= 599:
            return found
    return None
