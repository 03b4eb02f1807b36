"""How the processes start: all together under the supervisor, or one by one on servers."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from core.access import Role, check_role, new_key
from core.errors import BadQuestion, NotFound, SetupError
from core.store import accounts, keys
from core.store import migrate as schema
from core.store.session import check, open_engine, tenant, transaction
from doctor import check_broker
from settings import ROOMS, Settings

if TYPE_CHECKING:
    from alerts.deliver import Post
    from supervisor.child import Command

_ROOT = Path(__file__).resolve().parent
_SIGN_IN = timedelta(hours=1)
_UP = "tripoint up"
_FIRST_KEYS: tuple[Role, ...] = ("ingest", "read", "admin")


def migrate(owner_url: str) -> None:
    """Tables to their newest form, the catalogue's prices into the ledger."""
    from billing.price_import import import_catalogue

    engine = open_engine(owner_url, role=None, pool_size=1, statement_timeout_s=3600)
    try:
        check(engine)
        schema.upgrade(engine)
        import_catalogue(engine, datetime.now(UTC))
    except ProgrammingError as error:
        words = str(error.orig).strip().splitlines()[0]
        raise SetupError(
            f"The database refused a migration: {words}. The login needs to own the database and to have"
            " CREATEROLE, or the role tripoint_app must exist (docs/servers.md)."
        ) from error
    finally:
        engine.dispose()


Ready = dict[str, Any]


def up(
    settings: Settings,
    say: Callable[[str], None],
    when_ready: Callable[[Ready], bool],
    project: str = "default",
) -> int:
    """Everything on this machine until a signal, or until `when_ready` returns False.

    `when_ready` gets what the line of JSON says; its keys open `project`. Returns the exit code.
    """
    from supervisor.port import check_port
    from supervisor.up import Supervisor

    if settings.broker_url:
        check_broker(settings)
    check_port(settings.host, settings.port)
    if settings.grpc_port:
        check_port(settings.host, settings.grpc_port, "--grpc-port")
    supervisor = Supervisor(
        settings.data,
        database_url=settings.database_url,
        owner_url=settings.owner_database_url,
        broker_url=settings.broker_url,
        tell=say,
    )
    with supervisor:
        stores = supervisor.start_stores(migrate)
        environment = _environment(settings, supervisor.data, stores.app_url, stores.broker_url)
        supervisor.start(_python_children(settings, environment), url=settings.base_url())
        ready = _ready(settings, project, supervisor.data, stores.owner_url, supervisor.pids)
        if not when_ready(ready):
            return 0
        say(f"Dashboard (this link signs you in once): {ready['dashboard']}")
        say("Ctrl-C stops everything.")
        if words := supervisor.run_until_signal():
            print(f"tripoint: {words}", file=sys.stderr)
            return 1
    return 0


def _environment(settings: Settings, data: Path, database_url: str, broker_url: str) -> dict[str, str]:
    return {
        "TRIPOINT_DATA": str(data),
        "TRIPOINT_DATABASE_URL": database_url,
        "TRIPOINT_BROKER_URL": broker_url,
        "TRIPOINT_HOST": settings.host,
        "TRIPOINT_PORT": str(settings.port),
        "TRIPOINT_GRPC_PORT": str(settings.grpc_port),
    }


def _python_children(settings: Settings, environment: dict[str, str]) -> list[Command]:
    from supervisor.child import Command
    from supervisor.port import answers

    python = [sys.executable, "-m", "cli"]
    return [
        Command(
            "server", [*python, "serve"], environment, answers(f"{settings.base_url()}/readyz"), cwd=_ROOT
        ),
        Command("worker", [*python, "work", "--queue", "settling"], environment, cwd=_ROOT),
        Command("judge", [*python, "work", "--queue", "judging", "--no-beat"], environment, cwd=_ROOT),
    ]


def _ready(settings: Settings, name: str, data: Path, owner_url: str, pids: dict[str, int]) -> Ready:
    """What the line of JSON says."""
    engine = open_engine(owner_url, role=None, pool_size=1)
    try:
        with transaction(engine) as connection:
            project = keys.create_project(connection, name, _UP)
        folder = data / "secrets" / name
        made = {f"{role}_key": _kept_key(engine, project, role, folder) for role in _FIRST_KEYS}
        dashboard = sign_in_url(settings.base_url(), engine, project)
    finally:
        engine.dispose()
    return {
        "url": settings.base_url(),
        **made,
        "database_url": owner_url,
        "pids": pids,
        "dashboard": dashboard,
    }


