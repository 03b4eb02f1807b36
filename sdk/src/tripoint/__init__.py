"""For whom and why each language model request is made, on top of OpenTelemetry."""

from tripoint._context import ContextSpanProcessor, context
from tripoint._setup import init

__version__ = "0.1.0"
__all__ = ["ContextSpanProcessor", "__version__", "context", "init"]
