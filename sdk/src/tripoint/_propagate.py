"""From one service, thread or queue to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tripoint._log import harmless
from tripoint._setup import deliver
from tripoint._words import Travel, inside, let_go, told_to, traveller

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=MutableMapping[str, str])

_TRACE, _BAGGAGE = TraceContextTextMapPropagator(), W3CBaggagePropagator()


def inject(headers: H, travel: Travel = "all") -> H:
    """Put the trace and what was said here on the headers of a request to a service of your own; returns them.
    You name the receiver, so all words go unless `travel` says which. Never raises."""
    _inject(headers, travel)
    return headers


@harmless
def _inject(headers: MutableMapping[str, str], travel: Travel) -> None:
    here = told_to(get_current(), traveller(travel))
    _TRACE.inject(headers, here)
    _BAGGAGE.inject(headers, here)


class extract:  # noqa: N801 - read as a word: with tripoint.extract(request.headers)
    """A block that goes on where the sender of these headers was: its trace, and what it said. Inside a span that
    an instrumentation made for this request already, only what was said is taken. Never raises."""

    def __init__(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self._headers = headers
        self._token: Token[Context] | None = None

    def __enter__(self) -> extract:
        found = received(self._headers)
        if found is not None:
            self._token = attach(found)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._token is not None:
            let_go(self._token)
            self._token = None

    async def __aenter__(self) -> extract:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, where)


@harmless
def received(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Context:
    """Here, and what came with the headers."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    wanted = ("traceparent", "tracestate", "baggage")
    carrier = {name.lower(): value for name, value in pairs if name.lower() in wanted}
    here = get_current()
    if not trace.get_current_span(here).get_span_context().is_valid:
        here = _TRACE.extract(carrier, here)
    return _BAGGAGE.extract(carrier, here)


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which goes on in this trace and with these words wherever it is called: in a thread, an
    executor, a callback. For functions, coroutines and generators."""
    here = get_current()
    return inside(function, lambda: here)


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ASGIMiddleware:
    """Goes on, for each HTTP request and websocket, where its sender was. Where OpenTelemetry's own instrumentation
    of the framework does that already it changes nothing. When the server stops, what is left is sent, for at most
    five seconds."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _delivering(send))
            return
        pairs = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers") or ()
        ]
        with extract(pairs):
            await self._app(scope, receive, send)


def _delivering(send: Send) -> Send:
    """uvicorn ends by the signal that stopped it, so that Python's exit handlers do not run: the end of the
    application's lifespan is the last moment that we are told of. No request is left that waiting could hold up."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            deliver()
        await send(message)

    return sent


class WSGIMiddleware:
    """The same for WSGI applications; holds until the last part of the answer was made."""

    def __init__(self, app: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        names = {
            "traceparent": "HTTP_TRACEPARENT",
            "tracestate": "HTTP_TRACESTATE",
            "baggage": "HTTP_BAGGAGE",
        }
        headers = {name: environ[key] for name, key in names.items() if key in environ}
        if not headers:
            return self._app(environ, start_response)
        with extract(headers):
            answer = self._app(environ, start_response)
            return cast("Iterable[bytes]", _Answer(answer, get_current()))


class _Answer:
    """The parts of an answer, each made where the request was received."""

    def __init__(self, parts: Iterable[bytes], here: Context) -> None:
        self._parts, self._each, self._here = parts, iter(parts), here

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = attach(self._here)
        try:
            return next(self._each)
        finally:
            let_go(token)

    def close(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()
