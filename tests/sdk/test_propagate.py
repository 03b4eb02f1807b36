"""What was said goes to the next thread, queue and service, and not to the model's provider."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from opentelemetry import baggage, propagate
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Tracer, get_tracer

import tripoint
from tests.sdk.sink import Sink, running
from tripoint import _words
from tripoint._guard import guard
from tripoint._words import words_in
from tripoint.testing import capture

WHO = {"user.id": "u 1", "tripoint.feature": "chat", "tripoint.tier": "premium", "tripoint.tag.team": "x"}


@pytest.fixture
def who() -> tripoint.context:
    return tripoint.context(user="u 1", feature="chat", tier="premium", team="x")


@pytest.fixture
def guarded() -> Iterator[None]:
    before = propagate.get_global_textmap()
    guard()
    yield
    propagate.set_global_textmap(before)
    _words.let_travel("all")


def test_headers_carry_the_trace_and_the_words(who: tripoint.context) -> None:
    tracer = get_tracer("app")
    with capture() as seen:
        with who, tracer.start_as_current_span("sender"):
            headers = tripoint.inject({"x": "y"})
        assert set(headers) == {"x", "traceparent", "baggage"}
        with tripoint.extract(headers):
            tracer.start_span("receiver").end()
    sender, receiver = seen.spans
    assert dict(receiver.attributes or {}) == WHO
    assert receiver.parent is not None and sender.context is not None
    assert receiver.parent.span_id == sender.context.span_id


def test_an_async_block_receives_too(who: tripoint.context) -> None:
    with who:
        headers = tripoint.inject({})

    async def receive() -> dict[str, object]:
        async with tripoint.extract(headers):
            return dict(words_in())

    assert asyncio.run(receive()) == WHO


def test_the_caller_says_which_words_go(who: tripoint.context) -> None:
    with who:
        told = tripoint.inject({}, travel=["feature", "tags"])
    with tripoint.extract(told):
        assert dict(words_in()) == {"tripoint.feature": "chat", "tripoint.tag.team": "x"}


def test_headers_that_make_no_sense_are_no_error() -> None:
    for headers in ({"baggage": "%%%=;;;,,,", "traceparent": "zz"}, {"Baggage": "user.id=u1"}, []):
        with tripoint.extract(headers):
            pass
    with tripoint.extract(None):  # type: ignore[arg-type]
        pass


def test_init_says_which_words_go_by_themselves(who: tripoint.context, guarded: None) -> None:
    _words.let_travel(["feature", "route"])
    with who:
        assert set(baggage.get_all()) == {"tripoint.feature", "tripoint.tier"}
        assert dict(words_in()) == WHO
        with tripoint.context(feature="other"):
            assert dict(words_in())["user.id"] == "u 1"
    _words.let_travel("none")
    with who:
        assert dict(baggage.get_all()) == {}
        assert dict(words_in()) == WHO


def test_a_word_that_stays_hides_the_one_that_came(guarded: None) -> None:
    with tripoint.extract({"baggage": "user.id=came"}):
        _words.let_travel("none")
        with tripoint.context(user="here"):
            assert dict(baggage.get_all()) == {}


def test_a_word_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"travel= knows feature, .* not usr"):
        _words.traveller(["usr"])


def test_words_reach_a_service_and_not_the_provider(who: tripoint.context, guarded: None) -> None:
    instrumentor = HTTPXClientInstrumentor()
    with running(Sink()) as sink, capture(), httpx.Client(trust_env=False) as client:
        instrumentor.instrument_client(client)
        tracer = get_tracer("app")
        with who:
            client.post(sink.url, content=b"")
            with tripoint.llm_call("m", provider="p"):
                client.post(sink.url, content=b"")
            for attribute, value in (
                ("gen_ai.request.model", "m"),
                ("openinference.span.kind", "LLM"),
                ("llm.request.type", "chat"),
            ):
                from opentelemetry.trace import SpanKind

                with tracer.start_as_current_span(
                    "call", kind=SpanKind.CLIENT, attributes={attribute: value}
                ):
                    client.post(sink.url, content=b"")
            client.post(sink.url, content=b"")
    told = ["user.id=u+1" in asked.get("baggage", "") for asked in sink.asked]
    assert told == [True, False, False, False, False, True]
    assert all("traceparent" in asked for asked in sink.asked)


def test_threads_and_executors_go_on_with_the_words(who: tripoint.context) -> None:
    found: list[dict[str, object]] = []

    def work() -> None:
        found.append(dict(words_in()))

    with who:
        carried = tripoint.carry(work)
    thread = threading.Thread(target=carried)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(carried).result()
        pool.submit(work).result()
    assert found == [WHO, WHO, {}]


def test_a_coroutine_function_can_be_carried(who: tripoint.context) -> None:
    async def work() -> dict[str, object]:
        await asyncio.sleep(0)
        return dict(words_in())

    with who:
        carried = tripoint.carry(work)
    assert asyncio.run(carried()) == WHO


def test_a_wsgi_application_goes_on_until_its_last_part(who: tripoint.context) -> None:
    found: list[dict[str, object]] = []
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            found.append(dict(words_in()))
            yield b"a"
            found.append(dict(words_in()))
            yield b"b"

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found.append(dict(words_in()))
        start_response("200 OK", [])
        return Parts()

    with who:
        headers = tripoint.inject({})
    environ = {"HTTP_" + name.upper(): value for name, value in headers.items()}
    answer = tripoint.WSGIMiddleware(app)(environ, lambda *_: None)
    parts = []
    for part in answer:
        parts.append(part)
        assert dict(words_in()) == {}
    answer.close()  # type: ignore[attr-defined]
    assert (parts, found, closed) == ([b"a", b"b"], [WHO, WHO, WHO], [True])


def test_fastapi_goes_on_where_its_caller_was(who: tripoint.context) -> None:
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.add_middleware(tripoint.ASGIMiddleware)

    @app.get("/plain")
    @tripoint.context(feature="inner")
    def plain(question: str) -> dict[str, str]:
        with tripoint.llm_call("m", provider="p"):
            return {"question": question}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            async with tripoint.llm_call("m", provider="p") as call:
                for part in call.stream(["a", "b"]):
                    yield part

        return StreamingResponse(parts())

    with capture() as seen, TestClient(app) as client:
        with who:
            headers = tripoint.inject({})
        assert client.get("/plain", params={"question": "why"}, headers=headers).json() == {"question": "why"}
        assert client.get("/stream", headers=headers).text == "ab"
        assert client.get("/stream").text == "ab"
    assert [(call.user, call.feature, call.tier) for call in seen.calls] == [
        ("u 1", "inner", "premium"),
        ("u 1", "chat", "premium"),
        (None, None, None),
    ]


def test_fastapi_under_opentelemetrys_instrumentation_keeps_its_server_span(
    who: tripoint.context, guarded: None
) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = FastAPI()
    app.add_middleware(tripoint.ASGIMiddleware)

    @app.get("/")
    def plain() -> None:
        with tripoint.llm_call("m", provider="p"):
            pass

    with capture() as seen:
        FastAPIInstrumentor.instrument_app(app)
        with TestClient(app) as client:
            with who:
                headers = tripoint.inject({})
            client.get("/", headers=headers)
        FastAPIInstrumentor.uninstrument_app(app)
    server: ReadableSpan = next(span for span in seen.spans if span.name == "GET /")
    assert seen.call.user == "u 1"
    assert seen.call.span is not None and seen.call.span.parent is not None and server.context is not None
    assert seen.call.span.parent.span_id == server.context.span_id


def test_a_span_is_stamped_where_a_foreign_library_starts_it(tracer: Tracer, who: tripoint.context) -> None:
    with who:
        span: Any = tracer.start_span("theirs")
        span.end()
    assert dict(span.attributes) == WHO
