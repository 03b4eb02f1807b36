"""For whom and why each language model request is made, on top of OpenTelemetry."""

from tripoint._call import Call, llm_call
from tripoint._context import context
from tripoint._feedback import Ids, current_ids, feedback
from tripoint._instrument import instrument_anthropic, instrument_openai
from tripoint._propagate import ASGIMiddleware, WSGIMiddleware, carry, extract, inject
from tripoint._route import route
from tripoint._setup import flush, init, shutdown
from tripoint._version import __version__
from tripoint._words import ContextSpanProcessor

__all__ = [
    "ASGIMiddleware",
    "Call",
    "ContextSpanProcessor",
    "Ids",
    "WSGIMiddleware",
    "__version__",
    "carry",
    "context",
    "current_ids",
    "extract",
    "feedback",
    "flush",
    "init",
    "inject",
    "instrument_anthropic",
    "instrument_openai",
    "llm_call",
    "route",
    "shutdown",
]
