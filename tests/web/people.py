"""People for the pages' tests: an account with a password, and a client that signed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx
from sqlalchemy import Engine, text

from core.access import Role
from core.password import hash_password
from core.store import accounts
from core.store.session import tenant, transaction
from tests.conftest import Project, Server
from web.session import cookie_name

PASSWORD = "correct horse battery"
_HASH = hash_password(PASSWORD, bytes(16))


def person(engine: Engine, project: Project, role: Role = "read", name: str = "") -> str:
    """The name of a new account with the `PASSWORD`."""
    name = name or f"ann-{uuid4().hex[:12]}@example.com"
    with tenant(engine, project.id) as connection:
        made = accounts.invite(connection, project.id, name, role, "test", datetime.now(UTC))
        accounts.set_password(connection, made, _HASH, name, datetime.now(UTC))
    return name


def token_in(page: str) -> str:
    """The form token of a page."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


def sign_in(
    client: httpx.Client, name: str, password: str = PASSWORD, next_: str = "", **headers: str
) -> httpx.Response:
    """What the form to sign in is answered with."""
    token = token_in(client.get("/sign-in", params={"next": next_}).text)
    form = {"form_token": token, "name": name, "password": password, "next": next_}
    return client.post("/sign-in", data=form, headers={"accept": "text/html"} | headers)


def post(client: httpx.Client, path: str, page: str = "/settings/account", **fields: str) -> httpx.Response:
    """Send a form of a page as its reader would."""
    token = token_in(client.get(page).text)
    return client.post(path, data={"form_token": token} | fields, headers={"accept": "text/html"})


@contextmanager
def reader(server: Server, name: str) -> Iterator[httpx.Client]:
    """A client that signed in."""
    with server.client() as client:
        assert sign_in(client, name).status_code == 303
        assert cookie_name(False) in client.cookies
        yield client


def forget_attempts(owner: Engine) -> None:
    """Let this machine's address start anew: all tests fail to sign in from the same one."""
    with transaction(owner) as connection:
        connection.execute(text("DELETE FROM sign_in_attempt"))
