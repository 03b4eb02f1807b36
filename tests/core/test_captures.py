"""Every real body, decoded, read and settled, gives what the provider saw."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from core.conventions import record_from_span
from core.request import RequestRecord
from core.settle import Settled, settle
from core.span import Span
from tests.captures import CAPTURES, KNOWN, attribute_names, cases, expected, load, true_requests

if not CAPTURES.is_dir():
    pytest.skip(f"the captures are not at {CAPTURES}", allow_module_level=True)

READABLE = [case for case in cases() if "expect_http_status" not in expected(case)]
FIRST_TOKEN = ("First Token Stream Event", "gen_ai.content.completion.chunk", "llm.content.completion.chunk")


def spans_of(case: str) -> list[Span]:
    return [span for body in load(case) for span in body.spans()]


def settled(spans: Iterable[Span]) -> list[Settled]:
    read = [record_from_span(span) for span in spans]
    return settle(
        [r for r in read if isinstance(r, RequestRecord)],
        [r for r in read if not isinstance(r, RequestRecord)],
    )


def counted(spans: Iterable[Span]) -> list[RequestRecord]:
    return [verdict.record for verdict in settled(spans) if verdict.counted]


def is_known(case: str, field: str) -> bool:
    return case in KNOWN and KNOWN[case].field == field


def pairs(case: str) -> list[tuple[RequestRecord, dict[str, Any]]]:
    """Counted requests beside the true ones, in order of time; none where the library sent nothing."""
    if is_known(case, "requests"):
        return []
    return list(zip(counted(spans_of(case)), true_requests(case), strict=True))


@pytest.mark.parametrize("case", READABLE)
def test_each_request_counts_once(case: str) -> None:
    if not is_known(case, "requests"):
        assert len(counted(spans_of(case))) == expected(case)["logical_requests"]


@pytest.mark.parametrize("case", READABLE)
def test_models_and_provider_are_the_true_ones(case: str) -> None:
    for record, truth in pairs(case):
        assert record.provider == truth["provider"]
        assert record.request_model == truth["request_model"]
        if "response_model" in truth:
            assert record.response_model == truth["response_model"]


@pytest.mark.parametrize("case", READABLE)
def test_a_response_id_on_the_wire_is_found(case: str) -> None:
    on_wire = b"".join(body.content for body in load(case))
    for record, truth in pairs(case):
        true_id = truth.get("response_id")
        was_sent = true_id is not None and true_id.encode() in on_wire
        assert record.response_id == (true_id if was_sent else None)


@pytest.mark.parametrize("case", READABLE)
def test_the_outcome_is_the_true_one(case: str) -> None:
    for record, truth in pairs(case):
        if truth["status"] >= 400:
            assert (record.status, record.http_status) == ("error", truth["status"])
            assert record.error_type
        elif truth.get("midstream_error"):
            assert record.status == "error"
        elif truth.get("client_aborted") and not is_known(case, "status"):
            assert record.status == "aborted"
        elif not truth.get("client_aborted"):
            assert record.status == "ok"


def no_usage_was_sent(truth: dict[str, Any], spans: Sequence[Span]) -> bool:
    if truth["status"] >= 400 or not truth.get("usage_sent_on_wire", True):
        return True
    # a client that went away never saw the usage which the server sent last
    return bool(truth.get("client_aborted")) and not sent(spans, "usage", "token_count")


def sent(spans: Iterable[Span], *words: str) -> bool:
    return any(word in name for name in attribute_names(spans) for word in words)


@pytest.mark.parametrize("case", READABLE)
def test_tokens_are_the_true_ones_by_class(case: str) -> None:
    spans = spans_of(case)
    for record, truth in pairs(case):
        usage = record.usage
        if no_usage_was_sent(truth, spans):
            assert (usage.input_tokens, usage.output_tokens, usage.known) == (None, None, False)
            continue
        assert usage.input_tokens == truth["input_tokens_total"]
        if truth["output_tokens"] or usage.output_tokens is not None:
            assert usage.output_tokens == truth["output_tokens"]
        cached = {
            "cache_read": sent(spans, "cache_read", "cached"),
            "cache_write": sent(spans, "cache_write", "cache_creation"),
        }
        for name, was_sent in cached.items():
            assert getattr(usage, name) == (truth[f"{name}_tokens"] if was_sent else None), name
        if all(cached.values()) or (not truth["cache_write_tokens"] and cached["cache_read"]):
            assert usage.uncached_input == truth["input_tokens_uncached"]
        assert usage.reasoning in (None, truth["reasoning_tokens"])
        assert usage.reasoning is not None or not sent(spans, "reasoning")
        if sent(spans, "ephemeral_1h"):
            assert usage.cache_write_1h == truth["cache_write_1h_tokens"]


@pytest.mark.parametrize("case", READABLE)
def test_the_service_tier_is_the_one_that_answered(case: str) -> None:
    for record, truth in pairs(case):
        if record.service_tier is not None:
            assert record.service_tier == truth["service_tier"]


@pytest.mark.parametrize("case", READABLE)
def test_streaming_is_never_told_wrongly(case: str) -> None:
    spans = spans_of(case)
    for record, truth in pairs(case):
        if "stream" not in truth:
            continue
        if sent(spans, "stream", "time_to_first", "llm.invocation_parameters"):
            assert record.streaming is not None
        assert record.streaming in (None, truth["stream"])


@pytest.mark.parametrize("case", READABLE)
def test_the_first_token_came_when_the_server_sent_it(case: str) -> None:
    spans = spans_of(case)
    for record, truth in pairs(case):
        marked = any(event.name in FIRST_TOKEN for span in spans for event in span.events)
        if record.ttft_ns is None:
            assert not truth.get("stream") or not (marked or sent(spans, "time_to_first"))
        elif not is_known(case, "ttft"):
            low, high = truth["ttft_bounds_s"]
            assert low <= record.ttft_ns / 1e9 <= high


@pytest.mark.parametrize("case", [case for case in READABLE if "context_set_by_app" in expected(case)])
def test_user_and_session_reach_every_request(case: str) -> None:
    context = expected(case)["context_set_by_app"]
    on_wire = b"".join(body.content for body in load(case))
    for record, _ in pairs(case):
        for field in ("user", "session"):
            was_sent = context[field].encode() in on_wire
            assert getattr(record.context, field) == (context[field] if was_sent else None)


@pytest.mark.parametrize("case", READABLE)
def test_order_and_batches_change_nothing(case: str) -> None:
    spans, chance = spans_of(case), random.Random(case)
    in_order = settled(spans)
    for _ in range(3):
        chance.shuffle(spans)
        cut = chance.randint(0, len(spans))
        assert settled([*spans[cut:], *spans[:cut], *spans[:1]]) == in_order


@pytest.mark.parametrize("case", KNOWN)
def test_what_is_known_is_proven_by_the_bytes(case: str) -> None:
    assert KNOWN[case].proof(spans_of(case)), KNOWN[case].reason
