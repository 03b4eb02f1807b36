"""What every page tells the browser it may not do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders

# Nothing but our own files. Vega would need 'unsafe-eval' for its expressions; page.js has it use Vega's
# interpreter (`ast: true`) instead. Vega-Embed and its tooltip would write style elements; both are told not
# to, their few rules stand in style.css. The chart's specification is a data block, which no policy runs.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def protect(headers: MutableHeaders) -> None:
    """Add what a route did not set itself."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


class PageRoute(APIRoute):
    """A route whose answers carry the headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, then the headers."""
        handle = super().get_route_handler()

        async def handle_safely(request: Request) -> Response:
            response = await handle(request)
            protect(response.headers)
            return response

        return handle_safely
