"""What the application says is on its spans."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import tripoint


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


def test_an_async_block_says_the_same(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    async def call() -> None:
        async with tripoint.context(feature="chat"), tripoint.route("premium"):
            tracer.start_span("inside").end()

    asyncio.run(call())
    assert said(memory) == {"inside": {"tripoint.feature": "chat", "tripoint.tier": "premium"}}


def test_a_route_stamps_its_decision_and_the_innermost_tier_wins(
    tracer: Tracer, memory: InMemorySpanExporter
) -> None:
    with (
        tripoint.context(tier="standard", feature="chat"),
        tripoint.route("premium", router="rules", version="3", score=0.75, reason="long", attempt=2, step=1),
    ):
        tracer.start_span("inside").end()
    assert said(memory)["inside"] == {
        "tripoint.feature": "chat",
        "tripoint.tier": "premium",
        "tripoint.route.router": "rules",
        "tripoint.route.version": "3",
        "tripoint.route.score": 0.75,
        "tripoint.route.reason": "long",
        "tripoint.attempt": 2,
        "tripoint.cascade.step": 1,
    }


def test_a_cascade_says_where_it_came_from(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    with tripoint.route("premium", cascade="c1", escalated_from="lightweight", fallback_from="standard"):
        tracer.start_span("inside").end()
    assert said(memory)["inside"] == {
        "tripoint.tier": "premium",
        "tripoint.cascade.id": "c1",
        "tripoint.cascade.escalated_from": "lightweight",
        "tripoint.cascade.fallback_from": "standard",
    }


def test_a_generator_speaks_while_it_runs_and_is_silent_between(
    tracer: Tracer, memory: InMemorySpanExporter
) -> None:
    @tripoint.context(feature="stream")
    def parts() -> Generator[str, str, int]:
        with tracer.start_as_current_span("outer"):
            heard = yield "a"
            tracer.start_span(f"heard {heard}").end()
            try:
                yield "b"
            except ValueError as error:
                tracer.start_span(f"caught {error}").end()
                yield "c"
        return 7

    assert inspect.isgeneratorfunction(parts)
    stream = parts()
    assert next(stream) == "a"
    tracer.start_span("between").end()
    assert stream.send("x") == "b"
    assert stream.throw(ValueError("y")) == "c"
    with pytest.raises(StopIteration) as end:
        next(stream)
    assert end.value.value == 7
    inside = {"tripoint.feature": "stream"}
    assert said(memory) == {"between": {}, "heard x": inside, "caught y": inside, "outer": inside}
    outer, heard = (
        next(span for span in memory.get_finished_spans() if span.name == name)
        for name in ("outer", "heard x")
    )
    assert heard.parent is not None and heard.parent.span_id == outer.context.span_id


def test_an_async_generator_does_too_and_ends_properly_when_it_is_abandoned(
    tracer: Tracer, memory: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    @tripoint.context(feature="stream")
    async def parts() -> AsyncIterator[int]:
        with tracer.start_as_current_span("outer"):
            for number in range(9):
                tracer.start_span(f"part {number}").end()
                yield number

    async def call() -> None:
        assert inspect.isasyncgenfunction(parts)
        async for number in parts():
            tracer.start_span(f"between {number}").end()
            if number == 1:
                break

    asyncio.run(call())
    inside = {"tripoint.feature": "stream"}
    assert said(memory) == {
        "part 0": inside,
        "between 0": {},
        "part 1": inside,
        "between 1": {},
        "outer": inside,
    }


def test_words_that_came_in_baggage_are_stamped_and_newer_ones_win(
    tracer: Tracer, memory: InMemorySpanExporter
) -> None:
    came = Context()
    for name, value in {
        "user.id": "u1",
        "tripoint.tag.team": "t",
        "theirs": "x",
        "tripoint.odd": "y",
    }.items():
        came = baggage.set_baggage(name, value, came)
    tracer.start_span("came", context=came).end()
    assert said(memory)["came"] == {"user.id": "u1", "tripoint.tag.team": "t"}
    with tripoint.context(user="here", feature="chat"):
        later = baggage.set_baggage("user.id", "later", get_current())
        tracer.start_span("later", context=later).end()
    assert said(memory)["later"] == {"user.id": "later", "tripoint.feature": "chat"}


def test_what_cannot_be_written_says_nothing_and_the_rest_is_cut(
    tracer: Tracer, memory: InMemorySpanExporter
) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    with tripoint.context(odd=Odd(), long="x" * 600, number=3, flag=True, nothing=None):
        tracer.start_span("inside").end()
    assert said(memory)["inside"] == {
        "tripoint.tag.long": "x" * 512,
        "tripoint.tag.number": 3,
        "tripoint.tag.flag": "true",
    }


def test_tasks_may_share_one_object(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    shared = tripoint.context(feature="chat")

    async def call(first: asyncio.Event, second: asyncio.Event, name: str) -> None:
        async with shared:
            first.set()
            await second.wait()
        tracer.start_span(name).end()

    async def together() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(call(one, two, "one"), call(two, one, "two"))

    asyncio.run(together())
    assert said(memory) == {"one": {}, "two": {}}
