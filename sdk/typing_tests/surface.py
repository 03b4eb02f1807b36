"""What type checkers know of the public surface. Never run: `tests/sdk/test_typing.py` has mypy read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from typing_extensions import assert_type

import tripoint
from tripoint.testing import CapturedCall, capture

assert_type(tripoint.init(content="sampled", content_rate=0.2, redact=str.upper), TracerProvider | None)
assert_type(tripoint.flush(timeout=1), bool)
assert_type(tripoint.shutdown(), bool)
tripoint.init(travel=["feature", "tier"])
tripoint.init(content="some")  # type: ignore[arg-type]
tripoint.init(redact=len)  # type: ignore[arg-type]
tripoint.context("chat")  # type: ignore[call-arg]
tripoint.route(score="high")  # type: ignore[arg-type]
tripoint.llm_call("m")  # type: ignore[call-arg]

with tripoint.context(feature="chat", user=None, team="x", seats=5) as words:
    assert_type(words, tripoint.context)
with tripoint.route("premium", score=0.5, step=1) as decision:
    assert_type(decision, tripoint.route)


@tripoint.context(feature="chat")
def plain(a: int, *, b: str = "") -> float:
    return a / 2


@tripoint.route("premium")
async def awaited(a: int) -> str:
    return str(a)


@tripoint.context(feature="chat")
def generated(a: int) -> Generator[int, str, bool]:
    yield a
    return True


@tripoint.context(feature="chat")
async def generated_slowly(a: int) -> AsyncGenerator[int, None]:
    yield a


class Bot:
    @tripoint.context(feature="chat")
    def answer(self, question: str) -> str:
        return question


assert_type(plain(1, b="x"), float)
awaited_later: Callable[[int], Coroutine[Any, Any, str]] = awaited
assert_type(generated(1), Generator[int, str, bool])
assert_type(generated_slowly(1), AsyncGenerator[int, None])
assert_type(Bot().answer("why"), str)
plain("x")  # type: ignore[arg-type]
plain(1, c=2)  # type: ignore[call-arg]

carried: Callable[[int], Coroutine[Any, Any, str]] = tripoint.carry(awaited)
headers: dict[str, str] = tripoint.inject({"x": "y"})
with tripoint.extract(headers), tripoint.extract([("baggage", "a=b")]):
    pass


def streams(source: Iterator[bytes]) -> Iterator[bytes]:
    with tripoint.llm_call("m", provider="p", temperature=0.2) as call:
        assert_type(call, tripoint.Call)
        for chunk in call.stream(source):
            assert_type(chunk, bytes)
            yield chunk
        call.usage(input_tokens=1, output_tokens=2)
        call.usage(1)  # type: ignore[call-arg]


async def streams_slowly(source: AsyncIterator[int]) -> None:
    async with tripoint.llm_call("m", provider="p") as call:
        async for chunk in call.stream(source):
            assert_type(chunk, int)


assert_type(tripoint.current_ids(), tripoint.Ids)
tripoint.feedback("helpfulness", True, comment="fine", user=None)
tripoint.feedback("helpfulness", 0.5, trace_id=tripoint.current_ids().trace_id)
tripoint.feedback("helpfulness", "good")  # type: ignore[arg-type]
tripoint.feedback("helpfulness", 1, "trace")  # type: ignore[call-arg]

with capture() as seen:
    assert_type(seen.calls, list[CapturedCall])
    assert_type(seen.call.ttft_s, float | None)
