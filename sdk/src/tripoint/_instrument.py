"""Which of the ecosystem's instrumentations reports the calls of a client library: the best one installed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tripoint import _content
from tripoint._instrument_streams import watch_spans, watch_streams
from tripoint._log import log

if TYPE_CHECKING:
    from collections.abc import Iterator

OpenAIInstrumentation = Literal["genai", "openinference", "openllmetry", "openai-v2"]
AnthropicInstrumentation = Literal["genai", "openinference", "openllmetry", "native"]


@dataclass(frozen=True)
class Candidate:
    """An instrumentation: `name` for `prefer=`, and where it is. Without a class the client reports by itself."""

    name: str
    distribution: str
    module: str
    instrumentor: str | None


# The order is by what they report of one call: usage by class, response id, service tier, streams, Responses.
_CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "openai": (
        Candidate(
            "genai",
            "opentelemetry-instrumentation-genai-openai",
            "opentelemetry.instrumentation.genai.openai",
            "OpenAIInstrumentor",
        ),
        Candidate(
            "openinference",
            "openinference-instrumentation-openai",
            "openinference.instrumentation.openai",
            "OpenAIInstrumentor",
        ),
        Candidate(
            "openllmetry",
            "opentelemetry-instrumentation-openai",
            "opentelemetry.instrumentation.openai",
            "OpenAIInstrumentor",
        ),
        Candidate(
            "openai-v2",
            "opentelemetry-instrumentation-openai-v2",
            "opentelemetry.instrumentation.openai_v2",
            "OpenAIInstrumentor",
        ),
    ),
    "anthropic": (
        Candidate(
            "genai",
            "opentelemetry-instrumentation-genai-anthropic",
            "opentelemetry.instrumentation.genai.anthropic",
            "AnthropicInstrumentor",
        ),
        Candidate(
            "openinference",
            "openinference-instrumentation-anthropic",
            "openinference.instrumentation.anthropic",
            "AnthropicInstrumentor",
        ),
        Candidate(
            "openllmetry",
            "opentelemetry-instrumentation-anthropic",
            "opentelemetry.instrumentation.anthropic",
            "AnthropicInstrumentor",
        ),
        # Since its version 2 the client itself makes spans; they never hold content.
        Candidate("native", "anthropic", "anthropic._tracing", None),
    ),
}
_chosen: dict[str, Candidate] = {}


def instrument_openai(prefer: OpenAIInstrumentation | None = None) -> str | None:
    """Have every call of the `openai` clients reported: sync, async and streamed, chat, Responses, embeddings.

    Chooses the best instrumentation that is installed and works with the installed client, and adds what it
    lacks: the time to the first chunk that shows something, whether the call was streamed, and whether its
    stream was left early. Returns the name of the distribution in use; a second call returns it again.
    `prefer` tries another first. Call it after `init`. Never raises: where none is installed it logs what to
    install and returns None.
    """
    return _instrument("openai", prefer)


def instrument_anthropic(prefer: AnthropicInstrumentation | None = None) -> str | None:
    """The same for the `anthropic` clients. Version 2 of these also reports calls by itself (`native`): next to
    another instrumentation there are two spans for one call, which Tripoint counts once."""
    return _instrument("anthropic", prefer)


def _instrument(client: str, prefer: str | None) -> str | None:
    try:
        return _chosen_for(client, prefer)
    except Exception as error:
        log.error("tripoint: %s could not be instrumented: %r", client, error)
        return None


def _chosen_for(client: str, prefer: str | None) -> str | None:
    if not _is_installed(client):
        log.error("tripoint: the package %s is not installed, so there is nothing to instrument", client)
        return None
    if client not in _chosen:
        found = _activated(client, _in_order(client, prefer))
        if found is None:
            log.error(
                'tripoint: no instrumentation of %s is installed that works; run: pip install "tripoint[%s]"',
                client,
                client,
            )
            return None
        _chosen[client] = found
        watch_streams(client)
        log.debug("tripoint: calls of %s are reported by %s", client, found.distribution)
    elif prefer not in (None, _chosen[client].name):
        log.warning("tripoint: %s is instrumented by %s already", client, _chosen[client].distribution)
    # Again on every call: a provider may have been set since the last one.
    _watch_current_provider(client)
    return _chosen[client].distribution


def _in_order(client: str, prefer: str | None) -> list[Candidate]:
    """The preferred one first, then those in use already, then the best."""
    candidates = _CANDIDATES[client]
    if prefer is not None and prefer not in {candidate.name for candidate in candidates}:
        known = ", ".join(candidate.name for candidate in candidates)
        log.error("tripoint: prefer= is one of %s, not %r", known, prefer)
    return sorted(candidates, key=lambda c: (c.name != prefer, not _in_use(c)))


def _activated(client: str, candidates: Sequence[Candidate]) -> Candidate | None:
    for candidate in candidates:
        if not _is_installed(candidate.module):
            continue
        try:
            if candidate.instrumentor is None or _activate(candidate):
                return candidate
            why: object = "it does not support the installed version"
        except Exception as error:
            why = repr(error)
        log.debug("tripoint: %s does not work with the installed %s: %s", candidate.distribution, client, why)
    return None


def _activate(candidate: Candidate) -> bool:
    instrumentor = _instrumentor(candidate)
    if not instrumentor.is_instrumented_by_opentelemetry:
        _ask_for_content()
        with _hushed():
            instrumentor.instrument()
    return bool(instrumentor.is_instrumented_by_opentelemetry)


def _instrumentor(candidate: Candidate) -> Any:
    return getattr(import_module(candidate.module), str(candidate.instrumentor))()


def _in_use(candidate: Candidate) -> bool:
    """Whether the application has instrumented with it before us."""
    if candidate.instrumentor is None or candidate.module not in sys.modules:
        return False
    try:
        return bool(_instrumentor(candidate).is_instrumented_by_opentelemetry)
    except Exception:
        return False


def _ask_for_content() -> None:
    """What is captured is filtered when it leaves (`_content`), so ask for all of it, or for none at all. What
    the operator has set stays."""
    if _content.current.capture == "none":
        os.environ.setdefault("TRACELOOP_TRACE_CONTENT", "false")
    else:
        os.environ.setdefault("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")


@contextmanager
def _hushed() -> Iterator[None]:
    """An instrumentation that does not fit says so at level ERROR; we try the next one and say what matters."""
    logger = logging.getLogger("opentelemetry.instrumentation.instrumentor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _watch_current_provider(client: str) -> None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        watch_spans(provider)
    else:
        log.warning(
            "tripoint: call init() before instrument_%s(), or time to first token is not measured", client
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
