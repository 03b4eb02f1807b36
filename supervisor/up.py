"""Everything on one machine under one command: starts it in order, watches it, stops it in reverse."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from core.errors import SetupError
from supervisor import postgres, valkey
from supervisor.child import Child, Command, stop_together, trim
from supervisor.folder import create_data_folder, in_words, prepare
from supervisor.leftovers import MARK, wait_for_leftovers
from supervisor.lock import DataLock

_WATCH_S = 0.2
_TRIM_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the database and the broker answer. `owner_url` is for migrations only; with an outside database
    of one login it is the same as `app_url`."""

    owner_url: str
    app_url: str
    broker_url: str


class Supervisor:
    """Inside the `with` block everything it started runs; after it, nothing does, however the block ends.

    A store is started only where no URL is given for it; `owner_url` is another login of the database at
    `database_url`, for migrations. `tell` hears each step, in words for the operator.
    The first SIGINT, SIGTERM or SIGHUP ends a start with KeyboardInterrupt or SystemExit, or makes
    `run_until_signal` return; a second one makes the stop immediate."""

    def __init__(
        self,
        data: Path,
        *,
        database_url: str | None = None,
        owner_url: str | None = None,
        broker_url: str | None = None,
        tell: Callable[[str], None] = lambda step: None,
    ) -> None:
        if sys.platform != "linux" and not (database_url and broker_url):
            raise SetupError(
                "The built-in database and broker run on Linux only; "
                "set TRIPOINT_DATABASE_URL and TRIPOINT_BROKER_URL to servers of your own."
            )
        self._path = data
        self._database_url = database_url
        self._owner_url = owner_url
        self._broker_url = broker_url
        self._tell = tell
        self._groups: list[list[Child]] = []
        self._exits = ExitStack()
        self._asked = 0
        self._listening = False

    def __enter__(self) -> Self:
        self.data = create_data_folder(self._path)
        with self._exits as exits:
            self._lock = exits.enter_context(DataLock(self.data / "lock", self.data))
            for number in _signals():
                exits.callback(signal.signal, number, signal.signal(number, self._heard) or signal.SIG_DFL)
            with in_words(self.data):
                self._folder = prepare(self.data, self._tell)
            exits.callback(self._stop)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def start_stores(self, migrate: Callable[[str], None]) -> Stores:
        """Starts what no URL was given for, then runs `migrate` with the owner's URL. The database has its
        newest schema when this returns."""
        folder = self._folder
        wait_for_leftovers(self.data, folder.postgres, postgres.title(folder), folder.sockets, self._tell)
        with in_words(self.data):
            commands = self._store_commands()
            stores = self._stores()
        if commands:
            self._tell(f"Starting {' and '.join(command.name for command in commands)}")
            self._start_group(commands)
        if self._database_url is None:
            postgres.ensure_database(folder)
        self._tell("Bringing the database schema up to date")
        migrate(stores.owner_url)
        if self._database_url is None:
            postgres.ensure_app_login(stores.owner_url, postgres.app_password(folder))
        return stores

    def start(self, commands: Sequence[Command], url: str | None = None) -> None:
        """Starts the Python processes together; all are ready when this returns. They inherit this process's
        environment, `env` on top. A second `tripoint up` on the folder will be told `url`."""
        self._refuse_if_asked()
        self._tell(f"Starting {' and '.join(command.name for command in commands)}")
        self._start_group([replace(command, env=self._environment(command.env)) for command in commands])
        self._lock.announce(url)
        # From here a signal is only counted: what the caller does until `run_until_signal` is short.
        self._listening = True

    @property
    def pids(self) -> dict[str, int]:
        """Every process by name, this one included."""
        children = {child.name: child.pid for group in self._groups for child in group}
        return {"supervisor": os.getpid(), **children}

    def run_until_signal(self) -> str | None:
        """None after a signal; or the sentence that says which process ended by itself, and its last words.
        Call it after `start`."""
        trim_at = 0.0
        while not self._asked:
            for child in self._children():
                if child.exit_status() is not None:
                    return f"{child.name} ended unexpectedly: {child.obituary()}"
            if time.monotonic() > trim_at:
                trim_at = time.monotonic() + _TRIM_EVERY_S
                for child in self._children():
                    trim(child.log)
            time.sleep(_WATCH_S)
        return None

    def _store_commands(self) -> list[Command]:
        commands = []
        if self._database_url is None:
            _drop_libpq_variables()
            postgres.prepare(self._folder, self._tell)
            commands.append(postgres.command(self._folder))
        if self._broker_url is None:
            commands.append(valkey.command(self._folder))
        return commands

    def _stores(self) -> Stores:
        folder = self._folder
        broker = self._broker_url or valkey.broker_url(folder)
        if self._database_url is None:
            return Stores(postgres.owner_url(folder), postgres.app_url(folder), broker)
        return Stores(self._owner_url or self._database_url, self._database_url, broker)

    def _start_group(self, commands: Sequence[Command]) -> None:
        group: list[Child] = []
        self._groups.append(group)
        for command in commands:  # one by one: if one fails, those before it are in the group and stopped
            group.append(Child(command, self._folder.log(command.name)))  # noqa: PERF401
        for child in group:
            child.wait_ready()

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1", MARK: str(self.data), **extra}

    def _children(self) -> list[Child]:
        return [child for group in self._groups for child in group]

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if self._listening:
            return
        # Nobody looks at the count yet: a migration or a wait may take long, so it is broken off right here.
        self._listening = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def _refuse_if_asked(self) -> None:
        """Between two calls of `start` a signal may have been counted."""
        self._listening = False
        if self._asked:
            raise KeyboardInterrupt

    def _stop(self) -> None:
        """In reverse: first those that write, then the stores they write to."""
        self._listening = True
        asked = max(self._asked, 1)
        if self._groups:
            self._tell("Stopping")
        for group in reversed(self._groups):
            stop_together(group, hurried=lambda: self._asked > asked)


def _signals() -> list[signal.Signals]:
    """A hang-up that nohup told us to ignore stays ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def _drop_libpq_variables() -> None:
    """PGPASSWORD would win over our password file, PGHOSTADDR over our socket, here and in our children."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
