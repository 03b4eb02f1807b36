"""A real PostgreSQL for every test process, built by the migrations; a project of its own for every test."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import structlog
import uvicorn
from sqlalchemy import Engine

import launch
from asgi import create_app
from core.pricing.price import PriceBook
from core.store import keys
from core.store.prices import load_book
from core.store.session import open_engine, transaction
from protocol import BoundedHeads
from settings import Settings
from tests.ports import free_port

# Tracebacks in colour with all locals take seconds each.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
)

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Real inputs, beside the checkout; tests that read them skip where they are absent."""


@dataclass(frozen=True)
class Database:
    """One migrated database: `owner_url` may do anything, `app_url` logs in as `tripoint_app`."""

    owner_url: str
    app_url: str


@dataclass(frozen=True)
class Project:
    """A tenant of its own, with one key a role."""

    id: int
    name: str
    ingest: str
    read: str
    admin: str

    def sending(self, content_type: str = "application/x-protobuf") -> dict[str, str]:
        return {"authorization": f"Bearer {self.ingest}", "content-type": content_type}

    def reading(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.read}"}

    def ruling(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.admin}"}


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Root's database files may not lie below pytest's own folder, so they are linked from there; they go
    when the tests do."""
    yield
    for link in tmp_path_factory.getbasetemp().glob("*/**/stores"):
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two URLs of a running PostgreSQL without a database name in them: the owner's and the application's.
    The embedded one, or the one that TRIPOINT_TEST_DATABASE_URL names."""
    if url := os.environ.get("TRIPOINT_TEST_DATABASE_URL"):
        yield url, url
        return
    from supervisor import folder as folders
    from supervisor import postgres
    from supervisor.child import Child, stop_together

    data = folders.create_data_folder(tmp_path_factory.mktemp("postgres"))
    folder = folders.prepare(data, lambda step: None)
    postgres.prepare(folder, lambda step: None)
    child = Child(postgres.command(folder), folder.log("postgres"))
    try:
        child.wait_ready()
        postgres.ensure_database(folder)
        launch.migrate(postgres.owner_url(folder))
        postgres.ensure_app_login(postgres.owner_url(folder), postgres.app_password(folder))
        yield postgres.owner_url(folder), postgres.app_url(folder)
    finally:
        stop_together([child], hurried=lambda: False)
        if folder.home != data:
            # Root's database files may not lie below a folder that only root may enter.
            shutil.rmtree(folder.home, ignore_errors=True)


def on(url: str, database: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


@pytest.fixture
def empty_database(cluster: tuple[str, str]) -> Iterator[str]:
    """The owner's URL of a database with nothing in it."""
    name = f"tripoint_{uuid4().hex[:12]}"
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield on(cluster[0], name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def database(cluster: tuple[str, str]) -> Iterator[Database]:
    """A migrated database with the catalogue's prices."""
    name = f"tripoint_{uuid4().hex[:12]}"
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        launch.migrate(on(cluster[0], name))
        yield Database(on(cluster[0], name), on(cluster[1], name))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def owner(database: Database) -> Iterator[Engine]:
    """The owner's engine."""
    engine = open_engine(database.owner_url, role=None)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def engine(database: Database) -> Iterator[Engine]:
    """The application's engine, under the role that owns nothing."""
    engine = open_engine(database.app_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def book(engine: Engine) -> PriceBook:
    """The catalogue's prices as the ledger holds them."""
    with transaction(engine) as connection:
        return load_book(connection)


def make_project(owner: Engine, name: str | None = None) -> Project:
    """A new tenant with its keys."""
    name = name or f"project-{uuid4().hex[:12]}"
    with transaction(owner) as connection:
        number = keys.create_project(connection, name)
    made = {role: launch.make_key(owner, number, role) for role in ("ingest", "read", "admin")}
    return Project(number, name, **made)


@pytest.fixture
def project(owner: Engine) -> Project:
    """A tenant that no other test touches."""
    return make_project(owner)


@pytest.fixture
def other_project(owner: Engine) -> Project:
    """Another tenant."""
    return make_project(owner)


@dataclass(frozen=True)
class Server:
    """A running server with all rooms: real sockets, real database."""

    url: str
    grpc_address: str
    database: Database

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)


def run_server(settings: Settings, database: Database) -> Iterator[Server]:
    """A server in a thread of this process, until the generator is closed."""
    config = uvicorn.Config(
        create_app(settings),
        host="127.0.0.1",
        port=settings.port,
        log_config=None,
        loop="uvloop",
        http=BoundedHeads,
        **launch.proxy_options(settings),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    yield Server(f"http://127.0.0.1:{settings.port}", f"127.0.0.1:{settings.grpc_port}", database)
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="session")
def server(database: Database) -> Iterator[Server]:
    """The server that tests share; what must differ from its settings starts one of its own."""
    yield from run_server(
        Settings(database_url=database.app_url, port=free_port(), grpc_port=free_port()), database
    )


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """HTTP to the shared server."""
    with server.client() as client:
        yield client


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)
