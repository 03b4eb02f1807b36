"""`tripoint up` as an operator meets it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from tests.conftest import free_port
from tests.otlp import body, llm_span

pytestmark = pytest.mark.slow
PROGRAM = Path(sys.executable).with_name("tripoint")


@contextmanager
def running(
    data: Path, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A `tripoint up` on `data` and what its line of JSON says; killed with all its children at the end."""
    ports = ["--port", str(free_port()), "--grpc-port", str(free_port())]
    process = subprocess.Popen(
        [PROGRAM, "up", "--data", data, *ports, "--no-browser", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TRIPOINT_QUIET_SECONDS": "0.5", **environment},
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait(10)
        wait_until(lambda: not left_over(data), "a process survived the supervisor")


def left_over(data: Path) -> list[psutil.Process]:
    """The processes that still belong to a data folder, by their environment or command line."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(data) in word for word in words):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def wait_until(true: Any, words: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def send(ready: dict[str, Any], count: int = 1) -> None:
    send_all(ready, [llm_span() for _ in range(count)])


def send_all(ready: dict[str, Any], spans: list[dict[str, Any]]) -> None:
    headers = bearer(ready["ingest_key"]) | {"content-type": "application/json"}
    answer = httpx.post(f"{ready['url']}/v1/traces", content=body(*spans), headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text


def requests(ready: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{ready['url']}/api/v1/requests", params=query, headers=bearer(ready["read_key"]), trust_env=False
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_it_says_in_one_line_where_everything_is_and_the_worker_settles(tmp_path: Path) -> None:
    with running(tmp_path) as (process, ready):
        assert {"url", "ingest_key", "read_key", "admin_key", "database_url", "pids"} <= ready.keys()
        assert all(psutil.pid_exists(pid) for pid in ready["pids"].values())
        send(ready)
        wait_until(lambda: [item["state"] for item in requests(ready)] == ["settled"], "nobody settled")
        with psycopg.connect(ready["database_url"]) as connection:
            assert connection.execute("SELECT count(*) FROM request").fetchone() == (1,)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert left_over(tmp_path) == []


def test_a_second_start_finds_the_same_data_and_keys(tmp_path: Path) -> None:
    with running(tmp_path) as (process, first):
        send(first, 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    with running(tmp_path) as (_, second):
        assert [second[name] for name in ("ingest_key", "read_key", "admin_key")] == [
            first[name] for name in ("ingest_key", "read_key", "admin_key")
        ]
        assert len(requests(second)) == 3


def test_after_kill_nothing_survives_and_the_next_start_recovers(tmp_path: Path) -> None:
    with running(tmp_path) as (process, ready):
        send(ready, 5)
        process.kill()
        wait_until(lambda: not left_over(tmp_path), "a process survived kill -9 of its parent")
    with running(tmp_path) as (_, again):
        assert len(requests(again)) == 5


def refused(*arguments: object) -> str:
    """What a start that cannot work says."""
    done = subprocess.run(
        [PROGRAM, "up", "--no-browser", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_start_on_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    with running(tmp_path) as (process, ready):
        words = refused("--data", tmp_path, "--port", free_port(), "--grpc-port", 0)
        assert str(process.pid) in words and ready["url"] in words and "--data" in words


def test_a_taken_port_and_a_useless_folder_say_what_to_change(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port}" in refused("--data", tmp_path, "--port", port)
        assert "--grpc-port" in refused("--data", tmp_path, "--port", free_port(), "--grpc-port", port)
    (tmp_path / "file").write_text("")
    assert "--data" in refused("--data", tmp_path / "file", "--port", free_port(), "--grpc-port", 0)


def test_the_sign_in_link_of_a_running_tripoint_works_once(tmp_path: Path) -> None:
    with running(tmp_path) as (_, ready):
        made = subprocess.run(
            [PROGRAM, "link", "--data", tmp_path],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        link = made.stdout.strip()
        with httpx.Client(trust_env=False, headers={"accept": "text/html"}) as browser:
            assert browser.get(link, follow_redirects=True).status_code == 200
            assert browser.get(f"{ready['url']}/attribution").status_code == 200
        again = httpx.get(link, headers={"accept": "text/html"}, trust_env=False)
        assert again.status_code == 401 and "used before" in again.text


@pytest.mark.services
@pytest.mark.parametrize(
    ("broker", "port"),
    [("redis://127.0.0.1:6379/5", 6379), ("amqp://guest:guest@127.0.0.1:5672//", 5672)],
    ids=["redis", "rabbitmq"],
)
def test_it_uses_a_database_and_a_broker_of_ones_own(
    tmp_path: Path, broker: str, port: int, cluster: tuple[str, str]
) -> None:
    if not listens(port):
        pytest.skip(f"No broker listens on port {port}; this broker was not tried.")
    name = f"tripoint_{uuid4().hex[:12]}"
    server = os.environ.get("TRIPOINT_TEST_SERVER_URL", "postgresql:///postgres?host=/var/run/postgresql")
    try:
        admin = psycopg.connect(server, autocommit=True)
    except psycopg.OperationalError:
        pytest.skip("No PostgreSQL server beside the embedded one; TRIPOINT_DATABASE_URL was not tried.")
    with admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            url = server.replace("/postgres?", f"/{name}?")
            with running(tmp_path, TRIPOINT_DATABASE_URL=url, TRIPOINT_BROKER_URL=broker) as (_, ready):
                assert set(ready["pids"]) == {"supervisor", "server", "worker", "judge"}
                send(ready)
                wait_until(
                    lambda: [item["state"] for item in requests(ready)] == ["settled"], "nobody settled"
                )
                wait_until(lambda: judged_by_a_rule(ready), "nobody judged", 40)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def judged_by_a_rule(ready: dict[str, Any]) -> bool:
    """Whether a scorer, which asks nobody, has scored the one answer; its policy is started where there is none."""
    admin = {"headers": bearer(ready["admin_key"]), "trust_env": False}
    if not httpx.get(f"{ready['url']}/api/v1/policies", **admin).json():
        policy = {"rubric": "refusal", "wanted_a_day": 1_000_000, "back_days": 1}
        assert httpx.post(f"{ready['url']}/api/v1/policies", json=policy, **admin).status_code == 201
        said = '[{"role": "assistant", "content": "It is in Hamburg."}]'
        send_all(ready, [llm_span(gen_ai__output__messages=said)])
    states = httpx.get(f"{ready['url']}/api/v1/judging", **admin).json()["judges"]
    return [one["scored"] for one in states] == [1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
