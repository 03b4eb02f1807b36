"""Real servers, real signals, real users: what `tripoint up` promises an operator."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kombu.connection import Connection

from core.errors import SetupError
from supervisor import child as child_module
from supervisor import folder as folder_module
from supervisor import postgres
from supervisor.child import Child, Command, last_lines, stop_together, trim
from supervisor.folder import create_data_folder
from supervisor.leftovers import MARK
from supervisor.lock import DataLock
from supervisor.port import answers, check_port
from supervisor.running import owner_url_of
from supervisor.up import Supervisor

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the built-in stores run on Linux only")
slow = pytest.mark.slow
needs_root = pytest.mark.skipif(not IS_ROOT, reason="changes users")

# Stands for `tripoint up`. Its child "worker" forks a grandchild, as Celery's pool does.
DRIVER = '''
import json, sys
from pathlib import Path
import psycopg
from supervisor.child import Command
from supervisor.up import Supervisor

WORKER = """
import os, signal, time
from supervisor.child import die_with_parent
die_with_parent(signal.SIGTERM, kill_after_s=2)
parent = os.getpid()
if os.fork() == 0:
    die_with_parent(signal.SIGKILL, parent_pid=parent)
print("working", flush=True)
time.sleep(1000)
"""

def migrate(url):
    with psycopg.connect(url) as connection:
        if connection.execute("select 1 from pg_roles where rolname = 'tripoint_app'").fetchone() is None:
            connection.execute("create role tripoint_app nologin")
            connection.execute("create table kept (n int)")
            connection.execute("grant all on kept to tripoint_app")

def tell(step):
    print(step, file=sys.stderr, flush=True)

with Supervisor(Path(sys.argv[1]), tell=tell) as tripoint:
    stores = tripoint.start_stores(migrate)
    worker = Command("worker", [sys.executable, "-c", WORKER])
    tripoint.start([worker], url="http://127.0.0.1:4318")
    urls = {"owner": stores.owner_url, "app": stores.app_url, "broker": stores.broker_url}
    print(json.dumps({**urls, "pids": tripoint.pids}), flush=True)
    reason = tripoint.run_until_signal()
if reason:
    sys.exit(reason)
'''


@dataclass
class Up:
    """A running driver."""

    process: subprocess.Popen[str]
    data: Path
    errors: Path
    ready: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> str:
        return self.errors.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can pass; pytest's own is closed to them."""
    path = Path(tempfile.mkdtemp(prefix="tp-test-", dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., Up]]:
    """Starts the driver; whatever still runs on its folders at the end is ended by the test's kill."""
    (place / "driver.py").write_text(DRIVER)
    started: list[Up] = []

    def run(
        data: Path, *, user: str | None = None, wait: bool = True, env: dict[str, str] | None = None
    ) -> Up:
        python = _python_for(user)
        errors = place / f"errors-{len(started)}"
        paths = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
        process = subprocess.Popen(
            [python, str(place / "driver.py"), str(data)],
            env={
                "PYTHONPATH": paths,
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                **(env or {}),
            },
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=errors.open("w"),
            text=True,
            **_as_user(user),
        )
        up = Up(process, data, errors)
        started.append(up)
        if wait:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, up.steps()
            up.ready = json.loads(line)
        return up

    yield run
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
        up.process.wait()
    for up in started:
        assert _gone_within(up, 15), "processes were left behind"


