"""The demo's clock: what happens now is told as if it had happened days ago.

The applications run now and the provider answers at once. So that the dashboard has two weeks to show, each span is
stamped anew before the SDK sends it: it begins at the simulated time, ends after the time that the provider says a
real one would have taken, and its time to first token is the simulated one. This is the one part of the demo that no
application has, and it reaches into OpenTelemetry's spans to do it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from demo.workload import Visit

TTFT = "gen_ai.response.time_to_first_chunk"
_STEP_NS = 2_000_000  # what an application's own code takes between two calls


class Clock:
    """The time of one visit. Its ids follow from the visit, so that a demo run twice a day counts once."""

    asks: ClassVar[Mapping[str, object]] = {}

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.now_ns = round(visit.started.timestamp() * 1e6) * 1000
        self.first_output_ns: int | None = None
        self.calls = 0
        self.ids = random.Random(f"ids/{visit.seed}")
        self._behaviour = ""

    def behaviour(self, model: str, retry: bool) -> str:
        """The header for the next call, or for the same call once more."""
        if not retry:
            self._behaviour = json.dumps({**self.visit.behaviour(self.calls, model), **self.asks})
            self.calls += 1
        return self._behaviour

    def answered(self, ok: bool, headers: Any) -> None:
        """The provider answered: the time that it names goes by, and a pause that it asks for."""
        ttft_ms, total_ms = headers.get("x-simulated-ttft-ms"), headers.get("x-simulated-total-ms")
        self.first_output_ns = self.now_ns + round(1e6 * float(ttft_ms)) if ttft_ms else None
        self.now_ns += round(1e6 * float(total_ms or 0))
        if not ok:
            self.now_ns += round(1e9 * float(headers.get("retry-after") or 0))


class LiveClock(Clock):
    """Asks the provider to wait; stamps nothing, where no `Backdater` is."""

    asks: ClassVar[Mapping[str, object]] = {"wait": 1}


clock: ContextVar[Clock | None] = ContextVar("demo_clock", default=None)


class Backdater(SpanProcessor):
    """Stamps spans anew; stands before the processor that sends them. Where no clock is set it does nothing."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[Clock, int]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        here = clock.get()
        if here is not None and span.context is not None:
            self._begun[span.context.span_id] = (here, here.now_ns)

    def on_end(self, span: ReadableSpan) -> None:
        found = self._begun.pop(span.context.span_id, None) if span.context else None
        if found is None:
            return
        here, start_ns = found
        here.now_ns = max(here.now_ns, start_ns + 1_000)
        span._start_time, span._end_time = start_ns, here.now_ns
        attributes = dict(span.attributes or {})
        if TTFT in attributes and here.first_output_ns is not None:
            span._attributes = {**attributes, TTFT: (here.first_output_ns - start_ns) / 1e9}
        span._events = [Event(event.name, event.attributes, here.now_ns) for event in span.events]
        here.now_ns += _STEP_NS


class VisitIds(IdGenerator):
    """The ids of the visit's clock, or random ones."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        here = clock.get()
        return self._random.generate_span_id() if here is None else here.ids.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        here = clock.get()
        return self._random.generate_trace_id() if here is None else here.ids.getrandbits(128) or 1
