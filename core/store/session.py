"""Connections and tenancy.

Every statement of the application runs under the role `tripoint_app`, which owns nothing, inside a
transaction that named its project; row-level security does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_dumps
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import SetupError, Unavailable

APP_ROLE = "tripoint_app"
_CONNECT_TIMEOUT_S = 10
# Operational by their class, and yet the statement's own fault: trying again cannot help.
_HOPELESS = "54"  # SQLSTATE's class "program limit exceeded"


def open_engine(
    url: str,
    *,
    role: str | None = APP_ROLE,
    pool_size: int = 5,
    statement_timeout_s: int = 60,
) -> Engine:
    """An engine for `url` (`postgresql://…`); nothing is connected before the first use.

    `role=None` keeps the login's own rights, for migrations and for making projects.
    """
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise SetupError(
            "TRIPOINT_DATABASE_URL is not a URL. Write it as postgresql://user:password@host:5432/database."
        ) from error
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
        # One round trip; a session of PgBouncer in transaction mode would forget these, hence its
        # warning in docs/servers.md.
        statements = [
            "SET TIME ZONE 'UTC'",
            f"SET statement_timeout = '{statement_timeout_s}s'",
            "SET idle_in_transaction_session_timeout = '60s'",
        ]
        if role:
            statements.append(f"SET ROLE {role}")
        set_json_dumps(orjson.dumps, connection)
        connection.execute("; ".join(statements))
        connection.commit()

    return engine


def enter(connection: Connection, project_id: int) -> None:
    """Make the rest of this transaction see one project and no other."""
    # A literal, not a bound parameter: SET takes none, and set_config() is not propagated by clusters.
    connection.exec_driver_sql(f"SET LOCAL app.project = '{int(project_id)}'")


def enter_account(connection: Connection, account_id: int) -> None:
    """Make the rest of this transaction see one account's memberships, projects and sessions as well."""
    connection.exec_driver_sql(f"SET LOCAL app.account = '{int(account_id)}'")


def present_name(connection: Connection, folded: str) -> None:
    """Make the rest of this transaction see the account of this folded name, and its hash."""
    connection.exec_driver_sql(f"SET LOCAL app.name = '{folded.encode().hex()}'")


@contextmanager
def tenant(engine: Engine, project_id: int) -> Iterator[Connection]:
    """One transaction inside one project, under the application's role whoever logged in."""
    with stranger(engine) as connection:
        enter(connection, project_id)
        yield connection


@contextmanager
def stranger(engine: Engine) -> Iterator[Connection]:
    """One transaction of the application's role, whoever logged in, that named no project yet."""
    with transaction(engine) as connection:
        connection.exec_driver_sql(f"SET LOCAL ROLE {APP_ROLE}")
        yield connection


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction. A database that cannot do it just now is `Unavailable`; any other refusal, one of a
    COPY included, is a `DBAPIError`."""
    try:
        with engine.begin() as connection:
            yield connection
    except PoolTimeout as error:
        raise Unavailable("All connections to the database are busy. Try again in a moment.") from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error) and (again := _try_again(error.orig)):
            raise again from error
        if error.connection_invalidated:
            raise Unavailable(f"The database went away: {_first_line(error.orig)}") from error
        raise
    except psycopg.Error as error:
        # From a cursor of the driver itself, which COPY needs.
        if again := _try_again(error):
            raise again from error
        raise DBAPIError(None, None, error) from error


def _try_again(error: psycopg.Error) -> Unavailable | None:
    """What a caller shall hear of an error that another try may not meet."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Unavailable(
            "The database took longer than it may. Ask for a shorter time or fewer groups, or try again."
        )
    if isinstance(error, psycopg.OperationalError) and not (error.sqlstate or "").startswith(_HOPELESS):
        return Unavailable(f"The database cannot be used just now: {_first_line(error)}")
    return None


def project_ids(engine: Engine) -> list[int]:
    """Every project's id, for the workers; ids tell nothing of a tenant."""
    with transaction(engine) as connection:
        return list(connection.exec_driver_sql("SELECT tripoint_project_ids()").scalars())


def in_every_project(engine: Engine, work: Callable[[int], int], failed: Callable[..., object]) -> int:
    """Do the `work` in every project by its id, and add up what it returns. What fails in one is told to `failed`, as
    `project=ID` while the exception is at hand, and leaves the others alone."""
    total = 0
    for project_id in project_ids(engine):
        try:
            total += work(project_id)
        except Exception:
            failed(project=project_id)
    return total


def check(engine: Engine) -> str:
    """The server's version, or a SetupError that says what is wrong."""
    try:
        with engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
            number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    except OperationalError as error:
        raise SetupError(
            f"PostgreSQL cannot be reached at {engine.url.render_as_string(hide_password=True)}:"
            f" {_first_line(error.orig)}. Check TRIPOINT_DATABASE_URL."
        ) from error
    if number < 150000:
        raise SetupError(f"PostgreSQL {version} is too old: Tripoint needs 15 or newer.")
    return str(version)


def _first_line(error: object) -> str:
    words = str(error).strip()
    return words.splitlines()[0] if words else type(error).__name__
