"""Signing in and the Settings pages in Chromium: by axe, by keyboard, narrow, dark, empty, with long names."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page
from sqlalchemy import Engine

from core.store import keys
from core.store.session import tenant, transaction
from tests.conftest import Project, Server, make_project
from tests.otlp import body, llm_span
from tests.web.conftest import Opener, Watched
from tests.web.people import PASSWORD, forget_attempts, person
from tests.web.test_browser_pages import findings

pytestmark = pytest.mark.browser

PAGES = ("/settings/keys", "/settings/people", "/settings/account", "/settings/audit", "/projects")
LONG = ("w" * 200, "W i d e " * 25, "ж" * 190)


@pytest.fixture(autouse=True)
def fresh(owner: Engine) -> None:
    forget_attempts(owner)


def enter(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name or e-mail").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def expected(window: Watched, *statuses: str) -> None:
    """That a refusal comes with its status is no fault of the page."""
    window.wrong[:] = [words for words in window.wrong if not any(one in words for one in statuses)]


@pytest.fixture(scope="module")
def named(owner: Engine, engine: Engine) -> Project:
    """A project whose people and keys have the longest names."""
    project = make_project(owner)
    for at, name in enumerate(LONG):
        person(engine, project, "admin", f"{name[:170]}{project.name}{at}"[:200])
        with tenant(engine, project.id) as connection:
            keys.make_key(connection, project.id, f"tp_read_{project.name}{at}", "read", name, name=name)
    return project


@pytest.fixture(scope="module")
def bare(owner: Engine) -> Project:
    """A project without keys, people and log."""
    project = make_project(owner)
    with transaction(owner) as connection:
        for table in ("api_key", "audit"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE project_id = {project.id}")
    return project


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("who", ["named", "bare"])
def test_axe_finds_nothing_and_nothing_sticks_out_at_360_pixels(
    look: Opener, request: pytest.FixtureRequest, who: str, scheme: str
) -> None:
    window = look(request.getfixturevalue(who), 360, color_scheme=scheme)
    for path in PAGES:
        page = window.open(path)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert findings(page) == [] and window.fits(), path


def test_what_is_empty_says_how_to_begin(look: Opener, bare: Project) -> None:
    window = look(bare)
    for path, words in zip(PAGES[:2], ("No keys yet", "Nobody has an account here yet"), strict=True):
        assert words in window.open(path).locator(".empty").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_one_signs_in(look: Opener, scheme: str) -> None:
    window = look(None, 360, color_scheme=scheme)
    page = window.open("/overview")
    page.locator("summary").click()
    assert findings(page) == [] and window.fits()
    enter(page, "nobody", "wrong horse battery")
    assert findings(page) == [] and window.fits()


def test_a_key_made_on_the_page_sends_a_span_until_it_is_revoked(
    look: Opener, client: httpx.Client, project: Project
) -> None:
    window = look(project)
    page = window.open("/settings")
    page.get_by_label("Name, what the key is for").fill("checkout")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#made-key").inner_text()
    page.get_by_role("button", name="Copy the key").click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert findings(page) == []
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def send() -> int:
        return client.post("/v1/traces", content=body(llm_span()), headers=headers).status_code

    assert send() == 200
    page.reload()
    assert key not in page.content()
    row = page.locator("tbody tr", has_text="checkout")
    row.locator("summary").click()
    row.get_by_role("button", name=re.compile("Revoke now")).click()
    assert "is revoked" in page.locator(".done").inner_text()
    assert row.locator(".state").inner_text() == "revoked" and row.locator("summary").count() == 0
    assert send() == 401


def test_signing_in_with_the_keyboard_alone_and_out_again(
    look: Opener, engine: Engine, project: Project
) -> None:
    name = person(engine, project, "admin")
    window = look(None)
    page = window.open("/settings/people")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "name":
            break
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings/people")
    assert page.locator(".who-name").inner_text() == name
    assert page.locator(".who-project").inner_text().endswith(project.name)
    remove = page.locator("summary", has_text="Remove")
    remove.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "last administrator" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in")
    page.go_back()
    assert page.locator("h1").inner_text() == "Please sign in"


def test_five_wrong_passwords_make_one_wait(look: Opener, engine: Engine, project: Project) -> None:
    name = person(engine, project)
    window = look(None)
    page = window.open("/sign-in")
    for _ in range(5):
        enter(page, name, "wrong horse battery")
        assert "The name or the password is wrong." in page.get_by_role("alert").inner_text()
    enter(page, name)
    assert re.search(r"Too many attempts\. Wait \d+ seconds", page.get_by_role("alert").inner_text())
    assert page.get_by_label("Name or e-mail").input_value() == name
    expected(window, "429")


def test_everything_is_done_without_scripts(look: Opener, engine: Engine, project: Project) -> None:
    boss = person(engine, project, "admin")
    window = look(None, java_script_enabled=False)
    page = window.page
    page.goto(f"{window.base}/settings/people")
    enter(page, boss)
    page.get_by_label("Name or e-mail").fill(f"ann of {project.name}")
    page.get_by_role("button", name="Add", exact=True).click()
    link = page.locator("#made-link").inner_text()
    row = page.locator("tbody tr", has_text="ann of")
    row.locator("select").select_option("review")
    row.get_by_role("button", name=re.compile("Change")).click()
    assert "has the role review" in page.locator(".done").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.goto(link)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    assert page.locator(".who-name").inner_text() == f"ann of {project.name}"
    assert page.url == f"{window.base}/overview"


def test_a_page_of_another_site_can_do_nothing(
    look: Opener, server: Server, engine: Engine, project: Project
) -> None:
    window = look(project)
    page = window.open("/settings/keys")
    token = page.locator("input[name=form_token]").first.get_attribute("value")
    with tenant(engine, project.id) as connection:
        before = len(keys.list_keys(connection))
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    # The same machine under another name is another site to the browser; it even knows the token.
    page.route(f"{elsewhere}/**", lambda route: route.fulfill(content_type="text/html", body=FOREIGN_PAGE))
    page.goto(f"{elsewhere}/")
    page.evaluate(
        "([to, token]) => { const form = document.forms[0]; form.action = to;"
        " form.elements.form_token.value = token; form.submit() }",
        [f"{server.url}/settings/keys", token],
    )
    page.wait_for_url(f"{server.url}/**")
    assert page.locator("h1").inner_text() in ("Please sign in", "Not allowed")
    with tenant(engine, project.id) as connection:
        assert len(keys.list_keys(connection)) == before
    window.wrong[:] = [words for words in window.wrong if "localhost" not in words and "403" not in words]


FOREIGN_PAGE = """<!doctype html><form method="post"><input name="form_token"><input name="role" value="admin">
<input name="name" value="stolen"><input name="days" value=""></form>"""
