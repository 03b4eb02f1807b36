"""Real OTLP bodies next to what the provider saw: where they are, how they load, and what is known of them.

The captures lie beside the checkout and are not part of it; without them their tests are skipped.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.decode import decode_traces
from collector.reply import Encoding
from core.request import RequestRecord
from core.span import Span

CAPTURES = Path(__file__).resolve().parents[2] / "shared" / "captures"
FIRST_TOKEN = ("First Token Stream Event", "gen_ai.content.completion.chunk", "llm.content.completion.chunk")
FAMILIES = ("genai", "otelv2", "otelv2exp", "openinference", "traceloop", "openllmetry", "otlp_spec")


@dataclass(frozen=True)
class Body:
    """One trace body, unpacked, with its encoding."""

    content: bytes
    content_type: Encoding

    def spans(self) -> list[Span]:
        return decode_traces(self.content, self.content_type).spans


@dataclass(frozen=True)
class Known:
    """A case whose library sent nothing or something wrong for `field`, and the proof from its bytes."""

    field: str
    reason: str
    proof: Callable[[Sequence[Span]], bool]


def _nothing_sent(spans: Sequence[Span]) -> bool:
    return not spans


def _looks_like_success(spans: Sequence[Span]) -> bool:
    return all(s.status == "unset" and not s.events for s in spans) and not (
        {"error.type", "gen_ai.response.finish_reasons"} & attribute_names(spans)
    )


def _attribute_below(name: str, bound_s: float) -> Callable[[Sequence[Span]], bool]:
    return lambda spans: any(s.attributes.get(name, bound_s) < bound_s for s in spans)


def _event_before(name: str, bound_s: float) -> Callable[[Sequence[Span]], bool]:
    return lambda spans: any(
        e.name == name and (e.time_ns - s.start_ns) / 1e9 < bound_s for s in spans for e in s.events
    )


KNOWN: dict[str, Known] = {
    "otelv2/oai_responses": Known("requests", "this library does not trace the Responses API", _nothing_sent),
    "otelv2/oai_responses_stream": Known(
        "requests", "this library does not trace the Responses API", _nothing_sent
    ),
    "otelv2/oai_abort": Known(
        "status",
        "a stream that the client left looks like any other: no finish reason, no error",
        _looks_like_success,
    ),
    "genai/oai_responses_stream": Known(
        "ttft",
        "the first-chunk time is that of the stream's opening event, before any token",
        _attribute_below("gen_ai.response.time_to_first_chunk", 0.29),
    ),
    "openinference/oai_responses_stream": Known(
        "ttft",
        "the first-token event marks the stream's opening event, before any token",
        _event_before("First Token Stream Event", 0.29),
    ),
}


def cases(families: Iterable[str] = FAMILIES) -> list[str]:
    """The names `library/case` of all captures of these families, sorted."""
    return sorted(
        f"{family}/{path.name.removesuffix('.expected.json')}"
        for family in families
        for path in (CAPTURES / family).glob("*.expected.json")
    )


def expected(case: str) -> dict[str, Any]:
    """What the provider saw."""
    found: dict[str, Any] = json.loads((CAPTURES / f"{case}.expected.json").read_text())
    return found


def load(case: str) -> list[Body]:
    """The trace bodies of one case, in the order in which they were sent."""
    folder, bodies = (CAPTURES / case).parent, []
    for name in expected(case)["capture_files"]:
        headers = json.loads((folder / f"{Path(name).stem}.headers.json").read_text())
        if headers.get("signal", "traces") == "traces":
            bodies.append(_body((folder / name).read_bytes(), name, headers.get("headers", {})))
    return bodies


def spans_of(case: str) -> list[Span]:
    """Every span of one case, in the order in which they were sent."""
    return [span for body in load(case) for span in body.spans()]


def _body(content: bytes, name: str, headers: dict[str, str]) -> Body:
    sent = {key.lower(): value for key, value in headers.items()}
    if sent.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return Body(content, "json" if name.endswith(".json") else "protobuf")


def attribute_names(spans: Iterable[Span]) -> set[str]:
    """Every attribute name that the wire carried."""
    return {name for span in spans for name in span.attributes}


def true_requests(case: str) -> list[dict[str, Any]]:
    """The requests as their caller meant them: each success, and each failure that no retry repaired."""
    truth = expected(case)
    requests: list[dict[str, Any]] = truth["requests"]
    retried = [at for at, r in enumerate(requests) if r["status"] >= 400 and at + 1 < len(requests)]
    hidden = set(retried[: len(requests) - truth["logical_requests"]])
    return [r for at, r in enumerate(requests) if at not in hidden]


def is_known(case: str, field: str) -> bool:
    """Whether the case's library got this field wrong."""
    return case in KNOWN and KNOWN[case].field == field


