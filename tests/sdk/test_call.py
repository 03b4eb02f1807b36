"""Calls written down by hand, as users' tests see them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import tripoint
from tripoint import _content
from tripoint._chunks import shows_something
from tripoint._content import Policy
from tripoint.testing import Captured, capture


@pytest.fixture
def seen() -> Iterator[Captured]:
    with capture() as seen:
        yield seen
    _content.obey(Policy())


def chat(**more: Any) -> tripoint.Call:
    return tripoint.llm_call("gpt-4o-mini", provider="openai", **more)


def test_a_call_says_everything_once(seen: Captured) -> None:
    with (
        tripoint.context(feature="chat", user="u1", team="x"),
        tripoint.route("premium", router="r", score=0.5),
        chat(input="hello", temperature=0.2, stop=["a", "b"], odd=object()) as call,
    ):
        call.usage(input_tokens=1000, cache_read_tokens=600, output_tokens=100, reasoning_tokens=40)
        call.response(model="gpt-4o-mini-2024", id="r1", finish_reason="stop")
        call.output("hi")
        call.cost(0.25)
    found = seen.call
    assert (found.name, found.operation, found.provider) == ("chat gpt-4o-mini", "chat", "openai")
    assert (found.model, found.response_model, found.response_id) == ("gpt-4o-mini", "gpt-4o-mini-2024", "r1")
    assert (found.feature, found.user, found.tier, found.tags) == ("chat", "u1", "premium", {"team": "x"})
    assert found.route == {"router": "r", "score": 0.5}
    assert (found.input_tokens, found.cache_read_tokens, found.output_tokens) == (1000, 600, 100)
    assert (found.reasoning_tokens, found.finish_reason, found.cost_usd) == (40, "stop", 0.25)
    assert found.input == [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
    assert found.output == [{"role": "assistant", "parts": [{"type": "text", "content": "hi"}]}]
    assert (found.stream, found.ttft_s, found.error_type, found.aborted) == (None, None, None, False)
    assert found.span is not None and found.span.attributes is not None
    assert found.span.attributes["gen_ai.request.temperature"] == 0.2
    assert found.span.attributes["gen_ai.request.stop"] == ("a", "b")
    assert "gen_ai.request.odd" not in found.span.attributes


def test_input_without_its_cached_part_is_made_whole(seen: Captured) -> None:
    with chat() as call:
        call.usage(uncached_input_tokens=120, cache_read_tokens=1500, cache_write_tokens=300, output_tokens=9)
    # 120 + 1,500 + 300
    assert (seen.call.input_tokens, seen.call.cache_write_tokens) == (1920, 300)


def test_spans_inside_are_its_children_and_later_ones_are_not(seen: Captured) -> None:
    with chat() as outer, chat():
        pass
    with chat():
        pass
    inner, first, after = seen.spans
    assert inner.parent is not None and first.context is not None
    assert inner.parent.span_id == first.context.span_id == outer.span.get_span_context().span_id
    assert after.parent is None


def test_an_error_passes_through_with_its_type_and_status(seen: Captured) -> None:
    class RateLimitError(Exception):
        status_code = 429

    with pytest.raises(RateLimitError), chat():
        raise RateLimitError("slow down")
    assert seen.call.error_type is not None and seen.call.error_type.endswith("RateLimitError")
    assert seen.call.http_status == 429
    assert seen.spans[0].status.description == "slow down"
    assert not seen.call.aborted


def chunk(text: str | None = None, **delta: Any) -> SimpleNamespace:
    return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(content=text, **delta))])


@pytest.mark.parametrize(
    ("chunk", "shows"),
    [
        ("", False),
        ("a", True),
        (chunk(None, role="assistant"), False),
        (chunk(""), False),
        (chunk("a"), True),
        (chunk(None, tool_calls=[1]), True),
        (SimpleNamespace(choices=[], usage=1), False),
        ({"choices": [{"delta": {"content": "a"}}]}, True),
        ({"type": "message_start"}, False),
        ({"type": "ping"}, False),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, False),
        ({"type": "content_block_start", "content_block": {"type": "tool_use"}}, True),
        ({"type": "content_block_delta"}, True),
        ({"type": "message_delta"}, False),
        ({"type": "response.created"}, False),
        ({"type": "response.output_text.delta"}, True),
        (object(), True),
        (None, False),
    ],
)
def test_the_first_token_is_what_a_reader_can_see(chunk: Any, shows: bool) -> None:
    assert shows_something(chunk) is shows


def test_a_stream_is_timed_at_its_first_token(seen: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 100.0, 100.25])
    monkeypatch.setattr("tripoint._call.time.perf_counter", lambda: next(now))
    with chat(stream=True) as call:
        parts = list(call.stream([chunk(None, role="assistant"), chunk("a"), chunk("b")]))
    assert len(parts) == 3
    assert (seen.call.stream, seen.call.ttft_s, seen.call.aborted) == (True, 0.25, False)


def test_a_stream_that_is_left_in_the_middle_is_aborted(seen: Captured) -> None:
    with chat() as call:
        for _ in call.stream("abc"):
            break
    assert (seen.call.aborted, seen.call.error_type) == (True, None)


def test_a_stream_outlives_its_block(seen: Captured) -> None:
    def answer() -> Iterator[str]:
        with chat() as call:
            return call.stream(iter("abc"))

    parts = answer()
    assert next(parts) == "a"
    assert seen.calls == []
    assert list(parts) == ["b", "c"]
    assert not seen.call.aborted
    seen.clear()
    unread = answer()
    del unread
    gc.collect()
    assert seen.call.aborted


def test_a_stream_that_fails_says_so(seen: Captured) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise TimeoutError("late")

    with pytest.raises(TimeoutError), chat() as call:
        list(call.stream(broken()))
    assert (seen.call.error_type, seen.call.aborted) == ("TimeoutError", False)


def test_an_async_stream_does_all_this_too(seen: Captured) -> None:
    async def source() -> AsyncIterator[str]:
        for part in ("", "a", "b"):
            yield part

    async def whole() -> list[str]:
        async with chat() as call:
            return [part async for part in call.stream(source())]

    async def left() -> None:
        async with chat() as call:
            stream = call.stream(source())
            async for _ in stream:
                break
            await stream.aclose()

    async def cancelled() -> None:
        async with chat():
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert asyncio.run(whole()) == ["", "a", "b"]
    asyncio.run(left())
    asyncio.run(cancel())
    first, second, third = seen.calls
    assert first.ttft_s is not None and not first.aborted
    assert second.aborted and third.aborted and third.error_type is None


def test_a_generator_that_nobody_finishes_logs_nothing(
    seen: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    async def parts() -> AsyncIterator[str]:
        async with chat() as call:
            for part in call.stream("abc"):
                yield part

    async def use() -> None:
        async for _ in parts():
            break

    asyncio.run(use())
    assert seen.call.aborted
    assert caplog.records == []


def test_what_is_wrong_in_our_part_is_never_the_callers(
    seen: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("odd")

    with chat(input=[Odd()]) as call:
        call.output(Odd())
        call.cost("much")  # type: ignore[arg-type]
        call.usage(input_tokens="x")  # type: ignore[arg-type]
    assert len(seen.calls) == 1
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize("capture", ["none", "all"])
def test_content_is_written_down_where_it_may_leave(seen: Captured, capture: Any) -> None:
    _content.obey(Policy(capture))
    with chat(input=[{"role": "user", "content": "hello"}]) as call:
        call.output("hi")
    kept = capture == "all"
    assert seen.call.input == ([{"role": "user", "content": "hello"}] if kept else None)
    assert (seen.call.output is not None) == kept
