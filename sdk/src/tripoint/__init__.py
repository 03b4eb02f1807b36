"""For whom and why each language model request is made, on top of OpenTelemetry."""

from tripoint._context import context
from tripoint._route import route
from tripoint._setup import init
from tripoint._words import ContextSpanProcessor

__version__ = "0.1.0"
__all__ = ["ContextSpanProcessor", "__version__", "context", "init", "route"]
