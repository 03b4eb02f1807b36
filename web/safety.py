"""What every page tells the browser it may not do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


# For a year, and no further than this very host: what else its domain serves is not ours to bind.
_HTTPS_ONLY = ("strict-transport-security", "max-age=31536000")


class HttpsOnly:
    """Tells browsers, with every answer, to come over https from now on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(*_HTTPS_ONLY)
            await send(message)

        await self._app(scope, receive, send_with_header if scope["type"] == "http" else send)


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
