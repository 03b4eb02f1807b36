"""The Settings pages as a program sees them: keys, people, one's own account, the log, and who may what."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import Engine

from core.store import accounts, audit
from core.store.session import tenant
from tests.conftest import Project, Server, make_project
from tests.otlp import llm_span
from tests.web.conftest import cookie_of
from tests.web.people import PASSWORD, forget_attempts, person, post, reader, sign_in, token_in
from web.session import cookie_name

AS_BROWSER = {"accept": "text/html"}
KEYS, PEOPLE, ACCOUNT = "/settings/keys", "/settings/people", "/settings/account"


@pytest.fixture(autouse=True)
def fresh(owner: Engine) -> None:
    forget_attempts(owner)


@pytest.fixture
def boss(server: Server, engine: Engine, project: Project) -> Iterator[httpx.Client]:
    """An administrator who signed in."""
    with reader(server, person(engine, project, "admin", f"boss of {project.name}")) as client:
        yield client


def log(engine: Engine, project: Project) -> list[tuple[str, str, str]]:
    with tenant(engine, project.id) as connection:
        return [(one.actor, one.action, one.target) for one in audit.entries(connection, limit=100).items]


def number_of(engine: Engine, project: Project, name: str) -> int:
    with tenant(engine, project.id) as connection:
        return accounts.existing(connection, name).id


def shown(client: httpx.Client, answer: httpx.Response) -> str:
    """The page that a form leads to."""
    assert answer.status_code == 303, answer.text
    return html.unescape(client.get(answer.headers["location"]).text)


def sends(client: httpx.Client, key: str) -> int:
    from tests.otlp import body

    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return client.post("/v1/traces", content=body(llm_span()), headers=headers).status_code


def test_a_key_is_made_shown_once_used_and_revoked(
    boss: httpx.Client, engine: Engine, project: Project
) -> None:
    answer = post(boss, KEYS, KEYS, role="ingest", name="checkout <b>", days="30")
    page = shown(boss, answer)
    (key,) = set(re.findall(r"tp_ingest_[0-9a-f]{64}", page))
    assert "checkout <b>" in page and f"Authorization=Bearer%20{key}" in page
    assert key not in boss.get(KEYS).text and key not in boss.get("/settings/audit").text
    assert sends(boss, key) == 200
    (number, *_) = re.findall(r"/settings/keys/(\d+)/revoke", page)
    assert "is revoked" in shown(boss, post(boss, f"/settings/keys/{number}/revoke", KEYS))
    assert sends(boss, key) == 401
    who = f"boss of {project.name}"
    said = f"tp_ingest_…{key[-4:]} (checkout <b>)"
    assert log(engine, project)[:2] == [(who, "key.revoke", said), (who, "key.create", said)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"role": "king"}, "There is no role 'king'"),
        ({"role": "read", "days": "0"}, "1 to 3650 days"),
        ({"role": "read", "days": "9" * 400}, "1 to 3650 days"),
        ({"role": "read", "days": "-1"}, "1 to 3650 days"),
        ({"role": "read", "name": "x" * 201}, "200 characters"),
        ({"role": "read", "name": "a\0b"}, "NUL"),
    ],
)
def test_a_key_that_cannot_be_made_is_told_why(
    boss: httpx.Client, fields: dict[str, str], words: str
) -> None:
    assert words in shown(boss, post(boss, KEYS, KEYS, **fields))


def test_what_is_shown_once_is_in_no_other_cookie_and_believed_of_nobody_else(boss: httpx.Client) -> None:
    answer = post(boss, KEYS, KEYS, role="read")
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags and "max-age=120" in flags and "samesite=lax" in flags
    boss.cookies.set(cookie_name(False, "shown"), "eyJkb25lIjogIlBsYW50ZWQifQ==.0000", domain="127.0.0.1")
    assert "Planted" not in boss.get(KEYS).text


def test_a_person_is_added_with_a_link_and_sets_a_password_once(
    server: Server, boss: httpx.Client, engine: Engine, project: Project
) -> None:
    name = f"Ann <{project.name}@example.com>"
    page = shown(boss, post(boss, PEOPLE, PEOPLE, name=name, role="finance"))
    (link,) = re.findall(r'<code id="made-link">(.*?)</code>', page)
    assert link.startswith(f"{server.url}/set-password?token=") and "no password yet" in page
    with server.client(headers=AS_BROWSER) as ann:
        form = ann.get(link)
        assert name in html.unescape(form.text)
        fields = {"form_token": token_in(form.text), "token": link.rpartition("=")[2]}
        for given, words in (("short", "needs 12"), ("not the same one", "not the same")):
            again = ann.post("/set-password", data=fields | {"new_password": given, "again": "other"})
            assert again.status_code == 400 and words in again.text
        assert ann.get(link).status_code == 200  # looking uses nothing up
        done = ann.post("/set-password", data=fields | {"new_password": PASSWORD, "again": PASSWORD})
        assert done.headers["location"] == "/overview" and ann.get("/overview").status_code == 200
        assert ann.get(link).status_code == 401
    with server.client() as elsewhere:
        assert sign_in(elsewhere, name).status_code == 303
    assert [what for _, what, target in log(engine, project) if target == name][:5] == [
        "sign_in", "sign_in", "password.change", "password.link", "membership.add",
    ]  # fmt: skip


def test_a_first_password_works_and_asks_to_be_changed(
    server: Server, boss: httpx.Client, project: Project
) -> None:
    name = f"bob of {project.name}"
    for given, words in (("short", "needs 12"), (name, "the name itself"), (PASSWORD, "is added")):
        assert words in shown(boss, post(boss, PEOPLE, PEOPLE, name=name, role="read", password=given))
    with reader(server, name) as bob, server.client() as other:
        sign_in(other, name)
        assert "Somebody gave you your password" in bob.get(ACCOUNT).text
        fields = {"new_password": "another good one", "again": "another good one"}
        refused = post(bob, f"{ACCOUNT}/password", password="not this one", **fields)
        assert "is another one" in shown(bob, refused)
        assert "is changed" in shown(bob, post(bob, f"{ACCOUNT}/password", password=PASSWORD, **fields))
        assert "Somebody gave you" not in bob.get(ACCOUNT).text
        time.sleep(1.1)  # as long as the door remembers
        assert other.get("/overview", headers=AS_BROWSER).status_code == 401
        assert sign_in(other, name).status_code == 401
        assert sign_in(other, name, "another good one").status_code == 303


def test_a_role_is_changed_and_a_member_removed(
    server: Server, boss: httpx.Client, engine: Engine, project: Project
) -> None:
    name = person(engine, project)
    number = number_of(engine, project, name)
    with reader(server, name) as ann:
        assert ann.get(KEYS, headers=AS_BROWSER).status_code == 403
        assert "has the role admin" in shown(
            boss, post(boss, f"{PEOPLE}/{number}/role", PEOPLE, role="admin")
        )
        time.sleep(1.1)
        assert ann.get(KEYS).status_code == 200
        for role in ("ingest", "king"):
            assert "role" in shown(boss, post(boss, f"{PEOPLE}/{number}/role", PEOPLE, role=role))
        assert "is removed" in shown(boss, post(boss, f"{PEOPLE}/{number}/remove", PEOPLE))
        time.sleep(1.1)
        assert ann.get("/overview", headers=AS_BROWSER).status_code == 401
    assert "no member" in shown(boss, post(boss, f"{PEOPLE}/{number}/remove", PEOPLE))
    me = number_of(engine, project, f"boss of {project.name}")
    assert "last administrator" in shown(boss, post(boss, f"{PEOPLE}/{me}/remove", PEOPLE))
    assert "last administrator" in shown(boss, post(boss, f"{PEOPLE}/{me}/role", PEOPLE, role="read"))


def test_a_person_of_two_projects_is_reset_by_none_of_them(
    boss: httpx.Client, engine: Engine, project: Project, other_project: Project
) -> None:
    name = person(engine, project)
    number = number_of(engine, project, name)
    assert "made-link" in shown(boss, post(boss, f"{PEOPLE}/{number}/reset", PEOPLE))
    with tenant(engine, other_project.id) as connection:
        found = accounts.existing(connection, name)
        accounts.join(connection, other_project.id, found, "read", "operator", datetime.now(UTC))
    assert "belongs to another project" in shown(boss, post(boss, f"{PEOPLE}/{number}/reset", PEOPLE))


def test_people_keys_and_log_of_another_project_are_out_of_reach(
    boss: httpx.Client, engine: Engine, other_project: Project
) -> None:
    name = person(engine, other_project)
    number = number_of(engine, other_project, name)
    before = log(engine, other_project)
    for action in ("role", "remove", "reset"):
        assert "no member" in shown(boss, post(boss, f"{PEOPLE}/{number}/{action}", PEOPLE, role="admin"))
    assert "is taken" in shown(boss, post(boss, PEOPLE, PEOPLE, name=name, role="read"))
    assert log(engine, other_project) == before
    for page in (KEYS, PEOPLE, "/settings/audit"):
        assert name not in boss.get(page).text and other_project.name not in boss.get(page).text


@pytest.mark.parametrize("role", ["read", "finance", "review"])
def test_who_does_not_administer_sees_and_does_only_his_own(
    server: Server, engine: Engine, project: Project, role: str
) -> None:
    with reader(server, person(engine, project, role)) as ann:  # type: ignore[arg-type]
        assert ann.get("/settings").headers["location"] == ACCOUNT
        own = ann.get(ACCOUNT).text
        assert "/settings/keys" not in own and "/settings/audit" not in own
        before = log(engine, project)
        for path in (KEYS, PEOPLE, "/settings/audit"):
            assert ann.get(path, headers=AS_BROWSER).status_code == 403
        for path in (
            KEYS,
            f"{KEYS}/1/revoke",
            PEOPLE,
            f"{PEOPLE}/1/role",
            f"{PEOPLE}/1/remove",
            f"{PEOPLE}/1/reset",
        ):
            assert post(ann, path, role="admin", name="x").status_code == 403
        assert log(engine, project) == before


def test_signing_out_everywhere_ends_every_session(server: Server, engine: Engine, project: Project) -> None:
    name = person(engine, project)
    with reader(server, name) as here, reader(server, name) as there:
        assert here.get(ACCOUNT).text.count('<td class="time">') == 4
        assert post(here, f"{ACCOUNT}/sign-out-everywhere").headers["location"] == "/sign-in"
        time.sleep(1.1)
        assert there.get("/overview", headers=AS_BROWSER).status_code == 401
    assert log(engine, project)[0] == (name, "sign_out.everywhere", name)


def test_who_came_with_a_link_is_told_so(server: Server, owner: Engine, project: Project) -> None:
    with server.client() as client:
        client.cookies.set(cookie_name(False), cookie_of(server, owner, project))
        page = client.get(ACCOUNT).text
        assert "You came with a sign-in link" in page and "Change your password" not in page
        assert post(client, f"{ACCOUNT}/password").status_code == 403
        assert "Nobody has an account here yet" in client.get(PEOPLE).text


def test_the_log_is_paged_and_written_in_the_readers_zone(
    boss: httpx.Client, engine: Engine, project: Project
) -> None:
    with tenant(engine, project.id) as connection:
        for at in range(60):
            audit.note(connection, project.id, "ann", "settle", f"round {at}")
    boss.cookies.set("tripoint_zone", "Asia/Kolkata")
    first = boss.get("/settings/audit").text
    assert first.count("<tr data-action") == 50 and "When (Asia/Kolkata)" in first
    (older,) = re.findall(r'href="(/settings/audit\?cursor=\d+)"', first)
    second = boss.get(older).text
    seen = re.findall(r'title="round (\d+)"', first + second)
    assert [int(one) for one in seen] == list(range(59, -1, -1))
    assert boss.get("/settings/audit?cursor=1").text.count("Nothing older") == 1
    assert boss.get("/settings/audit?cursor=x", headers=AS_BROWSER).status_code == 400


def test_the_api_gives_the_log_to_administrators(client: httpx.Client, owner: Engine) -> None:
    project = make_project(owner)
    made = client.post("/api/v1/keys", json={"role": "read", "name": "ci"}, headers=project.ruling()).json()
    client.delete(f"/api/v1/keys/{made['id']}", headers=project.ruling())
    client.post("/api/v1/settle", headers=project.ruling())
    found, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/audit", params=query, headers=project.ruling()).raise_for_status().json()
        found += page["items"]
        if not (cursor := page["next"]):
            break
    assert [one["action"] for one in found] == [
        "settle", "key.revoke", "key.create", "key.create", "key.create", "key.create", "project.create",
    ]  # fmt: skip
    assert found[0]["actor"] == f"key tp_admin_…{project.admin[-4:]}"
    assert found[2]["target"].endswith("(ci)") and made["key"] not in str(found)
    assert found[2]["details"] == {"role": "read", "expires": None}
    assert client.get("/api/v1/audit", headers=project.reading()).status_code == 403
    for query in ({"limit": "0"}, {"cursor": "x"}):
        assert client.get("/api/v1/audit", params=query, headers=project.ruling()).status_code == 400
