"""What of prompts and answers leaves: all, some or nothing, redacted or not, whoever made the span."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from collector.decode import decode_traces
from core.conventions.content import content_from_span
from core.conventions.read import record_from_span
from core.request import RequestRecord
from core.span import Span
from tests.captures import CAPTURES, cases, spans_of
from tests.sdk.sink import decode
from tripoint import _content, _log
from tripoint._content import Policy
from tripoint._pack import Parcel, pack


@pytest.fixture(autouse=True)
def nothing_told_yet() -> Iterator[None]:
    _log._told.clear()
    yield
    _content.obey(Policy())


def span(attributes: dict[str, Any], trace_id: int = 1, **more: Any) -> ReadableSpan:
    context = SpanContext(trace_id, 2, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan("chat", context, attributes=attributes, start_time=1, end_time=2, **more)


def left(policy: Policy, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return dict(policy.leaving(span(attributes, **more)).attributes or {})


SAID = {
    "gen_ai.input.messages": "hello Ada",
    "gen_ai.prompt.0.content": "Ada",
    "gen_ai.completion.0.finish_reason": "stop",
    "llm.input_messages.10.message.content": "Ada",
    "traceloop.entity.input": "Ada",
    "ai.prompt.messages": "Ada",
    "gen_ai.tool.call.arguments": "Ada",
    "gen_ai.usage.input_tokens": 5,
    "user.id": "u1",
}
FACTS = {"gen_ai.completion.0.finish_reason": "stop", "gen_ai.usage.input_tokens": 5, "user.id": "u1"}


def test_all_is_the_span_itself() -> None:
    one = span(SAID)
    assert Policy().leaving(one) is one


def test_none_leaves_the_facts() -> None:
    assert left(Policy("none"), SAID) == FACTS


def test_sampling_goes_by_trace_and_touches_words_only() -> None:
    policy = Policy("sampled", 0.25)
    kept = 0
    for number in range(4000):
        trace_id = (number * 2654435761 * 0x9E3779B97F4A7C15) & ((1 << 128) - 1)
        found = left(policy, SAID, trace_id=trace_id)
        assert found in (SAID, FACTS)
        assert (found == SAID) == policy.keeps(trace_id)
        kept += found == SAID
    # a quarter of 4,000, give or take five standard deviations of 27
    assert 865 < kept < 1135
    assert not Policy("sampled", 0).keeps(0) and Policy("sampled", 1).keeps((1 << 128) - 1)


def test_redaction_reaches_every_text_and_nothing_else() -> None:
    found = left(
        Policy("all", redact=lambda text: text.replace("Ada", "[name]")),
        SAID | {"llm.prompts": ["Ada", "Bo"], "name": "Ada"},
        events=[
            Event("gen_ai.content.prompt", {"gen_ai.prompt": "Ada"}, 1),
            Event("exception", {"exception.message": "Ada failed", "exception.type": "E"}, 1),
        ],
        status=Status(StatusCode.ERROR, "no Ada"),
    )
    assert found["gen_ai.input.messages"] == "hello [name]"
    assert found["llm.prompts"] == ["[name]", "Bo"]
    assert found["name"] == "Ada"
    assert [value for value in found.values() if "Ada" in str(value)] == ["Ada"]


def test_where_redaction_fails_the_content_stays_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(text: str) -> str:
        raise ValueError(text)

    policy = Policy("all", redact=refuse)
    assert left(policy, SAID) == FACTS
    assert left(policy, SAID) == FACTS
    (line,) = [record.getMessage() for record in caplog.records]
    assert "redact= raised ValueError" in line and "Ada" not in line
    assert left(Policy("all", redact=lambda text: 5), SAID) == FACTS  # type: ignore[arg-type,return-value]


def test_none_leaves_of_an_error_its_type_and_number() -> None:
    gone = Policy("none").leaving(
        span(
            {"error.type": "E"},
            events=[
                Event(
                    "exception",
                    {"exception.message": "Error code: 429 - you said Ada", "exception.stacktrace": "Ada"},
                    1,
                )
            ],
            status=Status(StatusCode.ERROR, "Error code: 429 - you said Ada"),
        )
    )
    assert dict(gone.attributes or {}) == {"error.type": "E"}
    assert dict(gone.events[0].attributes or {}) == {"exception.message": "Error code: 429"}
    assert (gone.status.status_code, gone.status.description) == (StatusCode.ERROR, "Error code: 429")


def test_facts_that_hide_in_content_leave_without_it() -> None:
    found = left(
        Policy("none"),
        {
            "input.value": json.dumps({"model": "gpt-4o", "messages": ["Ada"]}),
            "output.value": json.dumps({"id": "r1", "service_tier": "flex", "text": "Ada"}),
            "llm.invocation_parameters": json.dumps(
                {"model": "gpt-4o", "stream": True, "instructions": "Ada"}
            ),
        },
    )
    assert found == {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": "r1",
        "openai.response.service_tier": "flex",
        "llm.invocation_parameters": '{"model": "gpt-4o", "stream": true}',
    }


def test_other_exporters_of_the_provider_see_what_they_saw() -> None:
    provider, memory = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with provider.get_tracer("t").start_as_current_span("chat") as one:
        one.set_attribute("gen_ai.input.messages", "Ada")
        one.add_event("gen_ai.content.prompt", {"gen_ai.prompt": "Ada"})
    (seen,) = memory.get_finished_spans()
    _content.obey(Policy("none"))
    (parcel,) = pack([seen], {}, False, 0.0)
    assert isinstance(parcel, Parcel) and b"Ada" not in parcel.body
    assert dict(seen.attributes or {}) == {"gen_ai.input.messages": "Ada"}
    assert dict(seen.events[0].attributes or {}) == {"gen_ai.prompt": "Ada"}


def test_what_was_said_at_init_wins_over_the_resource_of_a_provider_that_was_there() -> None:
    provider, memory = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.get_tracer("t").start_span("chat").end()
    (parcel,) = pack(memory.get_finished_spans(), {"service.name": "shop"}, False, 0.0)
    assert isinstance(parcel, Parcel)
    (sent,) = decode(parcel.body)
    assert sent["resource"]["service.name"] == "shop"
    assert sent["resource"]["telemetry.sdk.language"] == "python"


def rebuilt(original: Span) -> ReadableSpan:
    """A captured span as the SDK would hold it."""
    codes = {"ok": StatusCode.OK, "error": StatusCode.ERROR, "unset": StatusCode.UNSET}
    return ReadableSpan(
        original.name,
        SpanContext(int(original.trace_id, 16), int(original.span_id, 16), False, TraceFlags(1)),
        resource=Resource(dict(original.resource)),
        attributes=dict(original.attributes),
        events=[Event(event.name, dict(event.attributes), event.time_ns) for event in original.events],
        status=Status(
            codes[original.status], original.status_message if original.status == "error" else None
        ),
        start_time=original.start_ns,
        end_time=original.end_ns,
        instrumentation_scope=InstrumentationScope(original.scope, original.scope_version),
    )


# otlp_spec holds bodies that are broken on purpose
LIBRARIES = sorted({path.parent.name for path in CAPTURES.glob("*/*.expected.json")} - {"otlp_spec"})
CODE = {"logfire.msg_template"}  # a sentence of the program, before any value is put into it


def texts(value: Any) -> Iterator[str]:
    """The sentences in a value, however deep in lists, maps and JSON texts."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            inner = None
        if isinstance(inner, (dict, list)):
            yield from texts(inner)
        elif len(value) >= 25 and value.count(" ") >= 3:
            yield value


@pytest.mark.skipif(not LIBRARIES, reason="the captured bodies are not beside the checkout")
@pytest.mark.parametrize("library", LIBRARIES)
def test_of_a_real_instrumentation_no_sentence_leaves_and_no_fact_is_lost(library: str) -> None:
    policy = Policy("none")
    for case in cases([library]):
        for original in spans_of(case):
            bare = policy.leaving(rebuilt(original))
            (parcel,) = pack([bare], {}, False, 0.0)
            assert isinstance(parcel, Parcel)
            (sent,) = decode_traces(parcel.body, "protobuf").spans
            assert content_from_span(sent) is None
            said = {name: value for name, value in sent.attributes.items() if name not in CODE}
            assert list(texts([said, [dict(event.attributes) for event in sent.events]])) == []
            before, after = record_from_span(original), record_from_span(sent)
            assert type(before) is type(after)
            if isinstance(before, RequestRecord) and isinstance(after, RequestRecord):
                same = ("usage", "response_id", "request_model", "response_model", "service_tier", "status")
                for name in (
                    *same,
                    "http_status",
                    "ttft_ns",
                    "streaming",
                    "finish_reason",
                    "context",
                    "error_type",
                ):
                    assert getattr(after, name) == getattr(before, name), (case, name)
