"""The workload as OpenTelemetry spans, through the plain SDK and its OTLP exporter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from core.errors import Unavailable
from demo.workload import Call, Visit

_BATCH = 512


class _SeededIds(IdGenerator):
    """The same workload gets the same ids, so that a demo run twice a day counts once."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def generate_span_id(self) -> int:
        return self._chance.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._chance.getrandbits(128) or 1


class Sender:
    """Sends visits; `close` returns when the server has acknowledged every span."""

    def __init__(self, url: str, ingest_key: str, seed: str) -> None:
        self._ids = _SeededIds(seed)
        self._endpoint = f"{url}/v1/traces"
        self._headers = {"Authorization": f"Bearer {ingest_key}"}
        self._providers: dict[str, TracerProvider] = {}
        self._waiting = 0

    def send(self, visits: Iterable[Visit]) -> int:
        """Send these visits and return the number of requests in them."""
        sent = 0
        for visit in visits:
            self._visit(visit)
            sent += len(visit.calls)
            self._waiting += len(visit.calls) + 1
            if self._waiting >= 20 * _BATCH:
                self._flush()
        self._flush()
        return sent

    def close(self) -> None:
        for provider in self._providers.values():
            provider.shutdown()

    def _flush(self) -> None:
        for provider in self._providers.values():
            if not provider.force_flush(60_000):
                raise Unavailable("Tripoint did not take the demo's spans within a minute.")
        self._waiting = 0

    def _tracer(self, service: str) -> Tracer:
        if service not in self._providers:
            resource = Resource.create(
                {"service.name": service, "service.version": "2026.11", "deployment.environment.name": "demo"}
            )
            exporter = OTLPSpanExporter(endpoint=self._endpoint, headers=self._headers, timeout=30)
            provider = TracerProvider(resource=resource, id_generator=self._ids)
            provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=64 * _BATCH, max_export_batch_size=_BATCH)
            )
            self._providers[service] = provider
        return self._providers[service].get_tracer("tripoint.demo", "1")

    def _visit(self, visit: Visit) -> None:
        tracer = self._tracer(visit.feature.service)
        start = visit.calls[0].start_ns - 3_000_000
        root = tracer.start_span(
            f"POST /{visit.feature.name}",
            kind=SpanKind.SERVER,
            start_time=start,
            attributes={
                "tripoint.feature": visit.feature.name,
                "tripoint.tenant": visit.tenant,
                "tripoint.plan": visit.plan,
                "user.id": visit.user,
                "session.id": visit.session,
            },
        )
        context = set_span_in_context(root)
        for call in visit.calls:
            span = tracer.start_span(
                f"chat {call.model.name}",
                context,
                SpanKind.CLIENT,
                _attributes(visit, call),
                start_time=call.start_ns,
            )
            if call.error:
                span.set_status(Status(StatusCode.ERROR, "Error code: 429 - rate limit reached"))
            span.end(call.start_ns + call.duration_ns)
        last = visit.calls[-1]
        root.end(last.start_ns + last.duration_ns + 2_000_000)


def _attributes(visit: Visit, call: Call) -> dict[str, str | int | float | bool | list[str]]:
    found: dict[str, str | int | float | bool | list[str]] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.model.provider,
        "gen_ai.request.model": call.model.name,
        "gen_ai.input.messages": json.dumps([_message("user", visit.prompt)]),
        "tripoint.tier": call.tier,
        "tripoint.route.router": "length-and-plan",
        "tripoint.route.version": "3",
    }
    if call.escalated_from:
        found |= {"tripoint.cascade.step": call.step, "tripoint.cascade.escalated_from": call.escalated_from}
    if call.error:
        return found | {"error.type": call.error, "http.response.status_code": 429}
    found |= {
        "gen_ai.response.model": call.model.answered_by,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cache_read,
        "gen_ai.output.messages": json.dumps([_message("assistant", visit.answer)]),
    }
    if call.ttft_ns is not None:
        found |= {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": call.ttft_ns / 1e9}
    return found


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}
