"""The pages under /judging: who sees and who may change what, what is typed wrongly, and what the numbers lead to."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine

from core.judging.builtin import LENGTH, RELEVANCE
from core.judging.rubric import rubric_from_json
from core.store import judges, trials
from core.store.judge_health import Health
from core.store.judges import Budget
from core.store.session import tenant
from tests.conftest import Project, Server
from tests.judge.conftest import Endpoint, add_requests, make_judge, set_budget
from tests.web.conftest import cookie_of
from tests.web.judging import TRIAL, judging, work
from tests.web.people import person, post, reader, token_in
from web.judging import bar, pace
from web.rubrics import copied, rubric_of
from web.session import cookie_name
from web.zone import UTC as UTC_ZONE

PAGES = (
    "/judging",
    "/judging?days=30",
    "/judging/policies",
    "/judging/rubrics",
    "/judging/rubrics/relevance",
    "/judging/judges",
)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HTML = {"accept": "text/html"}


@pytest.fixture
def admin(server: Server, owner: Engine, project: Project) -> Iterator[httpx.Client]:
    """An administrator's browser."""
    with server.client(cookies={cookie_name(False): cookie_of(server, owner, project)}) as client:
        yield client


def words_of(page: str) -> str:
    """What a page says, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return post(client, path, "/judging", **fields)


@pytest.mark.parametrize(
    ("path", "fields", "says", "kept"),
    [
        ("/judging", {"limit": "lots"}, "US dollars a day from 0 to 100000", 'value="lots"'),
        ("/judging", {"limit": "0.0000000000001"}, "US dollars a day", 'value="0.0000000000001"'),
        ("/judging", {"limit": "-1"}, "US dollars a day", 'value="-1"'),
        (
            "/judging/judges",
            {"name": "a/b", "kind": "openai", "model": "m"},
            "letters, digits",
            'value="a/b"',
        ),
        (
            "/judging/judges",
            {"name": "a", "kind": "openai", "model": "m", "key_variable": "HOME"},
            "begins with TRIPOINT_JUDGE_KEY_",
            'value="HOME"',
        ),
        (
            "/judging/judges",
            {"name": "a", "kind": "anthropic", "model": "m", "input_usd_per_million": "2"},
            "Give both",
            '<option value="anthropic" selected>',
        ),
        (
            "/judging/judges",
            {"name": "a", "kind": "openai", "model": "m", "at_once": "many"},
            "at_once is a number",
            'value="many"',
        ),
        (
            "/judging/judges",
            {"name": "a", "kind": "openai", "model": "m", "timeout_s": "nan"},
            "timeout_s is a number from 1 to 300",
            'value="nan"',
        ),
        ("/judging/policies", {"rubric": "safety"}, "needs a judge", '<option value="safety" selected>'),
        ("/judging/policies", {"rubric": "none"}, "There is no rubric", 'value="200"'),
        (
            "/judging/policies",
            {"rubric": "length", "method": "uniform", "strata.tier": "on"},
            "A uniform policy has no strata",
            'name="strata.tier" value="on" checked',
        ),
        ("/judging/policies", {"rubric": "length", "wanted_a_day": "1.5"}, "whole number", 'value="1.5"'),
        ("/judging/policies", {"rubric": "length", "back_days": "91"}, "whole number up to 90", 'value="91"'),
        ("/judging/policies", {"rubric": "length", "audit": "101"}, "from 0 to 1", 'value="101"'),
        ("/judging/policies", {"rubric": "length", "judge": "ann"}, "There is no judge", 'value="200"'),
        ("/judging/write", {"body": '{"name": '}, "This is no JSON", "{&#34;name&#34;: </textarea>"),
        ("/judging/write", {"body": "[" * 100_000}, "nested too deeply", "[[[["),
        ("/judging/write", {"body": '{"name": "tone"}'}, "dimensions is a list", "tone&#34;}</textarea>"),
        ("/judging/write", {"body": '{"name": "t", "title": "\\ud800"}'}, "half a character", "ud800"),
        ("/judging/rubrics/relevance", {}, "needs a judge", "Relevance to the question"),
        ("/judging/rubrics/length", {}, "No request with a stored prompt", "Length within bounds"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    admin: httpx.Client, path: str, fields: dict[str, str], says: str, kept: str
) -> None:
    answer = send(admin, path, **fields)
    assert answer.status_code == 400
    alert = re.search(r'role="alert">([^<]*)<', answer.text)
    assert alert and says in html.unescape(alert[1]), words_of(answer.text)[:600]
    assert kept in answer.text


def test_who_may_only_read_sees_all_pages_and_no_form(
    server: Server, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint)
    with reader(server, person(engine, project, "read")) as client:
        for path in (*PAGES, f"/judging/trials/{TRIAL}"):
            page = client.get(path, headers=HTML).raise_for_status().text
            forms = re.findall(r'<form method="post" action="([^"]*)"', page)
            assert forms == ["/sign-out"] and "/judging/write" not in page, path
        assert client.get("/judging/write", headers=HTML).status_code == 403
        for path in (
            "/judging",
            "/judging/judges",
            "/judging/judges/gpt-4.1-mini/retire",
            "/judging/policies",
            "/judging/policies/relevance/end",
            "/judging/write",
            "/judging/rubrics/relevance",
        ):
            answer = post(client, path, limit="1")
            assert answer.status_code == 403 and "Only administrators" in answer.text, path
    with tenant(engine, project.id) as connection:
        assert judges.budget(connection, datetime.now(UTC).date()).limit_pico == 5 * 10**12
        assert len(judges.list_policies(connection, live=True)) == 3


def test_a_form_of_another_session_changes_nothing(
    admin: httpx.Client, engine: Engine, project: Project
) -> None:
    for form in ({}, {"form_token": "0" * 64}):
        answer = admin.post("/judging", data=form | {"limit": "7"}, headers=HTML)
        assert answer.status_code == 403
    foreign = {"form_token": token_in(admin.get("/judging").text), "limit": "7"}
    answer = admin.post("/judging", data=foreign, headers=HTML | {"origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    with tenant(engine, project.id) as connection:
        assert judges.budget(connection, date.today()).limit_pico is None


def test_every_number_of_calls_leads_to_as_many_requests(
    admin: httpx.Client, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint)
    page = admin.get("/judging").raise_for_status().text
    row = re.search(r'<tr data-judge="gpt-4.1-mini">(.*?)</tr>', page, re.DOTALL)
    assert row
    found = re.findall(r'<a href="(/requests[^"]*)"[^>]*>([\d,]+)</a>', row[1])
    assert len(found) == 2
    for href, number in [*found, *re.findall(r'<a href="(/requests[^"]*)">(\d+) calls</a>', page)]:
        behind = admin.get(html.unescape(href)).raise_for_status().text
        shown = re.search(r'data-total="requests"[^>]*>(?:<a[^>]*>)?([\d,]+)', behind)
        assert (shown and shown[1]) == number or f"{number} requests" in words_of(behind), href
    reason, count = re.search(
        r'class="reason">(no context[^<]*)</span></th><td class="num">(\d+)</td>', page
    ).groups()  # type: ignore[union-attr]
    assert (reason, count) == ("no context was stored with it", "40")
    example = re.search(r'href="(/traces/[0-9a-f]{32})#s', page)
    assert example and admin.get(example[1]).status_code == 200


def test_policies_show_the_round_of_today(
    admin: httpx.Client, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint)
    page = admin.get("/judging/policies").text
    shown = {
        name: words_of(part)
        for name, part in re.findall(r'data-policy="(\w+)">(.*?)</section>', page, re.DOTALL)
    }
    assert list(shown) == ["refusal", "faithfulness", "relevance"]
    # The policy for relevance that came first drew nothing: the other took its place before the worker looked.
    assert "40 drawn so far , 200 wanted" in shown["relevance"] and "chat · standard" in shown["relevance"]
    assert (
        "Every request is drawn with the chance 1." in shown["refusal"] and "none: a rule" in shown["refusal"]
    )
    answer = send(admin, "/judging/policies/relevance/end")
    assert answer.headers["location"] == "/judging/policies"
    page = admin.get("/judging/policies").text
    assert "The policy for relevance is ended" in page and 'data-policy="relevance"' not in page
    assert "No policy is in force for" in words_of(send(admin, "/judging/policies/relevance/end").text)


def test_a_judge_that_a_policy_asks_is_not_retired(
    admin: httpx.Client, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    judging(engine, project, endpoint, name="a judge")
    answer = send(admin, "/judging/judges/a%20judge/retire")
    assert answer.status_code == 400 and "asks this judge. End it" in words_of(answer.text)
    assert send(admin, "/judging/judges/claude-haiku/retire").status_code == 303
    assert "The judge claude-haiku is retired." in admin.get("/judging/judges").text


def test_a_rubric_is_copied_changed_and_tried(
    admin: httpx.Client, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    now = datetime.now(UTC)
    text = re.search(
        r"<textarea[^>]*>(.*?)</textarea>", admin.get("/judging/write?rubric=safety").text, re.DOTALL
    )
    assert text
    body = html.unescape(text[1])
    assert rubric_of(body).name == "my-safety"
    saved = send(admin, "/judging/write", body=body.replace("Could the answer", "Can it"), action="save")
    assert saved.status_code == 303 and saved.headers["location"].startswith(
        "/judging/rubrics/my-safety?version="
    )
    assert "Can it do harm" in admin.get(saved.headers["location"]).text
    set_budget(engine, project, 1, now)
    make_judge(engine, project, endpoint)
    add_requests(engine, project, 12, now)
    tried = send(admin, "/judging/write", body=body, action="try", judge="tiny")
    page = admin.get(tried.headers["location"]).raise_for_status().text
    assert page.count('data-state="waiting"') == 10 and "data-live" in page
    versions = admin.get("/judging/rubrics/my-safety").text
    assert len(re.findall(r"\?version=([0-9a-f]{16})\"(?: aria-current=\"true\")?><code>", versions)) == 2


def test_a_rule_is_tried_without_a_judge_or_a_budget(
    admin: httpx.Client, engine: Engine, project: Project
) -> None:
    add_requests(engine, project, 3, datetime.now(UTC))
    tried = send(admin, "/judging/rubrics/length")
    work(engine, project)
    page = admin.get(tried.headers["location"]).raise_for_status().text
    assert page.count('data-state="scored"') == 3 and "data-live" not in page and "passes" in page


def test_nobody_sees_what_is_another_projects(
    admin: httpx.Client, engine: Engine, other_project: Project, endpoint: Endpoint
) -> None:
    now = datetime.now(UTC)
    make_judge(engine, other_project, endpoint, name="theirs")
    (trace,) = add_requests(engine, other_project, 1, now)
    with tenant(engine, other_project.id) as connection:
        own = rubric_from_json(
            {"name": "theirs", "dimensions": [{"name": "a", "question": "b", "levels": ["c", "d"]}]}
        )
        judges.save_rubric(connection, other_project.id, own, "ann")
        trials.start_trial(connection, other_project.id, LENGTH, None, None, TRIAL, "ann", now)
    for path in PAGES:
        assert "theirs" not in admin.get(path).text
    for path in (
        f"/judging/trials/{TRIAL}",
        "/judging/rubrics/theirs",
        "/judging/write?rubric=theirs",
        f"/requests/{trace}-{'1' * 16}/judging",
    ):
        assert admin.get(path, headers=HTML).status_code == 404, path
    assert "There is no judge" in words_of(send(admin, "/judging/judges/theirs/retire").text)


def test_a_request_says_why_it_was_judged_or_not(
    admin: httpx.Client, engine: Engine, project: Project, endpoint: Endpoint
) -> None:
    (trace, *_) = add_requests(engine, project, 1, datetime.now(UTC), "other")
    path = f"/requests/{trace}-{'1' * 16}/judging"
    assert "No policy is in force" in admin.get(path).text
    assert "Why it was judged" not in admin.get(f"/traces/{trace}").text
    judging(engine, project, endpoint)
    found = dict(
        re.findall(r'data-policy="(\w+)">.*?class="reason">([^<]*)<', admin.get(path).text, re.DOTALL)
    )
    assert found["refusal"] == "It was drawn and judged."
    assert found["faithfulness"] == "It was drawn, and could not be judged: no context was stored with it."
    # The ended one, which comes last, drew nothing: its successor did.
    assert "Another policy for this rubric drew it." in found["relevance"]
    assert f'data-from="{path}#why"' in admin.get(f"/traces/{trace}").text


@pytest.mark.parametrize(
    ("limit", "spent", "hits", "says", "drawn"),
    [
        (None, 0, None, "Nobody has said yet", None),
        (0, 0, NOON, "Today's limit is reached", (0.0, 0.0)),
        (100, 50, None, "lasts until the UTC day ends, at 00:00 UTC", (500.0, 100.0)),
        (100, 50, NOON + timedelta(hours=3, minutes=7), "the limit is hit at 15:07 UTC", (500.0, 100.0)),
        (50, 90, NOON, "What waits is asked from 00:00 UTC on", (900.0, 100.0)),
    ],
)
def test_the_budget_says_how_far_it_goes(
    limit: int | None, spent: int, hits: datetime | None, says: str, drawn: tuple[float, float] | None
) -> None:
    today = Budget(NOON.date(), limit, spent, 10 if limit else 0, 4)
    found = Health(today, hits, 0, 0, 0, (), (), (), NOON)
    assert says in pace(found, NOON, UTC_ZONE) and bar(found) == drawn


def test_a_copy_is_a_rubric_again() -> None:
    for one in (RELEVANCE, LENGTH):
        stored = judges.StoredRubric(one, None, None, "")
        copy = rubric_of(copied(stored))
        assert copy.name == f"my-{one.name}" and len(copy.dimensions) == 1 and copy.options == one.options
