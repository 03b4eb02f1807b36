"""Joins the application's tracing or sets it up."""

from __future__ import annotations

import atexit
import os
from typing import get_args
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from tripoint import _content
from tripoint._content import Capture, Policy, Redact
from tripoint._guard import guard
from tripoint._log import harmless, log, speak_up
from tripoint._spool import EXIT_S, Spool
from tripoint._wire import Wire
from tripoint._words import ContextSpanProcessor, Travel, let_travel

ENDPOINT = "http://127.0.0.1:4318"
_TRUE = frozenset({"1", "true", "yes", "on"})
_spools: list[Spool] = []
_joined: WeakSet[TracerProvider] = WeakSet()
_stamped: WeakSet[TracerProvider] = WeakSet()


def init(
    endpoint: str | None = None,
    key: str | None = None,
    service: str | None = None,
    *,
    environment: str | None = None,
    release: str | None = None,
    content: Capture | None = None,
    content_rate: float = 0.1,
    redact: Redact | None = None,
    travel: Travel | None = None,
    debug: bool | None = None,
) -> TracerProvider | None:
    """Send this process's spans to Tripoint; returns the provider in use.

    Joins the TracerProvider that the application has set, or makes one and sets it. A second call says so and
    changes nothing. Never raises: what cannot be done is one log line and None.

    endpoint: address of Tripoint; else TRIPOINT_ENDPOINT, else a Tripoint on this machine.
    key: an ingest key; else TRIPOINT_KEY.
    service, environment, release: who sends; else OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    content: whether prompts and answers leave: `all`, `none`, or `sampled`, those of a share `content_rate`
        (0 to 1) of the traces; else TRIPOINT_CONTENT, else `all`. Numbers always leave.
    redact: text → text, applied to all content before it leaves; where it raises, that content is dropped.
    travel: which words go to other services as Baggage: `all`, `none` or a list of feature, user, session,
        tenant, plan, tier, route, tags; else TRIPOINT_TRAVEL, else `all`. None goes out with a model's call.
    debug: say what was sent and what was refused and why; else TRIPOINT_DEBUG.
    """
    try:
        if debug if debug is not None else os.environ.get("TRIPOINT_DEBUG", "").lower() in _TRUE:
            speak_up()
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider) and provider in _joined:
            log.warning("tripoint: init() was called before; this call changes nothing")
            return provider
        resource = _resource(service, environment, release)
        if isinstance(provider, trace.ProxyTracerProvider):
            # Whoever called us may have sampled its own traces; a request that was made was made all the same.
            provider = TracerProvider(resource=Resource.create(resource), sampler=ALWAYS_ON)
            trace.set_tracer_provider(provider)
        if not isinstance(provider, TracerProvider):
            log.error("tripoint: the TracerProvider in use is not OpenTelemetry's SDK; nothing is sent")
            return None
        policy = _policy(content, content_rate, redact)
        let_travel(travel if travel is not None else os.environ.get("TRIPOINT_TRAVEL") or "all")
        wire = _wire(endpoint, key)
        _content.obey(policy)
        _join(provider, Spool(wire, resource))
    except Exception as error:
        log.error("tripoint: tracing could not be set up, nothing is sent: %s", error)
        return None
    return provider


def flush(timeout: float = 10.0) -> bool:
    """Have everything sent that ended so far; whether that was done within `timeout` seconds. It waits: in an
    event loop use `await asyncio.to_thread(tripoint.flush)`."""
    try:
        return all([spool.flush(timeout) for spool in _spools])
    except Exception as error:
        log.error("tripoint: flush failed: %r", error)
        return False


def shutdown(timeout: float = 5.0) -> bool:
    """Send what is left within `timeout` seconds and stop sending; whether all was sent. At the exit of the
    process this happens by itself."""
    try:
        return all([spool.close(timeout) for spool in _spools])
    except Exception as error:
        log.error("tripoint: shutdown failed: %r", error)
        return False


@harmless
def deliver() -> None:
    """Send what is left as the process is about to end: at most five seconds, less where nobody is there."""
    for spool in _spools:
        spool.flush(EXIT_S, give_up=True)


def stamp(provider: TracerProvider) -> None:
    """Have the provider's spans stamped, once."""
    if provider not in _stamped:
        _stamped.add(provider)
        provider.add_span_processor(ContextSpanProcessor())


def _join(provider: TracerProvider, spool: Spool) -> None:
    _joined.add(provider)
    if not _counts_all(provider):
        log.warning(
            "tripoint: the TracerProvider in use samples (%s): requests that it leaves out are not counted",
            provider.sampler.get_description(),
        )
    stamp(provider)
    provider.add_span_processor(spool)
    _spools.append(spool)
    atexit.register(spool.shutdown)
    guard()
    log.debug("tripoint: sending to %s", spool.url)


def _counts_all(provider: TracerProvider) -> bool:
    sampler = provider.sampler
    return sampler is ALWAYS_ON or (
        isinstance(sampler, ParentBased) and getattr(sampler, "_root", None) is ALWAYS_ON
    )


def _resource(service: str | None, environment: str | None, release: str | None) -> dict[str, str]:
    said = {
        "service.name": service,
        "deployment.environment.name": environment,
        "service.version": release,
    }
    return {name: str(value) for name, value in said.items() if value}


def _wire(endpoint: str | None, key: str | None) -> Wire:
    secret = (key or os.environ.get("TRIPOINT_KEY") or "").strip()
    if not secret:
        log.error("tripoint: there is no key; pass key= or set TRIPOINT_KEY. Spans will be refused.")
    return Wire(endpoint or os.environ.get("TRIPOINT_ENDPOINT") or ENDPOINT, secret)


def _policy(content: Capture | None, rate: float, redact: Redact | None) -> Policy:
    wanted = content if content is not None else os.environ.get("TRIPOINT_CONTENT") or "all"
    for capture in get_args(Capture):
        if wanted == capture:
            return Policy(capture, rate, redact)
    log.error("tripoint: content= is all, sampled or none, not %r; no content is sent", wanted)
    return Policy("none", rate, redact)
