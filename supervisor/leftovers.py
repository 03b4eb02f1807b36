"""What a killed run left behind on the same data folder.

The kernel told those processes to end when their supervisor was killed; a database may need seconds for it.
Two servers on one folder would destroy it, so the next start waits for the last one. Processes are recognised
by what they show of themselves, never by a recorded pid: in a restarted container that pid is another's.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.errors import SetupError

MARK = "TRIPOINT_SUPERVISED"
"""Environment variable of every supervised Python process; holds the data folder."""

# SIGINT is PostgreSQL's fast shutdown and a polite request to the others; SIGQUIT is its immediate one.
_PRESSURE = ((8.0, signal.SIGINT), (16.0, signal.SIGQUIT), (20.0, signal.SIGKILL))
_GIVE_UP_S = 25.0


def wait_for_leftovers(
    data: Path, cluster: Path, title: str, sockets: Path, tell: Callable[[str], None]
) -> None:
    """Returns when no process of an earlier run is left; after a while it helps them to end."""
    began = time.monotonic()
    pressure = list(_PRESSURE)
    told = False
    while pids := _find(data, cluster, title, sockets):
        waited = time.monotonic() - began
        if not told:
            tell("Waiting for the last run to end")
            told = True
        if waited > _GIVE_UP_S:
            raise SetupError(
                f"Processes of an earlier run on {data} do not end: {pids}. Stop them, then start again."
            )
        if pressure and waited > pressure[0][0]:
            _send(pids, pressure.pop(0)[1])
        time.sleep(0.05)


def running(pid: int) -> bool:
    """Whether any process has this pid now, ours or not."""
    return Path("/proc", str(pid)).exists()


def _find(data: Path, cluster: Path, title: str, sockets: Path) -> list[int]:
    environment = b"\0" + f"{MARK}={data}".encode() + b"\0"
    option = b"\0-D\0" + os.fsencode(cluster) + b"\0"
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            line = _read(f"/proc/{entry.name}/cmdline")
            program = line.split(b"\0", 1)[0]
            if (
                (program.endswith(b"/postgres") and option in line)
                or line.startswith(f"postgres: {title}: ".encode())
                or (b"valkey-server" in program and f"unixsocket:{sockets}/".encode() in program)
                or environment in b"\0" + _read(f"/proc/{entry.name}/environ")
            ):
                found.append(int(entry.name))
    return found


def _read(path: str) -> bytes:
    """Empty for a process that ended meanwhile, is a zombie, or is none of this user's business."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
