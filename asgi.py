"""The server process: joins the rooms into one ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from api import routes as api_routes
from collector import receive, rpc
from collector.intake import Intake
from collector.limits import Limits, Room
from collector.settle import settle_project
from core.errors import BadQuestion, NotFound, SetupError, TripointError
from core.store.door import Door
from core.store.intake import append
from core.store.lens import PostgresLens
from core.store.partitions import make_ahead
from core.store.prices import Shelf
from core.store.session import check, open_engine
from settings import ROOMS, Settings, host_and_port
from web import routes as web_routes

log = structlog.get_logger()

_REFRESH_S = 30


def now() -> datetime:
    """The clock of the process; everything below takes it as an argument."""
    return datetime.now(UTC)


@dataclass
class Parts:
    """What the rooms share in one process."""

    settings: Settings
    rooms: tuple[str, ...] = ROOMS
    clock: Callable[[], datetime] = now
    engine: Engine = field(init=False)
    writer: Engine = field(init=False)
    shelf: Shelf = field(init=False)
    door: Door = field(init=False)
    intake: Intake = field(init=False)
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        url = self.settings.needed("database_url")
        self.engine = open_engine(url, pool_size=10)
        # Writers have a connection of their own: a page's long question must not hold up a commit.
        self.writer = open_engine(url, pool_size=3)
        self.shelf = Shelf(self.engine)
        self.door = Door(self.engine, self.clock)
        self.intake = Intake(partial(append, self.writer))
        # One for HTTP and gRPC together: it bounds the process.
        self.room = Room(Limits(self.settings.body_max_bytes, self.settings.queue_max_bytes))

    def collector(self) -> receive.Collector:
        return receive.Collector(
            writer=self.writer,
            door=self.door,
            intake=self.intake,
            room=self.room,
            book=self.shelf.book,
            clock=self.clock,
            past=timedelta(days=self.settings.past_days),
            future=timedelta(hours=self.settings.future_hours),
            store_content=self.settings.store_content,
        )

    def settle(self, project_id: int) -> int:
        """Settle all that waits in a project, however fresh."""
        # The marks carry the database's time, which may be ahead of ours.
        tomorrow = self.clock() + timedelta(days=1)
        none = timedelta(0)
        return settle_project(self.writer, project_id, self.shelf.book(), tomorrow, quiet=none, longest=none)

    def api(self) -> api_routes.Api:
        return api_routes.Api(
            self.engine, self.door, PostgresLens(self.engine), self.shelf.book, self.settle, self.clock
        )

    def web(self) -> web_routes.Web:
        return web_routes.Web(
            self.engine,
            self.door,
            PostgresLens(self.engine),
            self.shelf.book,
            self.clock,
            self.settings.secure_cookies,
        )


def create_app(settings: Settings | None = None, rooms: tuple[str, ...] = ROOMS) -> FastAPI:
    """The application with the named rooms."""
    parts = Parts(settings or Settings(), rooms)
    app = FastAPI(
        title="Tripoint",
        version="1",
        description="Cost, latency and quality of every language model request. Money is a decimal string.",
        lifespan=partial(_lifespan, parts),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    if "collector" in rooms:
        otlp = receive.routes(parts.collector())
        app.router.routes.extend(otlp)
        app.add_middleware(_OtlpFirst, routes=otlp)
    if "api" in rooms:
        app.include_router(api_routes.router(parts.api()))
    if "web" in rooms:
        app.include_router(web_routes.router(parts.web()))
    _add_probes(app, parts)
    secure = parts.settings.secure_cookies
    if secure:
        app.add_middleware(web_routes.HttpsOnly)
    app.add_exception_handler(TripointError, partial(_on_error, secure))
    app.add_exception_handler(RequestValidationError, partial(_on_invalid, secure))
    app.add_exception_handler(HTTPException, partial(_on_unrouted, secure))
    return app


class _OtlpFirst:
    """OTLP bodies reach their routes before FastAPI's machinery, which costs more than reading a small body."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._router = Router(routes)
        self._paths = {route.path for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths
        await (self._router if ours else self._app)(scope, receive, send)


@contextlib.asynccontextmanager
async def _lifespan(parts: Parts, app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(_open, parts)
    _spare_long_lived_objects()
    parts.intake.start()
    refresher = asyncio.create_task(_refresh(parts))
    server = None
    if "collector" in parts.rooms and parts.settings.grpc_port:
        address = host_and_port(parts.settings.host, parts.settings.grpc_port)
        server, port = rpc.make_server(parts.collector(), address)
        if not port:
            raise SetupError(f"gRPC cannot listen on {address}. Choose another port with TRIPOINT_GRPC_PORT.")
        await server.start()
    try:
        yield
    finally:
        refresher.cancel()
        if server:
            await server.stop(grace=2)
        await parts.intake.stop()
        parts.engine.dispose()
        parts.writer.dispose()


def _open(parts: Parts) -> None:
    check(parts.engine)
    make_ahead(parts.writer, parts.clock().date())
    parts.shelf.book()


def _spare_long_lived_objects() -> None:
    """Keep the cycle collector off what lives as long as the process: prices, routes, tables, modules.

    Intake makes thousands of values a second and no cycles; walking all of them and everything loaded at
    start for nothing took 10 to 20 % of its CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _refresh(parts: Parts) -> None:
    """Keep the prices fresh and tomorrow's partitions ready, off the path of any request."""
    while True:
        await asyncio.sleep(_REFRESH_S)
        try:
            await asyncio.to_thread(parts.shelf.refresh)
            await asyncio.to_thread(make_ahead, parts.writer, parts.clock().date())
        except TripointError as error:
            log.warning("refresh.failed", error=str(error))


def _add_probes(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        """The database answers too."""
        try:
            check(parts.engine)
        except TripointError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ready\n")

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Our own counters, for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _on_error(secure: bool, request: Request, error: Exception) -> Response:
    assert isinstance(error, TripointError)
    answer = api_routes.problem(error)
    if web_routes.wants_page(request):
        return web_routes.error_page(request, error, answer.status_code, secure)
    return answer


async def _on_unrouted(secure: bool, request: Request, error: Exception) -> Response:
    """A path or method that no room has."""
    assert isinstance(error, HTTPException)
    found = NotFound(f"There is nothing at {request.url.path[:200]} for {request.method}.")
    status = error.status_code
    answer: Response = (
        web_routes.error_page(request, found, status, secure)
        if web_routes.wants_page(request)
        else api_routes.problem_reply(found, status, HTTPStatus(status).phrase)
    )
    answer.headers.update(error.headers or {})
    return answer


async def _on_invalid(secure: bool, request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = "; ".join(
        f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors()[:5]
    )
    return await _on_error(secure, request, BadQuestion(words))


def from_environment() -> FastAPI:
    """What uvicorn starts: the settings, and the rooms named by TRIPOINT_ROOMS."""
    named = tuple(filter(None, os.environ.get("TRIPOINT_ROOMS", "").split(",")))
    return create_app(Settings(), named or ROOMS)