@pytest.fixture
def normal_user() -> Iterator[str]:
    name = f"tp-test-{os.getpid()}"
    subprocess.run(
        ["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True, capture_output=True
    )
    yield name
    subprocess.run(["userdel", "--force", name], check=False, capture_output=True)


def _as_user(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _python_for(user: str | None) -> str:
    """This interpreter may lie below /root; then the system's, if it is of the same version."""
    candidates = [sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"]
    for candidate in candidates if user else candidates[:1]:
        try:
            subprocess.run([candidate, "-c", ""], check=True, capture_output=True, cwd="/", **_as_user(user))
            return candidate
        except (OSError, subprocess.SubprocessError):
            continue
    pytest.skip("no interpreter that a normal user can run")


def _processes_on(data: Path) -> list[str]:
    """Command lines of whatever runs on a data folder, zombies aside."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
            environment = (process / "environ").read_bytes() if line else b""
        except OSError:
            continue
        here = os.fsencode(data)
        if b"driver.py" not in line and (here in line or MARK.encode() + b"=" + here in environment):
            found.append(line.replace(b"\0", b" ").decode())
    return found


def _gone_within(up: Up, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    pids = [pid for name, pid in up.ready.get("pids", {}).items() if name != "supervisor"]
    while time.monotonic() < deadline:
        if not _processes_on(up.data) and not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _broker(up: Up) -> Connection:
    return Connection(up.ready["broker"])  # type: ignore[no-untyped-call]


def _insert(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into kept values (%s)", [number])


def _kept(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select n from kept order by n")]


# --- the whole of it -------------------------------------------------------------------------------------


@slow
def test_a_first_start_serves_and_sigterm_ends_everything_within_ten_seconds(
    start: Callable[..., Up], place: Path
) -> None:
    up = start(place / "data")
    _insert(up.ready["app"], 1)
    with _broker(up) as broker, broker.SimpleQueue("q") as queue:
        queue.put("a task")
        assert queue.get(timeout=5).payload == "a task"
    assert set(up.ready["pids"]) == {"supervisor", "postgres", "valkey", "worker"}

    began = time.monotonic()
    assert up.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert _gone_within(up, 0.5)
    assert "Creating the database" in up.steps()

    again = start(place / "data")
    assert _kept(again.ready["app"]) == [1]
    assert "Creating the database" not in again.steps()
    assert again.stop(signal.SIGINT) == 0


@slow
def test_kill_9_leaves_no_process_and_the_next_start_has_what_was_committed(
    start: Callable[..., Up], place: Path
) -> None:
    up = start(place / "data")
    connection = psycopg.connect(up.ready["app"])
    connection.execute("insert into kept values (1)")
    connection.commit()
    connection.execute("insert into kept values (2)")
    up.process.kill()
    up.process.wait()
    again = start(place / "data")  # at once, while the old servers are still ending
    connection.close()
    assert _kept(again.ready["app"]) == [1]
    assert not any(_alive(pid) for pid in up.ready["pids"].values())
    assert again.stop() == 0
    assert _gone_within(again, 1)


@slow
def test_a_postmaster_killed_with_9_ends_the_run_with_a_reason_and_the_next_start_recovers(
    start: Callable[..., Up], place: Path
) -> None:
    up = start(place / "data")
    _insert(up.ready["app"], 7)
    os.kill(up.ready["pids"]["postgres"], signal.SIGKILL)
    assert up.process.wait(15) == 1
    assert "postgres ended unexpectedly: ended by SIGKILL" in up.steps()
    assert "database system is ready" in up.steps()
    assert _gone_within(up, 5)

    pid_file = next((place / "data").glob("**/postmaster.pid"))
    lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join(["1", *lines[1:]]))  # as after a restart: the pid is another program's
    again = start(place / "data")
    assert _kept(again.ready["app"]) == [7]


@slow
def test_a_second_start_is_refused_and_told_who_runs_and_where(start: Callable[..., Up], place: Path) -> None:
    up = start(place / "data")
    second = start(place / "data", wait=False)
    assert second.process.wait(10) != 0
    assert f"(process {up.process.pid}, and answers at http://127.0.0.1:4318)" in second.steps()
    assert _kept(up.ready["app"]) == []


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_nothing_and_the_next_start_works(
    start: Callable[..., Up], place: Path, number: signal.Signals
) -> None:
    up = start(place / "data", wait=False)
    _wait_for(lambda: "Creating the database" in up.steps())
    time.sleep(0.1)
    assert up.stop(number) != 0
    assert _gone_within(up, 1)
    assert start(place / "data").stop() == 0


@slow
def test_a_second_ctrl_c_does_not_wait_for_a_child_that_hangs(start: Callable[..., Up], place: Path) -> None:
    up = start(place / "data")
    os.kill(up.ready["pids"]["worker"], signal.SIGSTOP)
    _wait_for(lambda: _state(up.ready["pids"]["worker"]) == "T")
    up.process.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert up.process.poll() is None, up.steps()
    began = time.monotonic()
    up.stop(signal.SIGINT)
    assert time.monotonic() - began < 2
    assert _gone_within(up, 1)
    assert start(place / "data").stop() == 0


# --- who may come in -------------------------------------------------------------------------------------


@slow
@needs_root
def test_other_local_users_cannot_connect_even_with_the_address(
    start: Callable[..., Up], place: Path
) -> None:
    up = start(place / "data")
    attempt = "import sys, psycopg; psycopg.connect(sys.argv[1], connect_timeout=3)"
    broker = "import sys, socket; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    password = postgres._password(next(place.glob("data/secrets/*owner.pgpass")).read_text())
    sockets = next(path for path in place.glob("data/run"))
    owner = f"postgresql://{postgres.OWNER}:{password}@/tripoint?host={sockets}"
    tries = ((attempt, up.ready["owner"]), (attempt, owner), (broker, f"{sockets}/valkey.sock"))
    for program, target in tries:
        for user in (None, "nobody"):
            done = subprocess.run(
                [_python_for("nobody"), "-c", program, target],
                env={
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
                },
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                **_as_user(user),
            )
            assert (done.returncode == 0) is (user is None), done.stderr
            assert user is None or "Permission denied" in done.stderr


@slow
def test_a_wrong_password_is_refused_and_so_is_none(start: Callable[..., Up], place: Path) -> None:
    up = start(place / "data", env={"PGPASSWORD": "misleading", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1"})
    sockets = place / "data" / "run"
    for login in ("tripoint_owner:wrong", "tripoint_owner:", "tripoint_app:wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{login}@/tripoint?host={sockets}&passfile=/dev/null")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(sockets / "valkey.sock"))
        connection.sendall(b"PING\r\n")
        assert b"NOAUTH" in connection.recv(100)
    assert up.ready["app"].startswith("postgresql://tripoint_app@/tripoint?host=")
    with psycopg.connect(up.ready["app"]) as app:
        assert app.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (
            False,
        )
        assert app.execute("select current_setting('listen_addresses')").fetchone() == ("",)


@slow
def test_another_command_finds_the_database_while_it_runs_and_only_then(
    start: Callable[..., Up], place: Path
) -> None:
    with pytest.raises(SetupError, match="start it with `tripoint up`"):
        owner_url_of(place / "data")
    up = start(place / "data")
    assert owner_url_of(place / "data") == up.ready["owner"]
    assert up.stop() == 0
    with pytest.raises(SetupError, match="start it with `tripoint up`"):
        owner_url_of(place / "data")


@slow
def test_secrets_and_sockets_are_open_to_their_owner_only(start: Callable[..., Up], place: Path) -> None:
    start(place / "data")
    for name in ("secrets", "log", "run", "postgres", "valkey"):
        assert (place / "data" / name).stat().st_mode & 0o077 == 0, name
    for file in (place / "data" / "secrets").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert sorted(file.name for file in (place / "data" / "secrets").iterdir()) == [
        "tripoint_app.pgpass",
        "tripoint_owner.pgpass",
        "valkey",
    ]


@slow
@needs_root
def test_a_normal_user_can_do_all_of_it(normal_user: str, start: Callable[..., Up], place: Path) -> None:
    up = start(place / "data", user=normal_user)
    uid = pwd.getpwnam(normal_user).pw_uid
    for pid in up.ready["pids"].values():
        assert Path(f"/proc/{pid}").stat().st_uid == uid
    _insert(up.ready["app"], 5)
    up.process.kill()
    up.process.wait()
    again = start(place / "data", user=normal_user)
    assert _kept(again.ready["app"]) == [5]
    assert again.stop() == 0


@slow
@needs_root
def test_root_gives_the_stores_a_uid_of_their_own(
    normal_user: str, start: Callable[..., Up], place: Path
) -> None:
    up = start(place / "data")
    owners = {name: Path(f"/proc/{pid}").stat().st_uid for name, pid in up.ready["pids"].items()}
    assert owners["worker"] == 0
    assert owners["postgres"] == owners["valkey"] != 0
    with pytest.raises(KeyError):
        pwd.getpwuid(owners["postgres"])
    assert up.stop() == 0

    other = start(place / "data", user=normal_user, wait=False)
    assert other.process.wait(10) != 0
    assert "belongs to the user root" in other.steps()


@slow
@needs_root
def test_root_may_keep_its_data_where_the_stores_cannot_go(start: Callable[..., Up], tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    up = start(tmp_path / "data")
    home = (tmp_path / "data" / "stores").readlink()
    try:
        assert f"Keeping the database files in {home}" in up.steps()
        _insert(up.ready["app"], 3)
        assert up.stop() == 0
        again = start(tmp_path / "data")
        assert _kept(again.ready["app"]) == [3]
        assert again.stop() == 0
    finally:
        shutil.rmtree(home)
    lost = start(tmp_path / "data", wait=False)
    assert lost.process.wait(10) != 0
    assert "which is gone" in lost.steps()


@slow
@pytest.mark.parametrize("name", ["d" * 120, "with space, comma and 'quote'"])
def test_a_path_that_sockets_cannot_have_still_works(
    start: Callable[..., Up], place: Path, name: str
) -> None:
    up = start(place / name / "data")
    _insert(up.ready["app"], 1)
    assert owner_url_of(place / name / "data") == up.ready["owner"]
    with _broker(up) as broker:
        broker.ensure_connection(max_retries=1)
    sockets = (place / name / "data" / "sockets").readlink()
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert up.stop() == 0
    again = start(place / name / "data")
    assert _kept(again.ready["app"]) == [1]
    assert again.stop() == 0
    sockets.rmdir()


# --- what a refusal says ---------------------------------------------------------------------------------


def test_a_taken_port_names_the_option_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"Port {port} on 127.0.0.1 is already in use.*--grpc-port"):
            check_port("127.0.0.1", port, "--grpc-port")
        assert answers(f"http://127.0.0.1:{port}/readyz")() is False
    check_port("127.0.0.1", port, "--grpc-port")


def test_a_data_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SetupError, match="is not a folder; choose another one with --data"):
            create_data_folder(path)


def test_a_full_disk_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FREE_BYTES_MIN", 10**18)
    with pytest.raises(SetupError, match="MB of free space"):
        create_data_folder(tmp_path)


@needs_root
def test_a_folder_without_write_permission_is_refused_in_words(place: Path, start: Callable[..., Up]) -> None:
    (place / "data").mkdir(mode=0o755)
    up = start(place / "data", user="nobody", wait=False)
    assert up.process.wait(10) != 0
    assert "belongs to the user root and cannot be written here" in up.steps()


def test_a_database_of_another_major_version_is_refused_in_words(place: Path) -> None:
    (place / "data" / "postgres").mkdir(parents=True)
    (place / "data").chmod(0o755)
    (place / "data" / "postgres" / "PG_VERSION").write_text("16\n")
    with (
        Supervisor(place / "data") as tripoint,
        pytest.raises(SetupError, match="holds a database of PostgreSQL 16"),
    ):
        tripoint.start_stores(lambda url: None)


def test_without_the_wheel_the_setting_to_use_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_WHEEL", "no-such-wheel")
    with Supervisor(place / "data") as tripoint, pytest.raises(SetupError, match="TRIPOINT_DATABASE_URL"):
        tripoint.start_stores(lambda url: None)


def test_outside_linux_both_settings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SetupError, match="TRIPOINT_DATABASE_URL and TRIPOINT_BROKER_URL"):
        Supervisor(tmp_path, database_url="postgresql://elsewhere/tripoint")


def test_stores_named_by_settings_are_not_started(place: Path) -> None:
    migrated: list[str] = []
    database, broker = "postgresql://elsewhere/tripoint", "redis://elsewhere"
    with Supervisor(place / "data", database_url=database, broker_url=broker) as tripoint:
        stores = tripoint.start_stores(migrated.append)
        assert set(tripoint.pids) == {"supervisor"}
    assert migrated == [stores.owner_url] == [stores.app_url] == [database]
    assert stores.broker_url == broker
    assert not (place / "data" / "postgres").exists()


def test_migrations_use_the_owner_that_the_settings_name(place: Path) -> None:
    migrated: list[str] = []
    app, owner = "postgresql://app@elsewhere/tripoint", "postgresql://owner@elsewhere/tripoint"
    outside = {"database_url": app, "owner_url": owner, "broker_url": "redis://elsewhere"}
    with Supervisor(place / "data", **outside) as tripoint:
        stores = tripoint.start_stores(migrated.append)
    assert migrated == [owner]
    assert (stores.owner_url, stores.app_url) == (owner, app)


def test_the_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            DataLock(tmp_path / "lock", tmp_path),
            pytest.raises(SetupError, match=f"process {os.getpid()}"),
            DataLock(tmp_path / "lock", tmp_path),
        ):
            pass


# --- one child -------------------------------------------------------------------------------------------


def _python(code: str, **options: Any) -> Command:
    return Command("child", [sys.executable, "-c", code], env=dict(os.environ), **options)


def test_a_child_that_fails_to_start_is_quoted(tmp_path: Path) -> None:
    child = Child(
        _python("print('no such colour'); raise SystemExit(3)", ready=lambda: False), tmp_path / "log"
    )
    with pytest.raises(SetupError, match=r"(?s)exit status 3\. Last lines of .*no such colour"):
        child.wait_ready()


def test_a_child_that_is_never_ready_is_given_up_on(tmp_path: Path) -> None:
    command = _python("import time; time.sleep(60)", ready=lambda: False, ready_timeout_s=0.2)
    child = Child(command, tmp_path / "log")
    with pytest.raises(SetupError, match=r"not ready within 0\.2 s"):
        child.wait_ready()
    stop_together([child], hurried=lambda: False)
    assert child.exit_status() == -signal.SIGTERM


def test_a_program_that_does_not_exist_says_so(tmp_path: Path) -> None:
    child = Child(Command("child", ["/no/such/program"], ready=lambda: False), tmp_path / "log")
    with pytest.raises(SetupError, match="cannot run /no/such/program: No such file"):
        child.wait_ready()


@pytest.mark.parametrize("hurry", [True, False])
def test_a_child_deaf_to_sigterm_is_killed_with_what_it_forked(tmp_path: Path, hurry: bool) -> None:
    deaf = "import os, signal, time; signal.signal(15, signal.SIG_IGN)"
    code = f"{deaf}; print(os.fork(), flush=True); time.sleep(60)"
    patience = 60.0 if hurry else 0.2
    log = tmp_path / "log"
    command = _python(
        code, ready=lambda: len(last_lines(log).split()) == 2, stops=((signal.SIGTERM, patience),)
    )
    child = Child(command, log)
    child.wait_ready()
    forked = max(int(word) for word in last_lines(log).split())
    stop_together([child], hurried=lambda: hurry)
    assert child.exit_status() == -signal.SIGKILL
    _wait_for(lambda: not _alive(forked))


def test_a_child_hears_signals_that_its_parent_ignores_or_blocks(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = Child(_python("import time; print('up', flush=True); time.sleep(60)"), tmp_path / "log")
        _wait_for(lambda: last_lines(tmp_path / "log") != "")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGINT, before)
    stop_together([child], hurried=lambda: False)
    assert child.exit_status() == -signal.SIGTERM


def test_logs_stay_bounded_while_the_child_runs_and_at_its_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LOG_BYTES_MAX", 1000)
    log = tmp_path / "log"
    log.write_text("a" * 600 + "b" * 900)
    trim(log)
    assert log.stat().st_size == 0
    assert (tmp_path / "log.1").read_text() == "a" * 100 + "b" * 900
    log.write_text("c" * 1500)
    Child(_python("print('new')"), log)._process.wait()
    assert log.read_text() == "new\n"
    assert (tmp_path / "log.1").read_text() == "c" * 1500


def _alive(pid: int) -> bool:
    """A zombie counts as gone: it waits for init, not for us."""
    return _state(pid) not in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def _wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
