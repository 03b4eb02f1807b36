"""Signing in and out as a program sees it: cookies, refusals, waits, forms from elsewhere."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine

from asgi import Parts
from core.errors import Overloaded
from core.store import accounts, audit
from core.store.session import tenant
from settings import Settings
from tests.conftest import Database, Project, Server, free_port, run_server
from tests.web.conftest import cookie_of, sign_in_url
from tests.web.people import PASSWORD, forget_attempts, person, post, reader, sign_in, token_in
from web.routes import router
from web.session import cookie_name
from web.sign_in import next_page
from web.vault import Vault

AS_BROWSER = {"accept": "text/html"}


@pytest.fixture(autouse=True)
def fresh(owner: Engine) -> None:
    forget_attempts(owner)


@pytest.fixture
def name(engine: Engine, project: Project) -> str:
    return person(engine, project)


@pytest.fixture(scope="module")
def proxied(database: Database) -> Iterator[Server]:
    """A server for https behind a proxy on this machine; its clients' addresses are the test's to choose."""
    yield from run_server(
        Settings(
            database_url=database.app_url,
            port=free_port(),
            grpc_port=0,
            secure_cookies=True,
            trusted_proxies="127.0.0.1, 10.0.0.0/8",
        ),
        database,
    )


def actions(engine: Engine, project: Project) -> list[str]:
    with tenant(engine, project.id) as connection:
        return [one.action for one in audit.entries(connection, limit=100).items]


def test_a_name_and_its_password_sign_in_and_lead_to_the_page_that_was_wanted(
    client: httpx.Client, name: str, project: Project
) -> None:
    answer = sign_in(client, name.upper(), next_="/requests?last=7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests?last=7")
    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=lax", "path=/"} <= flags and "secure" not in flags
    page = client.get("/overview")
    assert page.status_code == 200 and name in page.text and project.name in page.text


def test_every_signing_in_is_a_session_of_its_own(client: httpx.Client, name: str) -> None:
    seen = set()
    for _ in range(2):
        client.cookies.set(cookie_name(False), "chosen-by-somebody", domain="127.0.0.1")
        answer = sign_in(client, name)
        seen.add(answer.headers["set-cookie"].split(";")[0])
        client.cookies.clear()
    assert len(seen) == 2 and not any("chosen" in one for one in seen)


def test_unknown_and_wrong_are_one_answer(client: httpx.Client, name: str) -> None:
    answers = [
        sign_in(client, who, password)
        for who, password in ((name, "wrong horse battery"), (f"x{name[1:]}", PASSWORD))
    ]
    assert [one.status_code for one in answers] == [401, 401]
    pages = [
        one.text.replace(token_in(one.text), "").replace(f'value="{who}"', "")
        for one, who in zip(answers, (name, f"x{name[1:]}"), strict=True)
    ]
    assert pages[0] == pages[1] and "The name or the password is wrong." in pages[0]
    assert cookie_name(False) not in client.cookies


def test_five_wrong_passwords_wait_and_the_page_says_how_long(
    client: httpx.Client, name: str, engine: Engine, project: Project
) -> None:
    answers = [sign_in(client, name, "wrong horse battery") for _ in range(5)]
    assert "Wait 15 seconds before the next attempt" in answers[-1].text
    blocked = sign_in(client, name)
    assert blocked.status_code == 429 and 1 <= int(blocked.headers["retry-after"]) <= 15
    assert "Too many attempts. Wait" in blocked.text and f'value="{name}"' in blocked.text
    deadline = time.monotonic() + 10  # the notes are written after the answers
    while (noted := actions(engine, project).count("sign_in.failed")) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert noted == 5


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/overview\r\nX: y",
        "javascript:alert(1)", "/sign-out", "/../..//evil.example", "/overview@evil.example", "/static/page.js",
        "/traces//evil.example", "/overview#x", "/" + "x" * 3000,
    ],
)  # fmt: skip
def test_after_signing_in_no_address_leads_elsewhere(wanted: str) -> None:
    assert next_page(wanted) == "/overview"


@pytest.mark.parametrize(
    "wanted", ["/overview?last=7&feature=a%2Fb", "/traces/ab", "/settings/keys", "/api/docs"]
)
def test_after_signing_in_our_own_pages_go_on(wanted: str) -> None:
    assert next_page(wanted) == wanted


def test_who_is_not_signed_in_finds_the_form_and_comes_back(client: httpx.Client, name: str) -> None:
    page = client.get("/attribution?group_by=user", headers=AS_BROWSER)
    assert page.status_code == 401 and 'action="/sign-in"' in page.text
    assert 'name="next" value="/attribution?group_by=user"' in page.text
    form = {"form_token": token_in(page.text), "name": name, "password": PASSWORD, "next": "/attribution"}
    assert client.post("/sign-in", data=form).headers["location"] == "/attribution"


def test_signing_out_ends_the_session_at_once(
    client: httpx.Client, name: str, engine: Engine, project: Project
) -> None:
    sign_in(client, name)
    secret = client.cookies[cookie_name(False)]
    answer = post(client, "/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert cookie_name(False) not in client.cookies
    client.cookies.set(cookie_name(False), secret)
    assert client.get("/overview", headers=AS_BROWSER).status_code == 401
    assert actions(engine, project)[:2] == ["sign_out", "sign_in"]


# forms from elsewhere --------------------------------------------------------------------------------

FORMS = (
    "/sign-out",
    "/projects",
    "/settings/keys",
    "/settings/keys/1/revoke",
    "/settings/people",
    "/settings/people/1/role",
    "/settings/people/1/remove",
    "/settings/people/1/reset",
    "/settings/account/password",
    "/settings/account/sign-out-everywhere",
    "/settings/channels",
    "/settings/channels/1/remove",
    "/alerts/1/acknowledge",
    "/alerts/1/resolve",
    "/reviews/plan",
    "/reviews/1",
    "/judging",
    "/judging/judges",
    "/judging/judges/1/retire",
    "/judging/policies",
    "/judging/policies/1/end",
    "/judging/rubrics/1",
    "/judging/write",
)
FOREIGN = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
)


def test_every_form_is_known_to_these_tests(server: Server) -> None:
    web = Parts(Settings(database_url=server.database.app_url, grpc_port=0), ("web",)).web()
    routes = [route for route in router(web).routes if isinstance(route, APIRoute)]
    posts = {route.path for route in routes if "POST" in route.methods}
    ours = {re.sub(r"/1(?=/|$)", "/{}", path) for path in FORMS}
    assert {re.sub(r"\{\w+\}", "{}", path) for path in posts} == ours | {"/sign-in", "/set-password"}


@pytest.mark.parametrize("path", FORMS)
def test_a_form_from_elsewhere_or_without_its_token_does_nothing(
    server: Server, engine: Engine, owner: Engine, project: Project, path: str
) -> None:
    with server.client(headers=AS_BROWSER) as client:
        client.cookies.set(cookie_name(False), cookie_of(server, owner, project))
        token = token_in(client.get("/settings/account").text)
        before = actions(engine, project)
        for headers in FOREIGN:
            answer = client.post(path, data={"form_token": token, "role": "admin"}, headers=headers)
            assert answer.status_code == 403 and "from another site" in answer.text, headers
        for given in ("", "0" * 64, "ü"):
            answer = client.post(path, data={"form_token": given, "role": "admin"})
            assert answer.status_code == 403 and "session that has ended" in answer.text
        assert actions(engine, project) == before


def test_a_token_of_another_session_does_nothing(
    server: Server, owner: Engine, project: Project, other_project: Project
) -> None:
    tokens = []
    for one in (project, other_project):
        with server.client() as client:
            client.cookies.set(cookie_name(False), cookie_of(server, owner, one))
            tokens.append(token_in(client.get("/settings/account").text))
            answer = client.post("/settings/keys", data={"form_token": tokens[0], "role": "admin"})
            assert (answer.status_code == 303) == (len(tokens) == 1)


def test_nobody_is_signed_in_from_elsewhere(client: httpx.Client, name: str) -> None:
    for headers in FOREIGN:
        assert sign_in(client, name, **headers).status_code == 403
    form = {"form_token": "", "name": name, "password": PASSWORD}
    assert client.post("/sign-in", data=form).status_code == 403
    client.cookies.clear()
    answer = client.post("/sign-in", data=form, headers=AS_BROWSER)
    assert answer.status_code == 403 and "cookies" in answer.text
    assert cookie_name(False) not in client.cookies


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=" + b"x" * 17_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 400),
        (b"", "multipart/form-data; boundary=x", 400),
        (b"\xff\xfe%ff%00=%00&&==", "application/x-www-form-urlencoded", 403),
    ],
)
def test_a_form_is_bounded_and_of_one_kind(client: httpx.Client, body: bytes, kind: str, status: int) -> None:
    client.get("/sign-in")
    answer = client.post("/sign-in", content=body, headers={"content-type": kind} | AS_BROWSER)
    assert answer.status_code == status


# https, proxies, floods ------------------------------------------------------------------------------


def test_over_https_cookies_have_all_flags_and_browsers_are_told_to_stay(
    proxied: Server, engine: Engine, owner: Engine, project: Project
) -> None:
    https = {"x-forwarded-proto": "https"}
    with proxied.client(headers=https) as client:
        page = client.get("/sign-in")
        visit = page.headers["set-cookie"]
        assert visit.startswith("__Host-tripoint_visit=") and "secure" in visit.lower()
        form = {"form_token": token_in(page.text), "name": person(engine, project), "password": PASSWORD}
        cookie = {"cookie": visit.split(";")[0]}
        answer = client.post("/sign-in", data=form, headers=cookie)
        assert answer.status_code == 303
        given = answer.headers["set-cookie"].lower()
        assert given.startswith("__host-tripoint_session=")
        assert all(flag in given for flag in ("secure", "httponly", "samesite=lax", "path=/"))
        assert "domain" not in given
        for path in ("/sign-in", "/healthz", "/api/v1/keys", "/nothing"):
            assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"


def test_without_https_browsers_are_told_nothing_of_it(client: httpx.Client) -> None:
    assert "strict-transport-security" not in client.get("/sign-in").headers


def failures(server: Server, header: str, name: str) -> list[int]:
    with server.client() as client:
        page = client.get("/sign-in")
        cookie = {"cookie": page.headers["set-cookie"].split(";")[0], "x-forwarded-for": header}
        token = token_in(page.text)
        answers = []
        for at in range(22):
            form = {"form_token": token, "name": f"{name}-{at}", "password": "wrong horse battery"}
            answers.append(client.post("/sign-in", data=form, headers=cookie).status_code)
    return answers


def test_behind_a_proxy_that_is_trusted_its_clients_address_counts(proxied: Server) -> None:
    address = f"192.0.2.{uuid4().int % 250}"
    answers = failures(proxied, f"198.51.100.7, {address}, 10.1.2.3", uuid4().hex)
    assert answers == [401] * 20 + [429] * 2
    # What the client wrote itself, left of what the proxy saw, changes nothing.
    assert set(failures(proxied, f"203.0.113.9, {address}", uuid4().hex)) == {429}


def test_the_vault_is_bounded_and_leaves_the_loop_free() -> None:
    vault, gate = Vault(at_once=2, waiting=1), threading.Event()

    async def flood() -> None:
        inside = [asyncio.create_task(vault.run(gate.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="Try again"):
            await vault.run(gate.wait, 30)
        gate.set()
        assert await asyncio.gather(*inside) == [True] * 3
        assert await vault.run(lambda: 7) == 7

    asyncio.run(flood())


# projects, links -------------------------------------------------------------------------------------


def test_an_account_of_several_projects_chooses_and_switches(
    server: Server, engine: Engine, project: Project, other_project: Project, name: str
) -> None:
    with tenant(engine, other_project.id) as connection:
        found = accounts.existing(connection, name)
        accounts.join(connection, other_project.id, found, "admin", "operator", datetime.now(UTC))
    with server.client() as client:
        answer = sign_in(client, name, next_="/requests")
        assert answer.headers["location"] == "/projects?next=/requests"
        first = client.cookies[cookie_name(False)]
        chooser = client.get(answer.headers["location"]).text
        assert project.name in chooser and other_project.name in chooser
        # by name, as it was in none before
        target = max(project, other_project, key=lambda one: one.name)
        assert target.name not in client.get("/settings/account").text
        answer = post(client, "/projects", "/projects", project=str(target.id), next="/requests?last=7")
        assert answer.headers["location"] == "/requests?last=7"
        assert target.name in client.get("/requests").text
        assert client.cookies[cookie_name(False)] != first
        refused = post(client, "/projects", "/projects", project=str(2**31 - 1))
        assert refused.status_code == 403
        client.cookies.set(cookie_name(False), first, domain="127.0.0.1")
    with server.client(cookies={cookie_name(False): first}) as old:
        assert old.get("/overview", headers=AS_BROWSER).status_code == 401


def test_who_belongs_nowhere_is_told_so_after_the_right_password_only(
    client: httpx.Client, engine: Engine, project: Project, name: str
) -> None:
    with tenant(engine, project.id) as connection:
        found = accounts.existing(connection, name)
        accounts.remove(connection, project.id, found.id, "boss", datetime.now(UTC))
    assert "belongs to no project" not in sign_in(client, name, "wrong horse battery").text
    answer = sign_in(client, name)
    assert answer.status_code == 403 and "belongs to no project" in answer.text


def test_a_link_still_signs_in_and_the_log_says_so(
    client: httpx.Client, server: Server, owner: Engine, engine: Engine, project: Project
) -> None:
    assert client.get(sign_in_url(server, owner, project)).headers["location"] == "/overview"
    assert "sign-in link" in client.get("/overview").text
    with tenant(engine, project.id) as connection:
        entry = audit.entries(connection).items[0]
    assert (entry.actor, entry.action, entry.details) == ("sign-in link", "sign_in", {"how": "link"})


def test_a_disabled_account_is_out_of_the_pages(
    server: Server, engine: Engine, project: Project, name: str
) -> None:
    with reader(server, name) as client:
        assert client.get("/overview").status_code == 200
        with tenant(engine, project.id) as connection:
            accounts.disable(connection, accounts.existing(connection, name), "operator", datetime.now(UTC))
        deadline = time.monotonic() + 10
        while client.get("/overview").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert sign_in(client, name).status_code == 401