def no_usage_was_sent(truth: dict[str, Any], spans: Sequence[Span]) -> bool:
    """Whether nobody could know this request's tokens from the wire."""
    if truth["status"] >= 400 or not truth.get("usage_sent_on_wire", True):
        return True
    # a client that went away never saw the usage which the server sent last
    return bool(truth.get("client_aborted")) and not sent(spans, "usage", "token_count")


def sent(spans: Iterable[Span], *words: str) -> bool:
    """Whether any attribute's name has one of the words in it."""
    return any(word in name for name in attribute_names(spans) for word in words)


# The rules: what one request, read from a case's bodies by whatever way, must say beside the truth.


def models_and_provider_are_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    assert record.provider == truth["provider"]
    assert record.request_model == truth["request_model"]
    if "response_model" in truth:
        assert record.response_model == truth["response_model"]


def response_id_is_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    on_wire = b"".join(body.content for body in load(case))
    true_id = truth.get("response_id")
    was_sent = true_id is not None and true_id.encode() in on_wire
    assert record.response_id == (true_id if was_sent else None)


def outcome_is_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    if truth["status"] >= 400:
        assert (record.status, record.http_status) == ("error", truth["status"])
        assert record.error_type
    elif truth.get("midstream_error"):
        assert record.status == "error"
    elif truth.get("client_aborted") and not is_known(case, "status"):
        assert record.status == "aborted"
    elif not truth.get("client_aborted"):
        assert record.status == "ok"


def tokens_are_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    spans, usage = spans_of(case), record.usage
    if no_usage_was_sent(truth, spans):
        assert (usage.input_tokens, usage.output_tokens, usage.known) == (None, None, False)
        return
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


def service_tier_is_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    if record.service_tier is not None:
        assert record.service_tier == truth["service_tier"]


def streaming_is_never_wrong(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    if "stream" not in truth:
        return
    if sent(spans_of(case), "stream", "time_to_first", "llm.invocation_parameters"):
        assert record.streaming is not None
    assert record.streaming in (None, truth["stream"])


def first_token_is_in_bounds(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    spans = spans_of(case)
    marked = any(event.name in FIRST_TOKEN for span in spans for event in span.events)
    if record.ttft_ns is None:
        assert not truth.get("stream") or not (marked or sent(spans, "time_to_first"))
    elif not is_known(case, "ttft"):
        low, high = truth["ttft_bounds_s"]
        assert low <= record.ttft_ns / 1e9 <= high


def user_and_session_are_true(case: str, record: RequestRecord, truth: dict[str, Any]) -> None:
    context = expected(case).get("context_set_by_app")
    if context is None:
        return
    on_wire = b"".join(body.content for body in load(case))
    for field in ("user", "session"):
        was_sent = context[field].encode() in on_wire
        assert getattr(record.context, field) == (context[field] if was_sent else None)


RULES: tuple[Callable[[str, RequestRecord, dict[str, Any]], None], ...] = (
    models_and_provider_are_true,
    response_id_is_true,
    outcome_is_true,
    tokens_are_true,
    service_tier_is_true,
    streaming_is_never_wrong,
    first_token_is_in_bounds,
    user_and_session_are_true,
)
