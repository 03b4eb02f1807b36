"""Words about requests: kept in OpenTelemetry's context, carried as Baggage, stamped on every span at its start."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar, cast
from weakref import WeakSet

from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, create_key, detach, get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext, SpanKind

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W", bound="Words")
Word = str | int | float
Travel = Literal["all", "none"] | Collection[str]

TAG = "tripoint.tag."
LONGEST = 512
# What the application says → the attribute. Ours, except where the field has a name of its own.
CONTEXT = {
    "feature": "tripoint.feature",
    "user": "user.id",
    "session": "session.id",
    "tenant": "tripoint.tenant",
    "plan": "tripoint.plan",
    "tier": "tripoint.tier",
}
ROUTE = {
    "tier": "tripoint.tier",
    "router": "tripoint.route.router",
    "version": "tripoint.route.version",
    "score": "tripoint.route.score",
    "reason": "tripoint.route.reason",
    "cascade": "tripoint.cascade.id",
    "step": "tripoint.cascade.step",
    "escalated_from": "tripoint.cascade.escalated_from",
    "fallback_from": "tripoint.cascade.fallback_from",
    "attempt": "tripoint.attempt",
}
_OURS = frozenset([*CONTEXT.values(), *ROUTE.values()])
_NOTHING: Mapping[str, Word] = {}


class _Said(NamedTuple):
    """What was said here, and the Baggage of that moment: another Baggage means that more was said since."""

    words: Mapping[str, Word]
    carried: Mapping[str, object]


class _Seen:
    """The last call to a model that ended inside a `context` or `route`; each has one, and tells the ones around it."""

    __slots__ = ("around", "last")

    def __init__(self, around: _Seen | None) -> None:
        self.around = around
        self.last: SpanContext | None = None


_SAID = create_key("tripoint-said")
_SEEN = create_key("tripoint-seen")
# A Context is a dict of what each concern keeps. Writing Baggage once, not word by word, saves a copy of
# everything for each word.
_BAGGAGE = next(iter(baggage.set_baggage("any", "thing", Context())))


def _travels_all(name: str) -> bool:
    return True


_travels: Callable[[str], bool] = _travels_all


def let_travel(travel: Travel) -> None:
    """Say which words later contexts put into Baggage; raises ValueError for a word that does not exist."""
    global _travels
    names = traveller(travel)
    _travels = names


def traveller(travel: Travel) -> Callable[[str], bool]:
    """Whether the attribute of a name goes out with Baggage."""
    if isinstance(travel, str):
        if travel == "all":
            return _travels_all
        travel = [] if travel == "none" else [word.strip() for word in travel.split(",") if word.strip()]
    known = {*CONTEXT, "route", "tags"}
    if strange := sorted(set(travel) - known):
        raise ValueError(f"travel= knows {', '.join(sorted(known))}, all and none; not {', '.join(strange)}")
    names = {CONTEXT[word] for word in travel if word in CONTEXT}
    if "route" in travel:
        names |= set(ROUTE.values())
    tags = "tags" in travel
    return lambda name: name in names or (tags and name.startswith(TAG))


def words_in(where: Context | None = None) -> Mapping[str, Word]:
    """Attribute name → value of all that was said around here, in this process or before it."""
    if where is None:
        where = get_current()
    said = cast("_Said | None", where.get(_SAID))
    carried = cast("Mapping[str, object] | None", where.get(_BAGGAGE))
    if said is not None and said.carried is carried:
        return said.words
    known = said.words if said is not None else _NOTHING
    return {**known, **_ours(carried)} if carried else known


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith(TAG)


def _ours(carried: Mapping[str, object]) -> dict[str, Word]:
    return {
        name: value[:LONGEST] for name, value in carried.items() if isinstance(value, str) and _is_ours(name)
    }


def _foreign(carried: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in carried.items() if not _is_ours(name)}


def told_to(where: Context, travels: Callable[[str], bool]) -> Context:
    """The same context with those of its words in Baggage that may travel, and no others of ours."""
    words = words_in(where)
    carried = {
        **_foreign(baggage.get_all(where)),
        **{name: str(value) for name, value in words.items() if travels(name)},
    }
    return Context({**where, _SAID: _Said(words, carried), _BAGGAGE: carried})


def let_go(token: Token[Context]) -> bool:
    """Undo an attach; whether it was made here. A generator that is thrown away ends in a context of its own,
    where there is nothing to undo: OpenTelemetry would log an error then."""
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):
        return False
    except AttributeError:  # a runtime context that is not made of context variables
        detach(token)
    return True


def cleaned(value: object) -> Word | None:
    """A value as it is stamped: numbers stay numbers, the rest is text of at most 512 characters."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    try:
        return str(value)[:LONGEST]
    except Exception:  # a value that cannot even be written says nothing
        return None


