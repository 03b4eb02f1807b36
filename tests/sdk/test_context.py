"""What the application says is on its spans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import tripoint


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(memory: InMemorySpanExporter) -> Iterator[Tracer]:
    provider = TracerProvider()
    provider.add_span_processor(tripoint.ContextSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(memory))
    yield provider.get_tracer("test")
    provider.shutdown()


def said(memory: InMemorySpanExporter) -> dict[str, dict[str, object]]:
    """Span name → attributes."""
    spans: tuple[ReadableSpan, ...] = memory.get_finished_spans()
    return {span.name: dict(span.attributes or {}) for span in spans}


def test_every_span_inside_carries_the_words(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    words = tripoint.context(feature="chat", user="u1", tier="premium", team="search")
    with words, tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        pass
    expected = {
        "tripoint.feature": "chat",
        "user.id": "u1",
        "tripoint.tier": "premium",
        "tripoint.tag.team": "search",
    }
    assert said(memory) == {"outer": expected, "inner": expected}


def test_inner_words_win_and_end_with_their_block(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    with tripoint.context(feature="chat", user="u1"):
        with tripoint.context(feature="search"), tracer.start_as_current_span("inner"):
            pass
        with tracer.start_as_current_span("after"):
            pass
    with tracer.start_as_current_span("outside"):
        pass
    assert said(memory)["inner"] == {"tripoint.feature": "search", "user.id": "u1"}
    assert said(memory)["after"] == {"tripoint.feature": "chat", "user.id": "u1"}
    assert said(memory)["outside"] == {}


def test_concurrent_async_calls_do_not_mix(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    async def call(name: str) -> None:
        with tripoint.context(user=name):
            await asyncio.sleep(0)
            with tracer.start_as_current_span(name):
                await asyncio.sleep(0)

    async def together() -> None:
        await asyncio.gather(*(call(f"u{n}") for n in range(20)))

    asyncio.run(together())
    assert said(memory) == {f"u{n}": {"user.id": f"u{n}"} for n in range(20)}


def test_decorated_functions_keep_their_answer(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    @tripoint.context(feature="sum")
    def add(a: int, b: int) -> int:
        with tracer.start_as_current_span("add"):
            return a + b

    @tripoint.context(feature="wait")
    async def wait(a: int) -> int:
        with tracer.start_as_current_span("wait"):
            return a

    assert (add(1, 2), asyncio.run(wait(3))) == (3, 3)
    assert said(memory) == {"add": {"tripoint.feature": "sum"}, "wait": {"tripoint.feature": "wait"}}
