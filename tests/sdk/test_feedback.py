"""What users thought of answers, on its way to Tripoint."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Tracer

import tripoint
from tests.sdk.sink import Reply, Sink, running
from tripoint import _feedback
from tripoint._spool import Spool
from tripoint._wire import Wire

NONE = tripoint.Ids(None, None)


@pytest.fixture(autouse=True)
def of_this_test(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tripoint._call._tracer", tracer)
    monkeypatch.setattr(_feedback, "_tracer", tracer)


def sent(memory: InMemorySpanExporter) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Trace id, parent and what was said, of every feedback."""
    return [
        (
            ids_of(span).trace_id or "",
            format(span.parent.span_id, "016x") if span.parent else None,
            dict(span.events[0].attributes or {}),
        )
        for span in memory.get_finished_spans()
        if span.name == "tripoint.feedback"
    ]


def ids_of(span: ReadableSpan) -> tripoint.Ids:
    context = span.get_span_context()
    assert context is not None
    return tripoint.Ids(format(context.trace_id, "032x"), format(context.span_id, "016x"))


def a_call(tracer: Tracer, **more: Any) -> tripoint.Ids:
    """A call as an instrumentation reports it, its attributes set late."""
    with tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT) as span:
        with tracer.start_as_current_span("POST", kind=SpanKind.CLIENT):
            pass
        span.set_attribute("gen_ai.request.model", "m")
    return ids_of(span)  # type: ignore[arg-type]


def test_inside_a_call_it_is_of_that_call(memory: InMemorySpanExporter) -> None:
    with tripoint.llm_call("m", provider="p") as call:
        assert tripoint.current_ids() == call.ids
        tripoint.feedback("helpfulness", True, comment="Found it at once.", user="ann")
    ((trace_id, parent, said),) = sent(memory)
    assert (trace_id, parent) == call.ids
    assert said == {
        "gen_ai.evaluation.name": "helpfulness",
        "gen_ai.evaluation.score.value": 1.0,
        "gen_ai.evaluation.explanation": "Found it at once.",
        "tripoint.score.source": "feedback",
        "tripoint.score.span_id": call.ids.span_id,
        "tripoint.score.author": "ann",
    }


def test_after_a_call_in_a_context_it_is_of_that_call_and_by_the_contexts_user(
    tracer: Tracer, memory: InMemorySpanExporter
) -> None:
    with tripoint.context(user="ann"), tripoint.context(feature="chat"):
        ids = a_call(tracer)
        with tracer.start_as_current_span("INSERT", kind=SpanKind.CLIENT):
            pass
        assert tripoint.current_ids() == ids
        tripoint.feedback("helpfulness", 0.25)
    ((trace_id, parent, said),) = sent(memory)
    assert (trace_id, parent) == ids
    assert (said["tripoint.score.author"], said["gen_ai.evaluation.score.value"]) == ("ann", 0.25)


def test_an_outer_context_knows_the_last_call_of_the_inner_ones_and_no_other_way_round(
    tracer: Tracer,
) -> None:
    with tripoint.context(team="x"):
        with tripoint.route("premium"):
            first = a_call(tracer)
        assert tripoint.current_ids() == first
        with tripoint.context(user="somebody else"):
            assert tripoint.current_ids() == NONE


def test_contexts_side_by_side_do_not_take_each_others_calls(tracer: Tracer) -> None:
    async def ask(user: str, mine: asyncio.Event, other: asyncio.Event) -> bool:
        with tripoint.context(user=user):
            ids = a_call(tracer)
            mine.set()
            await other.wait()
            return tripoint.current_ids() == ids

    async def both() -> list[bool]:
        one, two = asyncio.Event(), asyncio.Event()
        with tripoint.context(team="x"):
            return await asyncio.gather(ask("ann", one, two), ask("bob", two, one))

    assert asyncio.run(both()) == [True, True]


def test_with_no_call_it_is_of_the_span_that_is_open(tracer: Tracer) -> None:
    assert tripoint.current_ids() == NONE
    with tracer.start_as_current_span("POST /chat") as span:
        assert tripoint.current_ids() == ids_of(span)  # type: ignore[arg-type]


def test_later_and_elsewhere_it_goes_by_ids(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    with tripoint.llm_call("m", provider="p") as call:
        pass
    ids = call.ids
    other = threading.Thread(
        target=lambda: tripoint.feedback("tone", 1, trace_id=ids.trace_id, span_id=ids.span_id)
    )
    other.start()
    other.join()
    tripoint.feedback("resolved", False, trace_id=ids.trace_id)
    (of_call, of_trace) = sent(memory)
    assert of_call[:2] == (ids.trace_id, ids.span_id)
    assert of_trace[0] == ids.trace_id
    assert of_trace[2]["tripoint.score.span_id"] == ""


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        ("tone", 2, {"trace_id": "ab" * 16}),
        ("tone", float("nan"), {"trace_id": "ab" * 16}),
        ("tone", "good", {"trace_id": "ab" * 16}),
        ("tone", None, {"trace_id": "ab" * 16}),
        ("tone", 1, {"trace_id": "no id"}),
        ("tone", 1, {"trace_id": "ab" * 20}),
        ("tone", 1, {"trace_id": 7}),
        ("tone", 1, {}),
    ],
)
def test_what_is_no_score_is_one_line_in_the_log_and_never_raises(
    memory: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: Any,
    ids: Any,
) -> None:
    monkeypatch.setattr("tripoint._log._told", set())
    with caplog.at_level(logging.WARNING, "tripoint"):
        for _ in range(2):
            tripoint.feedback(name, value, **ids)
    assert sent(memory) == []
    assert len(caplog.records) == 1


@pytest.fixture
def spooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Feedback through a spool to an address."""
    made: list[Spool] = []

    def to(url: str, key: str = "tp_key") -> Spool:
        provider = TracerProvider()
        spool = Spool(Wire(url, key), linger_s=0.01, pause_s=0.05)
        provider.add_span_processor(tripoint.ContextSpanProcessor())
        provider.add_span_processor(spool)
        monkeypatch.setattr(_feedback, "_tracer", provider.get_tracer("test"))
        monkeypatch.setattr("tripoint._call._tracer", provider.get_tracer("test"))
        made.append(spool)
        return spool

    yield to
    for spool in made:
        spool.close(1)


def test_it_outlives_an_outage(spooled: Any) -> None:
    with running(Sink(replies=[Reply(503)] * 3)) as sink:
        spool = spooled(sink.url)
        tripoint.feedback("tone", 1, trace_id="ab" * 16, span_id="cd" * 8)
        assert spool.flush(30)
        assert sink.names() == ["tripoint.feedback"]
        assert len(sink.asked) == 4
