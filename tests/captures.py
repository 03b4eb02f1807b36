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

from collector.decode import ContentType, decode_traces
from core.span import Span

CAPTURES = Path(__file__).resolve().parents[2] / "shared" / "captures"
FAMILIES = ("genai", "otelv2", "otelv2exp", "openinference", "traceloop", "openllmetry", "otlp_spec")


@dataclass(frozen=True)
class Body:
    """One trace body, unpacked, with its encoding."""

    content: bytes
    content_type: ContentType

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
