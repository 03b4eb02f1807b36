"""A child process that never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import SetupError
from supervisor import die_with_parent as shim

LOG_BYTES_MAX = 10_000_000
LAST_LINES = 15
_POLL_S = 0.03
_KILLED_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Account:
    """The numeric user and group that a program runs under."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run, when it counts as ready, and how it is stopped.

    `stops` are signals with the seconds each may take; SIGKILL follows the last. `hurry` is sent instead when
    the operator asks twice. `death_signal` is what the kernel sends when the supervisor itself is killed."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 60.0
    stops: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 6.0),)
    hurry: signal.Signals = signal.SIGKILL
    death_signal: signal.Signals = signal.SIGTERM
    cwd: Path = Path("/")
    account: Account | None = None
    stdin: bytes = field(default=b"", repr=False)


def die_with_parent(
    number: signal.Signals = signal.SIGTERM, parent_pid: int | None = None, kill_after_s: float | None = None
) -> None:
    """Once this returns, the end of the parent sends this process `number`, and `kill_after_s` later SIGKILL.

    A Python child calls it on itself: the server and the Celery worker with SIGTERM and a `kill_after_s`,
    because a graceful stop may wait for clients or brokers that are gone too; a prefork child with SIGKILL.
    Pass `parent_pid` where it is known, so that a parent which ended before the call is noticed."""
    parent = os.getppid() if parent_pid is None else parent_pid
    shim.set_death_signal(number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
    if kill_after_s is not None:
        watch = threading.Thread(
            target=_kill_after, args=(parent, kill_after_s), name="die-with-parent", daemon=True
        )
        watch.start()


def _kill_after(parent: int, seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def wrapped(argv: Sequence[str], number: signal.Signals, account: Account | None) -> list[str]:
    """`argv`, to be started by this process, as a program that dies with it and runs under `account`."""
    uid, gid = (account.uid, account.gid) if account else (shim.STAY, shim.STAY)
    file = Path(shim.__file__).absolute()
    return [
        sys.executable,
        "-I",
        "-S",
        str(file),
        str(os.getpid()),
        str(int(number)),
        str(uid),
        str(gid),
        *argv,
    ]


class Child:
    """One running command. Start it from the main thread: the kernel's death signal follows the thread."""

    def __init__(self, command: Command, log: Path) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are started from the main thread")
        self.command = command
        self.log = log
        self._stops = [*command.stops, (signal.SIGKILL, _KILLED_WITHIN_S)]
        self._deadline = 0.0
        self._hurried = False
        self._group_ended = False
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        _rotate(self.log)
        output = _open_log(self.log)
        source = _filled_pipe(self.command.stdin)
        try:
            return subprocess.Popen(
                wrapped(self.command.argv, self.command.death_signal, self.command.account),
                env=dict(self.command.env),
                cwd=self.command.cwd,
                stdin=source,
                stdout=output,
                stderr=output,
                # A session of its own, so that the terminal's Ctrl-C reaches the supervisor alone.
                start_new_session=True,
            )
        finally:
            os.close(output)
            os.close(source)

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        status = self._process.poll()
        if status is not None and not self._group_ended:
            self._group_ended = True
            self._end_group()
        return status

    def _end_group(self) -> None:
        """What the child forked must not stay behind; a Celery worker that was killed leaves its pool."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait_ready(self) -> None:
        """Returns once it serves; a SetupError tells why it does not, in the child's own last words."""
        deadline = time.monotonic() + self.command.ready_timeout_s
        while True:
            if self.exit_status() is not None:
                raise SetupError(f"{self.name} stopped while it started: {self.obituary()}")
            if self.command.ready is None or self.command.ready():
                return
            if time.monotonic() > deadline:
                limit = f"{self.command.ready_timeout_s:g} s"
                raise SetupError(f"{self.name} was not ready within {limit}. {self._last_words()}")
            time.sleep(_POLL_S)

    def obituary(self) -> str:
        status = self.exit_status() or 0
        how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{how}. {self._last_words()}"

    def _last_words(self) -> str:
        lines = last_lines(self.log)
        return f"Last lines of {self.log}:\n{lines}" if lines else f"{self.log} is empty."

    def ask_to_stop(self) -> None:
        self._press(*self._stops.pop(0))

    def keep_asking(self, hurry: bool) -> None:
        """Escalates when the last signal had its time, or at once when the operator is in a hurry."""
        if hurry and not self._hurried:
            self._hurried = True
            self._stops = [(signal.SIGKILL, _KILLED_WITHIN_S)]
            self._press(self.command.hurry, _KILLED_WITHIN_S)
        elif self._stops and time.monotonic() > self._deadline:
            self._press(*self._stops.pop(0))

    def _press(self, number: signal.Signals, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._process.send_signal(number)


def stop_together(children: Sequence[Child], hurried: Callable[[], bool]) -> None:
    """When this returns, none of `children` runs, nor what they forked."""
    for child in children:
        child.ask_to_stop()
    while running := [child for child in children if child.exit_status() is None]:
        for child in running:
            child.keep_asking(hurried())
        time.sleep(_POLL_S)


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """The end of a log, as far as it can be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            lines = deque(file.read().decode("utf-8", "replace").splitlines(), maxlen=count)
    except OSError:
        return ""
    return "\n".join(lines)


def trim(log: Path) -> None:
    """Bounds the log of a running child: over the limit its end moves to `.1`, whose old content is dropped.
    The child keeps its descriptor (it appends), so the file is emptied in place: a line written in between
    is lost."""
    try:
        if log.stat().st_size > LOG_BYTES_MAX:
            previous = log.with_name(log.name + ".1")
            with log.open("rb") as source, open(previous, "wb", opener=_private) as target:
                source.seek(-LOG_BYTES_MAX, os.SEEK_END)
                target.write(source.read(LOG_BYTES_MAX))
            os.truncate(log, 0)
    except FileNotFoundError:
        pass


def _rotate(log: Path) -> None:
    try:
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(log.name + ".1"))
    except FileNotFoundError:
        pass


def _open_log(log: Path) -> int:
    try:
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(
            f"The log {log} cannot be written: {error.strerror}. Move it away or allow it."
        ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _filled_pipe(content: bytes) -> int:
    """A descriptor to read `content` from, which must fit a pipe (64 KiB): nobody else reads it yet."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        os.write(writer, content)
    finally:
        os.close(writer)
    return reader
