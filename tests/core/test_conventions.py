"""Attributes → fields: which name wins, what counts as absent, and which spans are billed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.conventions import content_from_span, record_from_span
from core.conventions.family import FIELDS
from core.conventions.registry import FAMILIES, SLOTS
from core.request import ContextSpan, RequestRecord
from core.span import Span, SpanEvent

START = 1_795_300_000_000_000_000
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
CLAUDE_SDK = "com.anthropic.sdk.python"


def span(attributes: dict[str, Any], **changes: Any) -> Span:
    fields = {"trace_id": "a" * 32, "span_id": "b" * 16, "name": "chat", "start_ns": START}
    return Span(**{**fields, "end_ns": START + 10**9, **changes}, attributes=attributes)


def request(attributes: dict[str, Any] | None = None, **changes: Any) -> RequestRecord:
    record = record_from_span(span({**CHAT, **(attributes or {})}, **changes))
    assert isinstance(record, RequestRecord)
    return record


def context_span(attributes: dict[str, Any], **changes: Any) -> ContextSpan:
    record = record_from_span(span(attributes, **changes))
    assert isinstance(record, ContextSpan)
    return record


# what is billed


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.operation.name", "embeddings"),
        ("openinference.span.kind", "LLM"),
        ("openinference.span.kind", "EMBEDDING"),
        ("llm.request.type", "completion"),
    ],
)
def test_calls_to_a_model_are_requests(attribute: str, value: str) -> None:
    record = record_from_span(span({attribute: value}))
    assert isinstance(record, RequestRecord)
    assert not record.aggregate


@pytest.mark.parametrize(
    ("attribute", "value", "kind"),
    [
        ("gen_ai.operation.name", "invoke_agent", "agent"),
        ("gen_ai.operation.name", "execute_tool", "tool"),
        ("openinference.span.kind", "RETRIEVER", "retriever"),
        ("traceloop.span.kind", "workflow", "workflow"),
        ("http.request.method", "POST", "http"),
        ("db.system", "postgresql", "span"),
    ],
)
def test_what_stands_around_calls_is_context(attribute: str, value: str, kind: str) -> None:
    assert context_span({attribute: value}).kind == kind


@pytest.mark.parametrize("around", [{"gen_ai.operation.name": "invoke_agent"}, {"some.framework": "step"}])
def test_tokens_on_a_span_that_is_no_call_make_a_sum(around: dict[str, Any]) -> None:
    record = record_from_span(span({**around, "gen_ai.usage.input_tokens": 231}))
    assert isinstance(record, RequestRecord)
    assert record.aggregate


def test_a_fetched_response_is_never_billed() -> None:
    attributes = {"gen_ai.operation.name": "fetch_response", "gen_ai.usage.input_tokens": 23}
    assert context_span(attributes).kind == "fetch"


# which name wins


def test_the_newer_name_wins_over_the_older_in_any_order() -> None:
    names = {"gen_ai.usage.prompt_tokens": 1, "gen_ai.usage.input_tokens": 2, "llm.usage.prompt_tokens": 3}
    assert request(names).usage.input_tokens == 2
    assert request(dict(reversed(names.items()))).usage.input_tokens == 2


def test_an_empty_string_is_absent() -> None:
    record = request(
        {"gen_ai.provider.name": "", "gen_ai.system": "openai", "user.id": "", "enduser.id": "u"}
    )
    assert (record.provider, record.context.user) == ("openai", "u")


@pytest.mark.parametrize("sent", [23, 23.0, "23", " 23 "])
def test_a_number_may_come_as_integer_double_or_text(sent: Any) -> None:
    assert request({"gen_ai.usage.input_tokens": sent}).usage.input_tokens == 23


@pytest.mark.parametrize("sent", [-5, float("nan"), float("inf"), "many", True, 10**15, 1.5, [1]])
def test_a_number_that_cannot_be_is_unknown(sent: Any) -> None:
    assert request({"gen_ai.usage.input_tokens": sent}).usage.input_tokens is None


def test_an_unreadable_value_does_not_hide_a_readable_one() -> None:
    record = request({"gen_ai.usage.input_tokens": -5, "llm.usage.prompt_tokens": 23})
    assert record.usage.input_tokens == 23
    assert record.usage.raw == {"gen_ai.usage.input_tokens": -5, "llm.usage.prompt_tokens": 23}


@pytest.mark.parametrize(
    ("sent", "provider"),
    [
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("anthropic.messages", "anthropic"),
        ("az.ai.openai", "azure.ai.openai"),
        ("aws.bedrock", "aws.bedrock"),
        ("AWS", "aws.bedrock"),
        ("vertex_ai", "gcp.vertex_ai"),
        ("mistralai", "mistral_ai"),
        ("xai", "x_ai"),
        ("our-own", "our-own"),
    ],
)
def test_a_provider_has_one_spelling(sent: str, provider: str) -> None:
    assert request({"gen_ai.provider.name": sent}).provider == provider


def test_a_provider_that_nobody_named_is_inferred_from_the_model() -> None:
    assert request({"gen_ai.request.model": "claude-sonnet-4-5"}).provider == "anthropic"
    assert request({"gen_ai.request.model": "our-llama"}).provider is None


def test_the_service_tier_of_the_response_is_the_billed_one() -> None:
    tiers = {"openai.request.service_tier": "auto", "openai.response.service_tier": "flex"}
    assert request(tiers).service_tier == "flex"
    assert request({"openai.request.service_tier": "batch"}).batch


# units, streams and outcomes


def test_units_come_from_the_name_and_never_from_the_size() -> None:
    assert request({"gen_ai.response.time_to_first_chunk": 0.25}).ttft_ns == 250_000_000
    assert request({"gen_ai.response.time_to_first_chunk": 250}).ttft_ns == 250_000_000_000


def test_a_call_that_was_not_streamed_has_no_first_token() -> None:
    record = request({"gen_ai.request.stream": False, "gen_ai.server.time_to_first_token": 0.9})
    assert (record.streaming, record.ttft_ns) == (False, None)


def test_the_first_of_the_chunk_events_is_the_first_token() -> None:
    events = tuple(SpanEvent("gen_ai.content.completion.chunk", START + at) for at in (9, 5, 7))
    record = request(events=events)
    assert (record.streaming, record.ttft_ns) == (True, 5)


def test_only_a_library_that_marks_its_streams_means_no_stream_by_silence() -> None:
    assert request(scope=CLAUDE_SDK).streaming is False
    assert request(scope="some.library").streaming is None


def test_an_error_code_is_read_from_the_message() -> None:
    record = request(status="error", status_message="Error code: 429 - slow down")
    assert (record.status, record.http_status) == ("error", 429)


def test_an_exception_event_names_the_error() -> None:
    said = {"exception.type": "openai.RateLimitError", "exception.message": "Error code: 429 - no"}
    record = request(events=(SpanEvent("exception", START, said),))
    assert (record.status, record.error_type, record.http_status) == ("error", "openai.RateLimitError", 429)


def test_an_exception_on_a_span_that_went_well_was_caught() -> None:
    assert request(status="ok", events=(SpanEvent("exception", START),)).status == "ok"


def test_a_stream_that_finished_in_error_without_an_error_was_broken_off() -> None:
    finish = {"gen_ai.request.stream": True, "gen_ai.response.finish_reasons": ["error"]}
    assert request(finish).status == "aborted"


def test_silence_about_the_end_of_a_stream_is_no_abort_unless_the_library_always_tells() -> None:
    stream = {"gen_ai.request.stream": True}
    assert request(stream).status == "ok"
    assert request(stream, scope="opentelemetry.instrumentation.genai.openai").status == "aborted"


@pytest.mark.parametrize("sent", [["stop"], '["stop"]', "stop", "STOP", [None, "stop"]])
def test_a_finish_reason_is_one_word(sent: Any) -> None:
    assert request({"gen_ai.response.finish_reasons": sent}).finish_reason == "stop"


# money


def test_a_reported_cost_is_exact_pico_dollars() -> None:
    assert request({"gen_ai.usage.cost": 0.00132}).cost_reported_pico == 1_320_000_000
    assert request({"llm.cost.total": "0.000000000001"}).cost_reported_pico == 1


@pytest.mark.parametrize("sent", ["NaN", float("inf"), -1, "1e99", True, "free"])
def test_a_cost_that_cannot_be_is_unknown(sent: Any) -> None:
    assert request({"gen_ai.usage.cost": sent}).cost_reported_pico is None


def test_a_cost_of_zero_with_tokens_means_an_unknown_price() -> None:
    assert request({"gen_ai.usage.cost": 0, "gen_ai.usage.input_tokens": 5}).cost_reported_pico is None
    assert request({"gen_ai.usage.cost": 0}).cost_reported_pico == 0


# whose call it was


def test_our_own_attributes_are_read() -> None:
    context = request(
        {
            "tripoint.feature": "search",
            "tripoint.user": "u",
            "tripoint.tier": "premium",
            "tripoint.plan": "pro",
            "tripoint.route.score": 0.7,
            "tripoint.cascade.step": 2,
            "tripoint.tag.team": "blue",
            "user.id": "other",
        }
    ).context
    assert (context.feature, context.user, context.tier, context.plan) == ("search", "u", "premium", "pro")
    assert (context.route_score, context.cascade_step, context.tags) == (0.7, 2, {"team": "blue"})


def test_a_tier_in_free_metadata_is_the_customers_plan() -> None:
    for sent in ({"traceloop.association.properties.tier": "pro"}, {"metadata": '{"tier": "pro"}'}):
        context = request(sent).context
        assert (context.plan, context.tier) == ("pro", None)


def test_an_agents_name_only_hints_at_a_feature() -> None:
    context = request({"gen_ai.agent.name": "weather"}).context
    assert (context.feature, context.feature_hint) == (None, "weather")


def test_a_service_is_no_feature() -> None:
    record = request(
        resource={"service.name": "shop", "deployment.environment": "lab", "service.version": "2"}
    )
    assert (record.service, record.environment, record.release) == ("shop", "lab", "2")
    assert record.context.feature is record.context.feature_hint is None


def test_a_user_of_the_whole_process_enters_at_the_root_alone() -> None:
    resource = {"user.id": "u"}
    assert request(resource=resource).context.user == "u"
    assert request(resource=resource, parent_span_id="c" * 16).context.user is None


def test_identity_is_cut_and_cleaned_but_content_is_not() -> None:
    long = "x" * 5000
    messages = json.dumps([{"content": long}])
    record = request({"user.id": long, "metadata": '{"feature": "a\\u0000b"}'})
    assert (len(record.context.user or ""), record.context.feature) == (512, "ab")
    content = content_from_span(span({**CHAT, "gen_ai.input.messages": messages}))
    assert content is not None
    assert content.input == messages


# JSON attributes


def openinference(**attributes: Any) -> RequestRecord:
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    record = record_from_span(span({"openinference.span.kind": "LLM", **named}))
    assert isinstance(record, RequestRecord)
    return record


def test_openinference_hides_id_model_and_tier_in_json() -> None:
    record = openinference(
        llm__invocation_parameters='{"model": "gpt-4o-mini", "stream": true}',
        output__value='{"id": "chatcmpl-1", "service_tier": "flex"}',
        llm__model_name="gpt-4o-mini-2024-07-18",
    )
    assert (record.request_model, record.response_model) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert (record.response_id, record.service_tier, record.streaming) == ("chatcmpl-1", "flex", True)


@pytest.mark.parametrize(
    "text", ["", "no json", '{"id": "cut', "[1]", '{"id": {}}', '{"id": null}', 7, "x" * 2_000_000]
)
def test_json_that_cannot_be_read_does_no_harm(text: Any) -> None:
    assert openinference(output__value=text, metadata=text).response_id is None


def test_other_metadata_becomes_tags_up_to_a_few_dozen() -> None:
    tags = openinference(metadata='{"team": "blue", "beta": true, "deep": {}}').context.tags
    assert tags == {"team": "blue", "beta": "true"}
    many = openinference(metadata=json.dumps({str(at): at for at in range(999)})).context.tags
    assert len(many) == 32


# content


def test_content_is_json_text_in_the_senders_shape() -> None:
    structured = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    sent = {**CHAT, "gen_ai.input.messages": structured, "gen_ai.output.messages": "cut off ["}
    content = content_from_span(span({**sent, "gen_ai.system_instructions": '["be brief"]'}))
    assert content is not None
    assert json.loads(content.input or "") == {"system": ["be brief"], "messages": structured}
    assert json.loads(content.output or "") == "cut off ["


def test_numbered_messages_are_sorted_as_numbers() -> None:
    sent = {f"gen_ai.prompt.{at}.content": str(at) for at in (10, 9, 0)}
    content = content_from_span(span({**CHAT, **sent}))
    assert content is not None
    assert [message["content"] for message in json.loads(content.input or "")] == ["0", "9", "10"]


def test_spans_around_calls_and_calls_without_content_have_none() -> None:
    assert content_from_span(span(CHAT)) is None
    assert content_from_span(span({"openinference.span.kind": "TOOL", "input.value": "x"})) is None


# the tables


def test_every_table_names_known_fields() -> None:
    for family in FAMILIES:
        blobs = {field for blob in family.blobs for field in blob.fields}
        assert {*family.fields, *family.last_resorts, *blobs} <= FIELDS.keys()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=9),
    st.binary(max_size=9),
)
anything = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=3)
NAMES = [
    *SLOTS,
    "metadata",
    "output.value",
    "openinference.span.kind",
    "gen_ai.input.messages",
    "input.value",
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(NAMES), anything), max_size=12))
def test_no_value_of_any_attribute_makes_it_crash(attributes: list[tuple[str, Any]]) -> None:
    for sent in (dict(attributes), {**CHAT, **dict(attributes)}):
        record_from_span(span(sent))
        content_from_span(span(sent))
