"""The pages of judging in Chromium: by axe, narrow and dark, and the whole way from nothing to a verdict."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from core.judging.builtin import RELEVANCE
from core.judging.rubric import rubric_to_json
from core.request import Context
from core.store import trials
from core.store.session import tenant
from tests.conftest import Project, make_project
from tests.judge.conftest import Endpoint, add_requests, chat, verdict
from tests.web.conftest import HOSTILE, Opener
from tests.web.judging import TRIAL, judging, work
from tests.web.test_browser_pages import findings, opened
from tests.web.test_browser_settings import expected

pytestmark = pytest.mark.browser

TABS = ("/judging", "/judging/policies", "/judging/rubrics", "/judging/judges")
REST = ("/judging/rubrics/relevance", "/judging/rubrics/length", "/judging/write")


def test_axe_finds_nothing_and_nothing_sticks_out_at_360_pixels(
    look: Opener, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint, name="judge-" + "w" * 94, feature=HOSTILE[6][:200])
    with tenant(engine, project.id) as connection:
        one = trials.find_trial(connection, TRIAL)[1][0]
    pages = (
        *TABS,
        *REST,
        f"/judging/trials/{TRIAL}",
        f"/requests/{one.trace_id}-{one.span_id}/judging",
        f"/traces/{one.trace_id}",
    )
    for scheme in ("light", "dark"):
        window = look(project, 360, color_scheme=scheme)
        for path in pages:
            page = opened(window, path)
            assert findings(page) == [] and window.fits(), (path, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_project_that_judges_nothing_is_told_how_to_begin(look: Opener, owner: Engine, scheme: str) -> None:
    window = look(make_project(owner), 360, color_scheme=scheme)
    for path in TABS:
        page = opened(window, path)
        assert findings(page) == [] and window.fits(), path
    steps = window.open("/judging").locator(".begin li")
    assert [steps.nth(at).locator("b").inner_text() for at in range(3)] == [
        "Say what it may cost a day",
        "Name a judge",
        "Start a policy",
    ]


def test_from_a_budget_to_a_verdict_by_clicks(
    look: Opener, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (200, chat(verdict(4)), {})
    now, chats = datetime.now(UTC), Context(feature="chat", tier="standard")
    # A day before tells how many to expect, at whatever time of day this runs; without content nothing of it is judged.
    add_requests(engine, project, 12, now - timedelta(days=1), "before", context=chats)
    with tenant(engine, project.id) as connection:
        connection.execute(text("DELETE FROM content"))
    add_requests(engine, project, 12, now)
    window = look(project)
    page = window.open("/judging")
    page.get_by_label("US dollars a day").fill("five")
    page.get_by_role("button", name="Set the budget").click()
    assert "such as" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("US dollars a day").input_value() == "five"
    expected(window, "400")
    page.get_by_label("US dollars a day").fill("5")
    page.get_by_role("button", name="Set the budget").click()
    assert "$5.00 a day" in page.locator(".done").inner_text()
    page.get_by_role("link", name="Name a judge").click()
    page.get_by_label("Name", exact=True).fill("tiny")
    page.get_by_label("Model, as its server calls it").fill("tiny-1")
    page.get_by_label("Base URL").fill(endpoint.url)
    page.get_by_label("USD a million input tokens").fill("2")
    page.get_by_role("button", name="Make the judge").click()
    assert "Give both" in page.get_by_role("alert").inner_text()
    expected(window, "400")
    assert page.get_by_label("Base URL").input_value() == endpoint.url
    page.get_by_label("USD a million output tokens").fill("8")
    page.get_by_role("button", name="Make the judge").click()
    assert "The judge tiny is made" in page.locator(".done").inner_text()

    page.get_by_role("link", name="Rubrics", exact=True).click()
    page.get_by_role("link", name="relevance").click()
    page.get_by_role("button", name="Try it on 10 past requests").click()
    page.wait_for_url(re.compile(r"/judging/trials/trial-"))
    assert page.locator("article[data-state=waiting]").count() == 10
    work(engine, project)
    # The page loads what is new by itself.
    page.locator("article[data-state=scored]").nth(9).wait_for()
    assert page.locator("#trial").get_attribute("data-live") is None
    first = page.locator("article").first
    assert "Where is parcel item-0?" in first.inner_text() and "it says so" in first.inner_text()
    assert RELEVANCE.dimensions[0].levels[3].words in first.inner_text()
    # 100 tokens in at 2 dollars a million, 10 out at 8: 0.00028 dollars each.
    assert "$0.0028" in page.locator("#trial .queue-progress").inner_text()
    assert findings(page) == []
    first.get_by_role("link", name="$0.00028").click()
    assert page.locator("table.requests tbody tr").count() == 1

    page.go_back()
    page.get_by_role("link", name="Start a policy with it").click()
    form = page.locator("form", has=page.get_by_role("button", name="Start the policy"))
    assert form.locator("[name=rubric]").input_value().startswith("relevance")
    form.get_by_label("feature").check()
    form.get_by_label("Days of past requests as well").fill("7")
    page.get_by_role("button", name="Start the policy").click()
    assert "has no strata" in page.get_by_role("alert").inner_text()
    expected(window, "400")
    assert form.get_by_label("feature").is_checked()
    assert form.get_by_label("Days of past requests as well").input_value() == "7"
    form.get_by_label("stratified").check()
    page.get_by_role("button", name="Start the policy").click()
    assert "is in force" in page.locator(".done").inner_text()
    work(engine, project)
    page.reload()
    policy = page.locator("[data-policy=relevance]")
    assert "12 drawn so far" in policy.inner_text() and policy.locator("tbody tr").count() == 1

    page.get_by_role("link", name="Judge health").click()
    row = page.locator("[data-judge=tiny]")
    assert row.locator("td").nth(1).inner_text() == "22"
    assert page.locator(".begin").count() == 0
    page.locator(".chart[data-drawn=true]").wait_for()
    page.get_by_role("link", name="22 calls").click()
    assert page.locator("table.requests tbody tr").count() == 22

    page.goto(f"{window.base}/judging/policies")
    page.locator("summary", has_text="End").click()
    page.get_by_role("button", name="End now").click()
    assert "The policy for relevance is ended" in page.locator(".done").inner_text()


def test_a_rubric_is_taken_from_a_file(look: Opener, project: Project, tmp_path: Path) -> None:
    file = tmp_path / "tone.json"
    file.write_text(json.dumps(rubric_to_json(RELEVANCE) | {"name": "tone", "title": "Tone, from a file"}))
    window = look(project)
    page = window.open("/judging/rubrics")
    page.get_by_role("link", name="Write a rubric").click()
    page.get_by_label("Or take it from a file").set_input_files(file)
    page.get_by_text("tone.json is in the form now").wait_for(state="attached")
    page.get_by_role("button", name="Save the rubric").click()
    assert "The rubric tone is saved" in page.locator(".done").inner_text()
    assert page.locator("h1").inner_text().startswith("Tone, from a file")


def test_a_trace_says_why_in_its_place_and_without_scripts_by_a_link(
    look: Opener, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint)
    with tenant(engine, project.id) as connection:
        one = trials.find_trial(connection, TRIAL)[1][0]
    page = look(project).open(f"/traces/{one.trace_id}")
    summary = page.locator("summary", has_text="Why it was judged")
    summary.focus()
    page.keyboard.press("Enter")
    page.locator(".why [data-policy=faithfulness]", has_text="no context was stored with it").wait_for()
    plain = look(project, java_script_enabled=False)
    page = plain.page
    page.goto(f"{plain.base}/traces/{one.trace_id}")
    page.locator("summary", has_text="Why it was judged").click()
    page.get_by_role("link", name="Each policy's answer").click()
    assert page.locator("h1").inner_text().startswith("Why was this request judged")
