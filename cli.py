"""The command `tripoint`.

Each command imports what it alone needs, so that `--help` and small commands answer at once.
"""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from core.access import check_role
from core.errors import BadInput, SetupError, TripointError
from settings import Settings

app = typer.Typer(
    help="Cost, latency and quality of every language model request.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
key_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
project_app = typer.Typer(help="Make and list projects (tenants).", no_args_is_help=True)
app.add_typer(key_app, name="key")
account_app = typer.Typer(help="Make and change the accounts that people sign in with.", no_args_is_help=True)
app.add_typer(project_app, name="project")
app.add_typer(account_app, name="account")

Data = Annotated[
    Path | None, typer.Option(help="folder for the embedded database, broker and logs [TRIPOINT_DATA]")
]
Port = Annotated[int | None, typer.Option(help="port of OTLP/HTTP, API and pages [TRIPOINT_PORT, 4318]")]
GrpcPort = Annotated[
    int | None, typer.Option(help="port of OTLP/gRPC, 0 for none [TRIPOINT_GRPC_PORT, 4317]")
]
Host = Annotated[str | None, typer.Option(help="address to listen on [TRIPOINT_HOST, 127.0.0.1]")]
Link = Annotated[bool, typer.Option("--link", help="print a link that sets the password, instead")]
Project = Annotated[str, typer.Option(help="the project's name")]


def main() -> None:
    """Entry point: an error that the operator can mend is one sentence and exit code 1."""
    try:
        app()
    except TripointError as error:
        print(f"tripoint: {error}", file=sys.stderr)
        sys.exit(1)


def load_settings(**given: Any) -> Settings:
    """The environment's settings with the command line's on top."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        words = "; ".join(f"TRIPOINT_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SetupError(f"A setting is wrong: {words}.") from None


@app.command()
def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    browser: Annotated[bool, typer.Option(help="open the dashboard when ready")] = True,
) -> None:
    """Start everything on this machine: database, broker, server and worker. Ctrl-C stops it."""
    import launch

    def announce(ready: launch.Ready) -> bool:
        print(json.dumps(ready), flush=True)
        if browser and sys.stdout.isatty() and os.environ.get("DISPLAY"):
            webbrowser.open(ready["dashboard"])
        return True

    settings = load_settings(data=data, host=host, port=port, grpc_port=grpc_port)
    sys.exit(launch.up(settings, _progress, announce))


def _progress(step: str) -> None:
    print(f"  {step}", file=sys.stderr, flush=True)


@app.command()
def demo(
    data: Annotated[
        Path, typer.Option(help="folder of its own for the embedded database, broker and logs")
    ] = Path(".tripoint-demo"),
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    exit_: Annotated[bool, typer.Option("--exit", help="stop when the table is printed")] = False,
    share: Annotated[
        float, typer.Option(help="how much of the workload to send; 1 is all of it", min=0.01, max=20)
    ] = 1.0,
) -> None:
    """Start everything, live through two weeks of a made-up company's requests, show who spends what.

    The company's applications call a simulated provider through the real openai and anthropic clients.
    Without --exit a slow trickle of requests in real time follows, for four hours at most.
    """
    import launch
    from demo.present import present

    settings = load_settings(data=data, host=host, port=port, grpc_port=grpc_port)
    with present(_progress, share, stay=not exit_) as when_ready:
        # A tenant of its own: with a database of yours the simulated requests stay apart from the real ones.
        sys.exit(launch.up(settings, _progress, when_ready, project="demo"))


@app.command()
def serve(
    rooms: Annotated[list[str] | None, typer.Argument(help="collector, api, web; default: all three")] = None,
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    workers: Annotated[int, typer.Option(help="processes (gRPC needs 1)", min=1, max=64)] = 1,
) -> None:
    """Serve rooms of the product against TRIPOINT_DATABASE_URL."""
    import launch

    launch.serve(load_settings(host=host, port=port, grpc_port=grpc_port), tuple(rooms or ()), workers)


@app.command()
def work(
    concurrency: Annotated[int, typer.Option(help="processes", min=1, max=64)] = 1,
    beat: Annotated[bool, typer.Option(help="run the clock too; one worker's is enough")] = True,
    queue: Annotated[
        list[str] | None, typer.Option(help="settling or judging, repeatable; default: both")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="folder for the clock's schedule [TRIPOINT_DATA]")] = None,
) -> None:
    """Run the Celery worker against TRIPOINT_BROKER_URL and TRIPOINT_DATABASE_URL."""
    import launch

    launch.work(load_settings(data=data), concurrency, beat, tuple(queue or ()))


@app.command()
def migrate() -> None:
    """Bring the database up to date and import prices, with TRIPOINT_OWNER_DATABASE_URL where it is set."""
    import launch

    launch.migrate(_owner_url(load_settings()))
    print("The database is up to date.")


@app.command()
def doctor(data: Data = None, port: Port = None, grpc_port: GrpcPort = None) -> None:
    """Explain the settings and say what is wrong."""
    import doctor as room

    sys.exit(room.report(load_settings(data=data, port=port, grpc_port=grpc_port)))


@app.command()
def link(data: Data = None, port: Port = None, project: Project = "default") -> None:
    """Print a new address of the dashboard with a token that works once."""
    import launch

    settings = load_settings(data=data, port=port)
    with _owner(settings) as engine:
        project_id = launch.project_id(engine, project)
        print(launch.sign_in_url(_base_url(settings, port), engine, project_id))


def _base_url(settings: Settings, port: int | None = None) -> str:
    """Where the pages are; a running `tripoint up` knows best, unless the caller says otherwise."""
    from supervisor.running import url_of

    running = url_of(settings.data) if port is None and not settings.owner_url() else None
    return running or settings.base_url()


@project_app.command("create")
def create_project(name: str, data: Data = None) -> None:
    """Make a project and its first keys; prints them as one line of JSON, the only time they are shown."""
    import launch
    from core.store import keys
    from core.store.session import transaction

    with _owner(load_settings(data=data)) as engine:
        with transaction(engine) as connection:
            if name in (known for _, known in keys.projects(connection)):
                raise BadInput(
                    f"There is a project {name!r} already. `tripoint key create --project` makes more keys for it."
                )
            project = keys.create_project(connection, name, launch.operator())
        made = {f"{role}_key": launch.make_key(engine, project, role) for role in ("ingest", "read", "admin")}
    print(json.dumps({"project": name, "project_id": project, **made}))


@project_app.command("list")
def list_projects(data: Data = None) -> None:
    """List the projects."""
    from core.store import keys
    from core.store.session import transaction

    with _owner(load_settings(data=data)) as engine, transaction(engine) as connection:
        for number, name in keys.projects(connection):
            print(f"{number}\t{name}")


@key_app.command("create")
def create_key(
    role: Annotated[str, typer.Option(help="ingest, read, finance, review or admin")] = "ingest",
    name: Annotated[str, typer.Option(help="what the key is for")] = "",
    days: Annotated[int | None, typer.Option(help="days until it expires; default never", min=1)] = None,
    project: Project = "default",
    data: Data = None,
) -> None:
    """Make a key and print it, the only time it is shown."""
    import launch

    check_role(role)
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    with _owner(load_settings(data=data)) as engine:
        print(launch.make_key(engine, launch.project_id(engine, project), role, name, expires))


@key_app.command("list")
def list_keys(project: Project = "default", data: Data = None) -> None:
    """List a project's keys without their secrets."""
    import launch
    from core.store import keys
    from core.store.session import tenant

    with (
        _owner(load_settings(data=data)) as engine,
        tenant(engine, launch.project_id(engine, project)) as connection,
    ):
        for key in keys.list_keys(connection):
            state = (
                "revoked"
                if key.revoked_at
                else f"expires {key.expires_at:%Y-%m-%d}"
                if key.expires_at
                else "valid"
            )
            used = f"last used {key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never used"
            print(f"{key.id}\t{key.role}\t{key.hint}\t{state}\t{used}\t{key.name}")


@key_app.command("revoke")
def revoke_key(key_id: int, project: Project = "default", data: Data = None) -> None:
    """End a key; senders that use it are answered 401 within a second."""
    import launch
    from core.store import keys
    from core.store.session import tenant

    with _owner(load_settings(data=data)) as engine:
        number = launch.project_id(engine, project)
        with tenant(engine, number) as connection:
            keys.revoke(connection, number, key_id, launch.operator())
    print(f"Key {key_id} is revoked.")


@account_app.command("create")
def create_account(
    name: str,
    role: Annotated[str, typer.Option(help="read, finance, review or admin")] = "read",
    link: Link = False,
    project: Project = "default",
    data: Data = None,
) -> None:
    """Make an account in a project. The password is asked for, or read from standard input."""
    import launch
    from core.account import check_people_role
    from core.store import accounts
    from core.store.session import tenant

    checked, settings = check_people_role(role), load_settings(data=data)
    with _owner(settings) as engine:
        number, now = launch.project_id(engine, project), datetime.now(UTC)
        hashed = None if link else _hashed_password(name)
        with tenant(engine, number) as connection:
            made = accounts.invite(connection, number, name, checked, launch.operator(), now)
            if hashed:
                accounts.set_password(connection, made, hashed, launch.operator(), now)
        if link:
            print(launch.password_link(_base_url(settings), engine, number, made.name))
        else:
            print(f"{made.name} can sign in to {project}.")


@account_app.command("list")
def list_accounts(project: Project = "default", data: Data = None) -> None:
    """List a project's people."""
    import launch
    from core.store import accounts
    from core.store.session import tenant

    with _owner(load_settings(data=data)) as engine:
        number = launch.project_id(engine, project)
        with tenant(engine, number) as connection:
            for one in accounts.people(connection, number):
                state = "disabled" if one.disabled else "active" if one.has_password else "no password yet"
                seen = (
                    f"last seen {one.last_seen_at:%Y-%m-%d %H:%M} UTC" if one.last_seen_at else "never seen"
                )
                print(f"{one.name}\t{one.role}\t{state}\t{seen}")


@account_app.command("role")
def set_role(name: str, role: str, project: Project = "default", data: Data = None) -> None:
    """Give an account a role in a project; it is added where it does not belong to it yet."""
    import launch
    from core.account import check_people_role
    from core.store import accounts
    from core.store.session import tenant

    checked = check_people_role(role)
    with _owner(load_settings(data=data)) as engine:
        number, by = launch.project_id(engine, project), launch.operator()
        with tenant(engine, number) as connection:
            found = accounts.existing(connection, name)
            if accounts.role_in(connection, number, found) is None:
                accounts.join(connection, number, found, checked, by, datetime.now(UTC))
            else:
                accounts.set_role(connection, number, found.id, checked, by, keep_admin=False)
    print(f"{found.name} has the role {checked} in {project}.")


@account_app.command("remove")
def remove_account(name: str, project: Project = "default", data: Data = None) -> None:
    """Take an account out of a project; it is signed out of it within a second."""
    import launch
    from core.store import accounts
    from core.store.session import tenant

    with _owner(load_settings(data=data)) as engine:
        number = launch.project_id(engine, project)
        with tenant(engine, number) as connection:
            found = accounts.existing(connection, name)
            by, now = launch.operator(), datetime.now(UTC)
            accounts.remove(connection, number, found.id, by, now, keep_admin=False)
    print(f"{found.name} is removed from {project}.")


@account_app.command("password")
def set_password(name: str, link: Link = False, project: Project = "default", data: Data = None) -> None:
    """Set an account's password, asked for or read from standard input; its sessions end."""
    import launch
    from core.store import accounts
    from core.store.session import stranger

    settings = load_settings(data=data)
    with _owner(settings) as engine:
        if link:
            number = launch.project_id(engine, project)
            print(launch.password_link(_base_url(settings), engine, number, name))
            return
        with stranger(engine) as connection:
            accounts.existing(connection, name)
        hashed = _hashed_password(name)
        with stranger(engine) as connection:
            found = accounts.existing(connection, name)
            accounts.set_password(connection, found, hashed, launch.operator(), datetime.now(UTC))
    print(f"The password of {found.name} is set.")


@account_app.command("disable")
def disable_account(name: str, data: Data = None) -> None:
    """Let an account sign in nowhere; it is signed out everywhere within a second."""
    import launch
    from core.store import accounts
    from core.store.session import stranger

    with _owner(load_settings(data=data)) as engine, stranger(engine) as connection:
        found = accounts.existing(connection, name)
        accounts.disable(connection, found, launch.operator(), datetime.now(UTC))
    print(f"{found.name} is disabled.")


@account_app.command("enable")
def enable_account(name: str, data: Data = None) -> None:
    """Let a disabled account sign in again."""
    import launch
    from core.store import accounts
    from core.store.session import stranger

    with _owner(load_settings(data=data)) as engine, stranger(engine) as connection:
        found = accounts.existing(connection, name)
        accounts.enable(connection, found, launch.operator())
    print(f"{found.name} can sign in again.")


def _hashed_password(name: str) -> str:
    """The hash of a password that is typed twice, or that is the one line of standard input."""
    from core.password import SALT_BYTES, check_password, hash_password

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    check_password(password, name)
    return hash_password(password, os.urandom(SALT_BYTES))


@contextmanager
def _owner(settings: Settings) -> Iterator[Any]:
    """The owner's engine: of the settings, or of the embedded database that `tripoint up` runs."""
    from core.store.session import check, open_engine

    engine = open_engine(_owner_url(settings), role=None, pool_size=1)
    try:
        check(engine)
        yield engine
    finally:
        engine.dispose()


def _owner_url(settings: Settings) -> str:
    if url := settings.owner_url():
        return url
    from supervisor.running import owner_url_of

    return owner_url_of(settings.data)


if __name__ == "__main__":
    main()
