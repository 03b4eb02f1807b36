"""The files that pages load: read once, served with a version so that a new release is seen at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from web import chart

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_CACHED = {"Cache-Control": "public, max-age=86400"}


@cache
def address(name: str) -> str:
    """Where a page finds a file."""
    digest = chart.VERSION if name == "vega.js" else hashlib.sha256(_read(name)).hexdigest()[:16]
    return f"/static/{name}?v={digest}"


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def add_assets(routes: APIRouter) -> None:
    """One route a file, so that no path of a visitor's ever reaches the disk."""

    @routes.get("/static/vega.js")
    def vega_script() -> Response:
        packed = _CACHED | {"Content-Encoding": "gzip"}
        return Response(chart.bundle(), media_type="text/javascript", headers=packed)

    for file in sorted(_FOLDER.iterdir()):
        routes.add_api_route(f"/static/{file.name}", _server(file.name), methods=["GET"], name=file.name)


def _server(name: str) -> Callable[[], Response]:
    def serve() -> Response:
        return Response(_read(name), media_type=_TYPES[Path(name).suffix], headers=_CACHED)

    return serve
