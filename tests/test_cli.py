"""The command as an operator with a database of his own uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine

import doctor
from core.store import audit, keys
from core.store.session import tenant
from settings import Settings, host_and_port
from tests.conftest import Database, Server
from tests.otlp import body, llm_span
from tests.web.people import PASSWORD, sign_in

pytestmark = pytest.mark.slow
PROGRAM = Path(sys.executable).with_name("tripoint")


def tripoint(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these settings and no others, `typed` into its standard input."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRIPOINT_")}
    return subprocess.run(
        [PROGRAM, *arguments],
        env=clean | environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_new_project_gets_keys_that_open_it_and_nothing_else(database: Database, server: Server) -> None:
    made = tripoint("project", "create", "acme", TRIPOINT_DATABASE_URL=database.owner_url)
    keys = json.loads(made.stdout)
    headers = {"authorization": f"Bearer {keys['ingest_key']}", "content-type": "application/json"}
    with server.client() as client:
        assert client.post("/v1/traces", content=body(llm_span()), headers=headers).status_code == 200
        read = {"authorization": f"Bearer {keys['read_key']}"}
        assert len(client.get("/api/v1/requests", headers=read).json()["items"]) == 1
        assert client.get("/api/v1/requests", headers=headers).status_code == 403


def test_a_project_is_made_once(database: Database) -> None:
    first = tripoint("project", "create", "once", TRIPOINT_DATABASE_URL=database.owner_url)
    again = tripoint("project", "create", "once", TRIPOINT_DATABASE_URL=database.owner_url)
    assert (first.returncode, again.returncode, again.stdout) == (0, 1, "")
    assert "There is a project 'once' already" in again.stderr


def test_a_key_is_made_listed_without_its_secret_and_revoked(database: Database, server: Server) -> None:
    environment = {"TRIPOINT_DATABASE_URL": database.owner_url}
    tripoint("project", "create", "keys", **environment)
    tripoint("project", "create", "others", **environment)
    made = tripoint("key", "create", "--project", "keys", "--role", "read", "--name", "ci", **environment)
    secret = made.stdout.strip()
    listed = tripoint("key", "list", "--project", "keys", **environment).stdout
    (line,) = [line for line in listed.splitlines() if line.endswith("\tci")]
    assert secret not in listed and "never used" in line
    assert "\tci" not in tripoint("key", "list", "--project", "others", **environment).stdout
    number = line.split("\t")[0]
    assert tripoint("key", "revoke", number, "--project", "others", **environment).returncode == 1
    assert tripoint("key", "revoke", number, "--project", "keys", **environment).returncode == 0
    answer = httpx.get(
        f"{server.url}/api/v1/requests", headers={"authorization": f"Bearer {secret}"}, trust_env=False
    )
    assert answer.status_code == 401 and "revoked" in answer.json()["detail"]


def test_an_account_is_made_signs_in_and_is_disabled(
    database: Database, server: Server, engine: Engine, owner: Engine
) -> None:
    environment = {"TRIPOINT_DATABASE_URL": database.owner_url}
    name, where = f"ann-{uuid4().hex[:8]}@example.com", f"people-{uuid4().hex[:8]}"

    def account(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return tripoint("account", *arguments, typed=typed, **environment)

    tripoint("project", "create", where, **environment)
    for typed, words in (("short\n", "needs 12"), (f"{name}\n", "the name itself")):
        refused = account("create", name, "--project", where, typed=typed)
        assert refused.returncode == 1 and words in refused.stderr
    made = account("create", name, "--role", "admin", "--project", where, typed=f"{PASSWORD}\n")
    assert (made.returncode, made.stderr) == (0, "")
    assert account("create", name.upper(), "--project", where, typed=f"{PASSWORD}\n").returncode == 1
    assert f"{name}\tadmin\tactive\tnever seen" in account("list", "--project", where).stdout
    with server.client() as client:
        assert sign_in(client, name).status_code == 303
        assert account("password", name, typed="another good one\n").returncode == 0
        assert sign_in(client, name).status_code == 401
        assert sign_in(client, name, "another good one").status_code == 303
        assert "has the role read" in account("role", name.upper(), "read", "--project", where).stdout
        link = account("password", name, "--link", "--project", where).stdout.strip()
        assert client.get(link[link.index("/set-password") :]).status_code == 200
        assert account("disable", name).returncode == 0
        assert sign_in(client, name, "another good one").status_code == 401
        assert account("enable", name).returncode == 0
        assert sign_in(client, name, "another good one").status_code == 303
    assert account("role", name, "ingest", "--project", where).returncode == 1
    assert "There is no account 'nobody'" in account("disable", "nobody").stderr
    assert "is removed" in account("remove", name, "--project", where).stdout
    with owner.connect() as connection:
        (number,) = [at for at, known in keys.projects(connection) if known == where]
    with tenant(engine, number) as connection:
        noted = [one for one in audit.entries(connection).items if one.actor.startswith("command line")]
    assert [one.action for one in reversed(noted)] == [
        "project.create", "key.create", "key.create", "key.create", "account.create", "membership.add",
        "password.change", "password.change", "membership.role", "password.link", "account.disable",
        "account.enable", "membership.remove",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["key", "create", "--role", "king"], {}, "There is no role 'king'"),
        (["key", "create", "--project", "nobody"], {}, "There is no project 'nobody'"),
        (["serve", "kitchen"], {}, "There is no room 'kitchen'"),
        (["up", "--no-browser"], {"TRIPOINT_BROKER_URL": "http://x"}, "Check TRIPOINT_BROKER_URL"),
        (
            ["up", "--no-browser"],
            {"TRIPOINT_BROKER_URL": "redis://127.0.0.1:1/0"},
            "Check TRIPOINT_BROKER_URL",
        ),
        (["doctor"], {"TRIPOINT_QUIET_SECONDS": "inf"}, "TRIPOINT_QUIET_SECONDS"),
        (["serve"], {"TRIPOINT_DATABASE_URL": "", "TRIPOINT_PORT": "0"}, "TRIPOINT_PORT"),
        (["serve", "--workers", "2"], {}, "TRIPOINT_GRPC_PORT=0"),
        (["serve"], {"TRIPOINT_LOG_LEVEL": "loud"}, "TRIPOINT_LOG_LEVEL"),
        (["work"], {}, "TRIPOINT_BROKER_URL"),
        (
            ["work"],
            {"TRIPOINT_BROKER_URL": "memory://", "TRIPOINT_DATABASE_URL": ""},
            "TRIPOINT_DATABASE_URL",
        ),
        (["migrate"], {"TRIPOINT_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "Check TRIPOINT_DATABASE_URL"),
        (["migrate"], {"TRIPOINT_DATABASE_URL": "mysql:nonsense"}, "TRIPOINT_DATABASE_URL"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_setting(
    database: Database, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    done = tripoint(*arguments, **{"TRIPOINT_DATABASE_URL": database.owner_url, **environment})
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_clock_of_a_worker_on_a_new_machine_runs(database: Database, tmp_path: Path) -> None:
    data = tmp_path / "not" / "there yet"
    process = subprocess.Popen(
        [PROGRAM, "work", "--data", data],
        env={**os.environ, "TRIPOINT_DATABASE_URL": database.app_url, "TRIPOINT_BROKER_URL": "memory://"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not list(data.glob("beat-schedule*")):
            assert process.poll() is None and time.monotonic() < deadline, "the clock did not start"
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(20)


def test_doctor_explains_every_setting_and_finds_the_broken_one(database: Database, tmp_path: Path) -> None:
    healthy = tripoint("doctor", TRIPOINT_DATABASE_URL=database.owner_url, TRIPOINT_DATA=str(tmp_path))
    assert all(f"TRIPOINT_{name.upper()} = " in healthy.stdout for name in Settings.model_fields)
    assert "the schema is up to date" in healthy.stdout
    broken = tripoint(
        "doctor", TRIPOINT_BROKER_URL="redis://:secret@127.0.0.1:1/0", TRIPOINT_DATA=str(tmp_path)
    )
    assert broken.returncode == 1
    assert "WRONG broker" in broken.stdout and "TRIPOINT_BROKER_URL" in broken.stdout
    assert "secret" not in broken.stdout


def test_a_password_in_a_url_is_not_shown() -> None:
    assert doctor.hidden("amqp://guest:pw@host:5672//") == "amqp://guest:***@host:5672//"
    assert doctor.hidden("postgresql:///x?host=/run") == "postgresql:///x?host=/run"


def test_doctor_finds_nothing_wrong_where_tripoint_runs(server: Server, tmp_path: Path) -> None:
    ports = {
        "TRIPOINT_PORT": server.url.rpartition(":")[2],
        "TRIPOINT_GRPC_PORT": server.grpc_address.rpartition(":")[2],
    }
    done = tripoint("doctor", TRIPOINT_DATA=str(tmp_path), **ports)
    assert done.returncode == 0, done.stdout
    assert "a Tripoint answers here" in done.stdout and "takes gRPC" in done.stdout


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert Settings(host="::", port=4318).base_url() == "http://[::1]:4318"
    assert Settings(host="0.0.0.0", port=80).base_url() == "http://127.0.0.1:80"
    assert host_and_port("::1", 4317) == "[::1]:4317"


def test_help_names_every_command() -> None:
    words = tripoint("--help").stdout
    assert all(
        name in words
        for name in ("up", "demo", "serve", "work", "migrate", "doctor", "link", "key", "project", "account")
    )
