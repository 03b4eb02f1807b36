"""What the application says about its requests: kept in the OpenTelemetry context, carried as Baggage, stamped
on every span at its start."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.trace import Span, SpanProcessor

P = ParamSpec("P")
R = TypeVar("R")

# Ours, except where the field has a name of its own.
_NAMES = {
    "feature": "tripoint.feature",
    "user": "user.id",
    "session": "session.id",
    "tenant": "tripoint.tenant",
    "plan": "tripoint.plan",
    "tier": "tripoint.tier",
}
_TAG = "tripoint.tag."
_STAMPED = frozenset(_NAMES.values())
_LONGEST = 512


class context:  # noqa: N801 - read as a word: with tripoint.context(...)
    """Everything that starts inside carries these words; inner contexts add to outer ones and win over them.

    Use it as `with context(...)` or as `@context(...)` on a plain or an async function. A value of None says
    nothing; any other is turned to text and cut at 512 characters.
    """

    def __init__(
        self,
        *,
        feature: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tenant: str | None = None,
        plan: str | None = None,
        tier: str | None = None,
        **tags: object,
    ) -> None:
        said = {
            "feature": feature,
            "user": user,
            "session": session,
            "tenant": tenant,
            "plan": plan,
            "tier": tier,
        }
        words: dict[str, object] = {_NAMES[name]: value for name, value in said.items()}
        words |= {_TAG + name: value for name, value in tags.items()}
        self._words: Mapping[str, str] = {
            name: str(value)[:_LONGEST] for name, value in words.items() if value is not None
        }
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> context:
        current = get_current()
        for name, value in self._words.items():
            current = baggage.set_baggage(name, value, current)
        self._tokens.append(attach(current))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        detach(self._tokens.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        # A context of its own for each call: one object's tokens must not mix between concurrent calls.
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> object:
                with self._fresh():
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._fresh():
                return function(*args, **kwargs)

        return called

    def _fresh(self) -> context:
        fresh = context()
        fresh._words = self._words
        return fresh


class ContextSpanProcessor(SpanProcessor):
    """Stamps what `context` said on every span at its start; Baggage of other makers stays where it is."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for name, value in baggage.get_all(parent_context).items():
            if (name in _STAMPED or name.startswith(_TAG)) and isinstance(value, str):
                span.set_attribute(name, value)