class Words:
    """The base of `context` and `route`: a block, an async block, and a decorator of every kind of function."""

    def __init__(self, words: Mapping[str, object]) -> None:
        self._words = {name: value for name, given in words.items() if (value := cleaned(given)) is not None}
        self._texts: Mapping[str, object] = {name: str(value) for name, value in self._words.items()}
        self._tokens: list[Token[Context]] = []

    def around(self, here: Context) -> Context:
        """The given context with these words added, which win over those that are there."""
        carried: dict[str, object] = {**cast("dict[str, object]", here.get(_BAGGAGE) or {}), **self._texts}
        if _travels is not _travels_all:
            for name in self._texts:
                if not _travels(name):
                    del carried[name]
        said = _Said({**words_in(here), **self._words}, carried)
        seen = _Seen(cast("_Seen | None", here.get(_SEEN)))
        return Context({**here, _SAID: said, _BAGGAGE: carried, _SEEN: seen})

    def __enter__(self: W) -> W:
        self._tokens.append(attach(self.around(get_current())))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Where tasks or threads share one object, each undoes its own.
        for token in reversed(tuple(self._tokens)):
            if let_go(token):
                self._tokens.remove(token)
                return

    async def __aenter__(self: W) -> W:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a plain or async function or generator: its words hold while it runs, for each call apart,
        and never between two items of a generator in the code that asks for them."""
        return inside(function, lambda: self.around(get_current()))


def inside(function: Callable[P, R], place: Callable[[], Context]) -> Callable[P, R]:
    """The same kind of function, run in the context that `place` makes for each call of it."""
    wrapped: Any
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _Place(place()):
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):
        wrapped = functools.wraps(function)(_async_generator(function, place))
    elif inspect.isgeneratorfunction(function):
        wrapped = functools.wraps(function)(_generator(function, place))
    else:

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _Place(place()):
                return function(*args, **kwargs)

    return cast("Callable[P, R]", wrapped)


class _Place:
    """The context inside a function: entered for each step, left as the step left it, found so at the next."""

    __slots__ = ("_inside", "_token")

    def __init__(self, inside: Context) -> None:
        self._inside = inside
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = attach(self._inside)

    def __exit__(self, *failure: object) -> None:
        self._inside = get_current()
        if self._token is not None:
            let_go(self._token)
            self._token = None


def _generator(
    function: Callable[..., Generator[Any, Any, Any]], place: Callable[[], Context]
) -> Callable[..., Generator[Any, Any, Any]]:
    """What `yield from` does (PEP 380), with a door to go through at each step."""

    def generated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        door = _Place(place())
        items = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            with door:
                try:
                    item = items.send(sent) if thrown is None else items.throw(thrown)
                except StopIteration as end:
                    return end.value
            sent = thrown = None
            try:
                sent = yield item
            except GeneratorExit:
                with door:
                    items.close()
                raise
            except BaseException as error:
                thrown = error

    return generated


def _async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], place: Callable[[], Context]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def generated(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        door = _Place(place())
        items = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            with door:
                try:
                    item = await (items.asend(sent) if thrown is None else items.athrow(thrown))
                except StopAsyncIteration:
                    return
            sent = thrown = None
            try:
                sent = yield item
            except GeneratorExit:
                with door:
                    await items.aclose()
                raise
            except BaseException as error:
                thrown = error

    return generated


_inside_call: WeakSet[object] = WeakSet()
_MODEL_KINDS = frozenset({"LLM", "EMBEDDING", "RERANKER"})
_MODEL_MARKS = ("gen_ai.request.model", "llm.request.type", "llm.model_name", "llm.invocation_parameters")


def calls_model(span: object) -> bool:
    """Whether this is the span of a call to a model, or of the HTTP request that it consists of."""
    if not isinstance(span, ReadableSpan):
        return False
    said = span.attributes or _NOTHING
    if said.get("openinference.span.kind") in _MODEL_KINDS:
        return True
    # A model's name stands on agents' spans too, whose calls to other services are no model's.
    if span.kind is SpanKind.CLIENT and any(mark in said for mark in _MODEL_MARKS):
        return said.get("gen_ai.operation.name") not in ("invoke_agent", "create_agent", "execute_tool")
    return span in _inside_call


class ContextSpanProcessor(SpanProcessor):
    """Stamps what `context` and `route` said on every span at its start; Baggage of other makers stays where it
    is. `init` adds one; add it yourself where the spans go through another exporter."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        words = words_in(parent_context)
        if words:
            span.set_attributes(words)
        if span.kind is SpanKind.CLIENT and calls_model(trace.get_current_span(parent_context)):
            # the HTTP client's span inside a model's call
            _inside_call.add(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Remember a model's call for `current_ids`: only now are all its attributes there."""
        seen = cast("_Seen | None", get_current().get(_SEEN))
        if seen is not None and span.context is not None and calls_model(span):
            while seen is not None:
                seen.last = span.context
                seen = seen.around


def last_call(here: Context) -> SpanContext | None:
    """The last call to a model that ended inside the innermost `context` or `route`."""
    seen = cast("_Seen | None", here.get(_SEEN))
    return seen.last if seen is not None else None


def untold(where: Context) -> Context:
    """The same context, where none of our words goes out as Baggage; spans inside are stamped all the same."""
    carried = cast("Mapping[str, object]", where.get(_BAGGAGE) or _NOTHING)
    if not carried:
        return where
    foreign = _foreign(carried)
    if len(foreign) == len(carried):
        return where
    return Context({**where, _SAID: _Said(words_in(where), foreign), _BAGGAGE: foreign})
