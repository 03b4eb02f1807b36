"""`tripoint doctor`: every setting explained, and what is wrong with this machine's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from core.errors import SetupError, TripointError
from settings import Settings


def report(settings: Settings) -> int:
    """Print the settings and the checks; 0 where nothing is wrong."""
    print("Settings (environment variables):\n")
    for line in explain(settings):
        print(f"  {line}")
    print("\nChecks:\n")
    failed = 0
    for name, check in _checks(settings):
        try:
            print(f"  ok    {name}: {check()}")
        except TripointError as error:
            failed += 1
            print(f"  WRONG {name}: {error}")
    print("\nEverything is in order." if not failed else f"\n{failed} of the checks failed.")
    return 1 if failed else 0


def explain(settings: Settings) -> Iterator[str]:
    """One line a setting: its variable, its value, where that is from, what it does. Passwords are hidden."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        origin = "set" if name in settings.model_fields_set else "default"
        shown = "not set" if value is None else hidden(str(value)) if name.endswith("_url") else value
        yield f"TRIPOINT_{name.upper()} = {shown}  ({origin}): {field.description}"


def hidden(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, where = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{where}"))


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "data folder", lambda: _data(settings)
    yield f"port {settings.port}", lambda: _port(settings, settings.port, "--port")
    if settings.grpc_port:
        yield f"port {settings.grpc_port} (gRPC)", lambda: _port(settings, settings.grpc_port, "--grpc-port")
    yield "database", lambda: _database(settings)
    yield "broker", lambda: check_broker(settings)


def _data(settings: Settings) -> str:
    from supervisor.folder import create_data_folder

    if settings.data.exists():
        return f"{create_data_folder(settings.data)} can be used"
    return f"{settings.data.absolute()} will be made by `tripoint up`"


def _port(settings: Settings, port: int, option: str) -> str:
    from supervisor.port import answers, check_port

    if answers(f"{settings.base_url()}/healthz")():
        if port == settings.port:
            return "a Tripoint answers here"
        with suppress(SetupError):
            check_port(settings.host, port, option)
            return "free"
        return f"in use, as it should be where the Tripoint on port {settings.port} takes gRPC"
    check_port(settings.host, port, option)
    return "free"


def _database(settings: Settings) -> str:
    from core.store import migrate
    from core.store.session import check, open_engine

    if settings.database_url is None:
        return "`tripoint up` starts an embedded PostgreSQL; set TRIPOINT_DATABASE_URL to use your own"
    engine = open_engine(settings.database_url, role=None, pool_size=1)
    try:
        version = check(engine)
        if migrate.pending(engine):
            raise SetupError(
                f"PostgreSQL {version} answers, but the schema is not up to date. Run `tripoint migrate`."
            )
        return f"PostgreSQL {version} answers and the schema is up to date"
    finally:
        engine.dispose()


def check_broker(settings: Settings) -> str:
    """What the broker is, or a SetupError that says why it cannot be used."""
    if settings.broker_url is None:
        return "`tripoint up` starts an embedded Valkey; set TRIPOINT_BROKER_URL to use your own"
    from kombu.connection import Connection
    from kombu.exceptions import KombuError

    try:
        with Connection(settings.broker_url, connect_timeout=3) as connection:  # type: ignore[no-untyped-call]
            connection.ensure_connection(max_retries=1, timeout=5)
            return f"{connection.transport.driver_type} answers"
    except (OSError, KombuError, ImportError, KeyError, ValueError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SetupError(
            f"The broker does not answer at {hidden(settings.broker_url)}: {words}. Check TRIPOINT_BROKER_URL"
            " (redis://… or amqp://…)."
        ) from error
