"""Keeps what is said about a request from going out, as Baggage, with the call to the model itself.

HTTP instrumentations put all Baggage on every request, to whomever it goes: a user's id would reach the
provider. The global propagator is wrapped: inside a span that is a call to a model it leaves our words out.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from tripoint._words import calls_model, untold


class Guard(TextMapPropagator):
    """The propagator that was there, which tells a model's provider nothing."""

    def __init__(self, inner: TextMapPropagator) -> None:
        self._inner = inner

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        return self._inner.extract(carrier, context, getter)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        here = get_current() if context is None else context
        span: Any = trace.get_current_span(here)
        self._inner.inject(carrier, untold(here) if calls_model(span) else here, setter)

    @property
    def fields(self) -> set[str]:
        return self._inner.fields


def guard() -> None:
    """Stand before the global propagator, once."""
    inner = propagate.get_global_textmap()
    if not isinstance(inner, Guard):
        propagate.set_global_textmap(Guard(inner))
