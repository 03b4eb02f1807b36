"""Joins the application's tracing or sets it up."""

from __future__ import annotations

import logging
import os
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tripoint._words import ContextSpanProcessor

log = logging.getLogger("tripoint")

_ENDPOINT = "http://127.0.0.1:4318"
_joined: WeakSet[TracerProvider] = WeakSet()


def init(
    endpoint: str | None = None, key: str | None = None, service: str | None = None
) -> TracerProvider | None:
    """Send this process's spans to Tripoint; returns the provider in use.

    Joins the TracerProvider that the application has set, or makes one and sets it. `endpoint` falls back to
    TRIPOINT_ENDPOINT and then to a Tripoint on this machine, `key` to TRIPOINT_KEY, `service` to
    OTEL_SERVICE_NAME. Never raises: where a foreign provider cannot be joined it says so in one log line and
    returns None.
    """
    try:
        provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):
            attributes = {"service.name": service} if service else {}
            provider = TracerProvider(resource=Resource.create(attributes))
            trace.set_tracer_provider(provider)
        if not isinstance(provider, TracerProvider):
            log.error("tripoint: the TracerProvider in use is not OpenTelemetry's SDK; nothing is sent")
            return None
        _join(provider, endpoint, key)
    except Exception:
        log.exception("tripoint: tracing could not be set up; nothing is sent")
        return None
    return provider


def _join(provider: TracerProvider, endpoint: str | None, key: str | None) -> None:
    if provider in _joined:
        log.warning("tripoint: init() was called before; this call changes nothing")
        return
    base = (endpoint or os.environ.get("TRIPOINT_ENDPOINT") or _ENDPOINT).rstrip("/")
    secret = key or os.environ.get("TRIPOINT_KEY")
    if not secret:
        log.error("tripoint: there is no key; pass key= or set TRIPOINT_KEY. Spans will be refused.")
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    provider.add_span_processor(ContextSpanProcessor())
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces", headers=headers))
    )
    _joined.add(provider)
