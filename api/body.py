"""Bodies are refused before they are held in memory, where they are larger than any that a route asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from core.errors import TooLarge


def limited_to(most: int, admit: Callable[[Request], object] | None = None) -> type[APIRoute]:
    """A kind of route that takes bodies of up to `most` bytes, read once `admit` let the caller in."""

    class Limited(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def limited(request: Request) -> Response:
                if admit is not None:
                    await asyncio.to_thread(admit, request)
                body = bytearray()
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise TooLarge(f"The body is larger than {most} bytes.")
                request._body = bytes(body)  # where Starlette keeps a body that was read
                return await handle(request)

            return limited

    return Limited