def _kept_key(engine: Engine, project: int, role: Role, folder: Path) -> str:
    """The key in the data folder where it still opens; else a new one, kept there."""
    file = folder / f"{role}.key"
    if file.exists():
        secret = file.read_text().strip()
        with tenant(engine, project) as connection:
            if keys.is_in_force(connection, secret):
                return secret
    secret = make_key(engine, project, role, "made by tripoint up", by=_UP)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(file, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write(secret + "\n")
    return secret


def operator() -> str:
    """How the audit log names whoever uses the command."""
    try:
        return f"command line ({getpass.getuser()})"
    except (OSError, KeyError):
        return "command line"


def make_key(
    engine: Engine,
    project: int,
    role: str,
    name: str = "",
    expires_at: datetime | None = None,
    by: str | None = None,
) -> str:
    """A new key's secret; the audit log says that `by` made it, or else whoever uses the command."""
    checked = check_role(role)
    secret = new_key(checked, os.urandom(32))
    with tenant(engine, project) as connection:
        keys.make_key(
            connection, project, secret, checked, by or operator(), name=name, expires_at=expires_at
        )
    return secret


def sign_in_url(base_url: str, engine: Engine, project: int) -> str:
    """The dashboard's address under `base_url` with a token that works once within the hour."""
    token = new_key("admin", os.urandom(32))
    with tenant(engine, project) as connection:
        keys.add_key(
            connection, project, token, "admin", kind="sign_in", expires_at=datetime.now(UTC) + _SIGN_IN
        )
    return f"{base_url}/sign-in?token={token}"


def password_link(base_url: str, engine: Engine, project: int, name: str) -> str:
    """An address under `base_url` with which the owner of an account of the project sets its password, once."""
    with tenant(engine, project) as connection:
        account = accounts.existing(connection, name)
        role = accounts.role_in(connection, project, account)
        if role is None:
            raise NotFound(
                f"{account.name} does not belong to this project. `tripoint account role` adds him."
            )
        token = new_key(role, os.urandom(32))
        accounts.make_link(connection, project, account, token, role, operator(), datetime.now(UTC))
    return f"{base_url}/set-password?token={token}"


def project_id(engine: Engine, name: str) -> int:
    """A project's id by its name."""
    with transaction(engine) as connection:
        found = {known: number for number, known in keys.projects(connection)}
    if name not in found:
        raise NotFound(f"There is no project {name!r}. `tripoint project list` shows them.")
    return found[name]


def serve(settings: Settings, rooms: tuple[str, ...], workers: int) -> None:
    """The server process, until a signal; no `rooms` are all of them."""
    import uvicorn

    from log import configure
    from protocol import BoundedHeads

    rooms = rooms or ROOMS
    unknown = [room for room in rooms if room not in ROOMS]
    if unknown:
        raise BadQuestion(f"There is no room {unknown[0]!r} to serve. Use {', '.join(ROOMS)}.")
    if workers > 1 and settings.grpc_port and "collector" in rooms:
        raise SetupError("gRPC needs one process: set TRIPOINT_GRPC_PORT=0 to serve with several workers.")
    _die_with_supervisor(kill_after_s=8)
    configure(settings.log_level)
    os.environ["TRIPOINT_ROOMS"] = ",".join(rooms)
    for name in ("host", "port", "grpc_port"):
        os.environ[f"TRIPOINT_{name.upper()}"] = str(getattr(settings, name))
    uvicorn.run(
        "asgi:from_environment",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        loop="uvloop",
        http=BoundedHeads,
        **proxy_options(settings),
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=4,
        timeout_keep_alive=75,
    )


def proxy_options(settings: Settings) -> dict[str, Any]:
    """Whose word uvicorn takes for where a client is: attempts to sign in are counted by that address."""
    trusted = settings.trusted_proxies
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted}


def work(settings: Settings, concurrency: int, beat: bool = True, queues: tuple[str, ...] = ()) -> None:
    """The worker process, until a signal; with the clock that says what is due, where `beat` is set. No `queues` are
    all of them."""
    from log import configure
    from supervisor.folder import create_data_folder

    settings.needed("database_url")
    _die_with_supervisor(kill_after_s=8)
    configure(settings.log_level)
    # Not above: it needs a broker as soon as it is imported.
    import worker

    if unknown := [queue for queue in queues if queue not in worker.QUEUES]:
        raise BadQuestion(f"There is no queue {unknown[0]!r}. Use {' or '.join(worker.QUEUES)}.")
    clock: list[str] = []
    if beat:
        # Without the folder that its schedule lies in, the clock would end and leave the worker idle.
        clock = ["--beat", f"--schedule={create_data_folder(settings.data) / 'beat-schedule'}"]
    worker.app.worker_main(
        [
            "worker",
            f"--concurrency={concurrency}",
            f"--queues={','.join(queues or worker.QUEUES)}",
            # Two workers of one machine must not share a name: RabbitMQ refuses the second one.
            f"--hostname={'-'.join(queues or worker.QUEUES)}-{os.getpid()}@%h",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level.upper()}",
            *clock,
        ]
    )


def _die_with_supervisor(kill_after_s: float) -> None:
    """A process that the supervisor started must not outlive it; one started by hand has no such parent."""
    from supervisor.child import die_with_parent
    from supervisor.leftovers import MARK

    if MARK in os.environ:
        die_with_parent(signal.SIGTERM, kill_after_s=kill_after_s)


def alert_post(settings: Settings) -> Post:
    """How messages about alerts leave this process."""
    from alerts.deliver import Post
    from alerts.mail import Mail

    mail = None
    if settings.smtp_host and settings.smtp_from:
        password = settings.smtp_password
        mail = Mail(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            user=settings.smtp_user,
            password=password.get_secret_value() if password else None,
            security=settings.smtp_security,
        )
    return Post(
        base_url=settings.public_url,
        mail=mail,
        private_webhooks=settings.private_webhooks,
        environment=os.environ,
    )
