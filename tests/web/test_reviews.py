"""The review queue's pages: blind, escaped, by keyboard, by a plain form, for whom it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page
from sqlalchemy import Engine, text

from core.judging.rubric import Dimension, Level, Rubric
from core.pricing.price import PriceBook
from core.request import Content
from core.store.reviews import draw_reviews, set_plan
from core.store.session import tenant
from tests.conftest import Project, Server
from tests.store.judged import TONE, judged, keep_judged, keep_rubric
from tests.store.rows import a_request, store, table
from tests.web.conftest import HOSTILE, Opener
from tests.web.judged import answers, judge_them
from tests.web.people import person, post, reader
from tests.web.test_browser_pages import findings, opened

LONG = "A long answer. " * 400


def drawn(
    engine: Engine,
    project: Project,
    book: PriceBook,
    count: int,
    answer: str = "<b>Fine</b>",
    of: Rubric = TONE,
    twice: float = 0.0,
) -> None:
    """Judged answers, all of them drawn for people."""
    now = datetime.now(UTC)
    made = [a_request(now - timedelta(hours=1, seconds=n)) for n in range(count)]
    contents = [
        Content(r.trace_id, r.span_id, r.started_ns, input='"How <i>are</i> you?"', output=json.dumps(answer))
        for r in made
    ]
    store(engine, project, book, made, contents=contents)
    number = keep_rubric(engine, project, of)
    scores = {one.name: 0.7391 for one in of.dimensions}
    said = {one.name: "a judge's very own words" for one in of.dimensions}
    keep_judged(engine, project, [judged(project, number, r, scores, said=said) for r in made])
    with tenant(engine, project.id) as connection:
        set_plan(connection, project.id, of.name, 0, twice, "salt", "test", now)
        draw_reviews(connection, project.id, of.name, 1000, now)


@pytest.fixture
def reviewer(server: Server, engine: Engine, project: Project) -> Iterator[httpx.Client]:
    """Somebody with the role review, signed in."""
    with reader(server, person(engine, project, "review")) as client:
        yield client


def page(client: httpx.Client, path: str = "/reviews") -> str:
    return " ".join(client.get(path, headers={"accept": "text/html"}).text.split())


def item_of(shown: str) -> str:
    found = re.search(r'action="/reviews/(\d+)"', shown)
    assert found, shown
    return found[1]


def test_an_item_shows_what_was_asked_and_answered_and_nothing_of_the_judge(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    shown = page(reviewer)
    assert "How &lt;i&gt;are&lt;/i&gt; you?" in shown and "&lt;b&gt;Fine&lt;/b&gt;" in shown
    assert "Is it polite?" in shown and shown.count('type="radio"') == 5
    assert "0.73" not in shown and "very own words" not in shown and "label_chance" not in shown


def test_a_long_text_folds_and_stays_whole(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1, LONG)
    shown = reviewer.get("/reviews").text
    assert "4,200 more characters" in shown
    read = re.sub(r"<details.*?</summary>", "", shown[shown.index('id="t2"') :], flags=re.DOTALL)
    assert re.sub(r"<[^>]+>", "", read).count("A long answer.") >= 399


def test_the_plain_form_saves_goes_on_and_lets_a_mind_be_changed(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 2)
    first = item_of(page(reviewer))
    answer = post(
        reviewer,
        f"/reviews/{first}",
        "/reviews",
        **{"level.tone": "2", "level.brevity": "1", "comment": "so so", "action": "save"},
    )
    assert answer.status_code == 303 and answer.headers["location"] == "/reviews"
    shown = page(reviewer)
    assert "Saved." in shown and f'href="/reviews?item={first}"' in shown and item_of(shown) != first
    values = {row["name"]: (row["value"], row["comment"]) for row in table(engine, project, "score")}
    assert values == {"tone": (0.5, "so so"), "tone.brevity": (0.0, "so so")}
    again = page(reviewer, f"/reviews?item={first}")
    assert item_of(again) == first
    post(reviewer, f"/reviews/{first}", "/reviews", **{"level.tone": "3", "level.brevity": "1"})
    assert [row["value"] for row in table(engine, project, "score") if row["name"] == "tone"].count(1.0) == 1


def test_what_is_missing_is_said_and_nothing_is_saved(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    at = f"/reviews/{item_of(page(reviewer))}"
    for fields, said in (
        ({"level.tone": "2"}, "brevity has no level"),
        ({"level.tone": "9", "level.brevity": "1"}, "tone has levels 1 to 3"),
        ({"level.tone": "x", "level.brevity": "1"}, "A level is the number"),
        ({"action": "skip", "reason": " "}, "Say why you skip this one"),
        ({"action": "skip", "reason": "x" * 501}, "longer than 500"),
    ):
        post(reviewer, at, "/reviews", **fields)
        assert said in page(reviewer), fields
    assert table(engine, project, "score") == []


def test_a_skip_is_for_a_reason_and_the_item_waits_for_others(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    at = f"/reviews/{item_of(page(reviewer))}"
    post(reviewer, at, "/reviews", action="skip", reason="Not a language that I read")
    shown = page(reviewer)
    assert "Skipped. It waits for others." in shown and "Nothing waits for you" in shown
    assert "1 open, 0 done; 0 wait for you, 0 labelled and 1 skipped by you" in shown


def test_one_chooses_how_many_now_and_a_day(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    post(reviewer, "/reviews/plan", "/reviews", rubric="tone", now="5", a_day="7", twice="50")
    assert "0 new answers wait in the queue, drawn from 1 that were judged" in page(reviewer)
    (plan,) = table(engine, project, "review_plan")
    assert (plan["a_day"], plan["second_share"], plan["salt"]) == (7, 0.5, "salt")
    for fields, said in (
        ({"rubric": "tone", "now": "many"}, "How many now is a whole number"),
        ({"rubric": "tone", "twice": "101"}, "whole number up to 100"),
        ({"rubric": "taste", "a_day": "1"}, "Nothing was judged by a rubric"),
    ):
        post(reviewer, "/reviews/plan", "/reviews", **fields)
        assert said in page(reviewer), fields
    entries = [row["action"] for row in table(engine, project, "audit")]
    assert entries.count("review.plan") == 2


def test_a_form_of_another_site_or_session_does_nothing(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    at = f"/reviews/{item_of(page(reviewer))}"
    fields = {"level.tone": "2", "level.brevity": "1"}
    assert reviewer.post(at, data=fields).status_code == 403
    assert reviewer.post(at, data=fields | {"form_token": "0" * 64}).status_code == 403
    assert reviewer.post("/reviews/plan", data={"rubric": "tone", "a_day": "9"}).status_code == 403
    assert table(engine, project, "score") == []


def test_who_only_reads_sees_the_agreement_and_takes_no_item(
    server: Server, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    with reader(server, person(engine, project, "read")) as client:
        shown = page(client)
        assert (
            "Labelling takes another role" in shown and "radio" not in shown and "/reviews/plan" not in shown
        )
        assert table(engine, project, "review_turn") == []
        number = table(engine, project, "review")[0]["id"]
        post(client, f"/reviews/{number}", **{"level.tone": "2", "level.brevity": "1"})
        assert "Labelling takes the role review or admin" in page(client)
        assert client.get("/reviews/agreement").status_code == 200
        assert client.get("/reviews/labels.csv").status_code == 403
    assert table(engine, project, "score") == []


def test_two_people_hold_two_items(
    server: Server, engine: Engine, project: Project, book: PriceBook, reviewer: httpx.Client
) -> None:
    drawn(engine, project, book, 2)
    with reader(server, person(engine, project, "review")) as other:
        assert item_of(page(reviewer)) != item_of(page(other))
        # What another holds cannot be opened by its number either.
        asked = {"item": item_of(page(reviewer))}
        assert other.get("/reviews", params=asked, headers={"accept": "text/html"}).status_code == 404


def test_the_agreement_is_the_apis(
    reviewer: httpx.Client, client: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    assert "Nobody labelled a drawn answer yet" in page(reviewer, "/reviews/agreement")
    judge_them(engine, project, answers(engine, project, book, datetime.now(UTC), 260), 0.6)
    (row,) = client.get("/api/v1/agreement", headers=project.reading()).json()["rows"]
    shown = page(reviewer, "/reviews/agreement")
    for of in ("judge_kappa", "judge_icc", "people_kappa", "people_icc"):
        assert f">{row[of]['value']:.2f}</td>" in shown
        assert f"{row[of]['low']:.2f} to {row[of]['high']:.2f}" in shown
    saved = reviewer.get("/reviews/labels.csv").text.splitlines()
    assert saved[0].startswith("trace_id,span_id,rubric") and len(saved) == 1 + row["labelled"] + row["twice"]


def test_empty_pages_say_how_to_begin(
    reviewer: httpx.Client, engine: Engine, project: Project, book: PriceBook
) -> None:
    assert "Nothing was judged yet" in page(reviewer)
    judge_them(engine, project, answers(engine, project, book, datetime.now(UTC), 20), 0.0001)
    with tenant(engine, project.id) as connection:
        connection.execute(text("UPDATE judging SET label_chance = NULL"))
    shown = page(reviewer)
    assert "Nothing was drawn yet" in shown and ">Begin<" in shown
    post(reviewer, "/reviews/plan", "/reviews", rubric="faithfulness", now="100")
    assert "new answers wait in the queue, drawn from" in page(reviewer)


@pytest.mark.browser
def test_an_answer_is_labelled_by_keyboard_alone(
    look: Opener, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 3)
    shown = look(project).open("/reviews")
    first = _action(shown)
    keys = shown.locator("#keys")
    shown.keyboard.press("?")
    assert keys.get_attribute("open") is not None
    shown.keyboard.press("?")
    assert keys.get_attribute("open") is None
    shown.keyboard.press("Enter")
    # Nothing is chosen yet, so nothing is sent: the first question has the focus.
    assert shown.evaluate("document.activeElement.name") == "level.tone"
    shown.keyboard.press("3")
    assert shown.locator("fieldset.now").get_attribute("data-dimension") == "brevity"
    shown.keyboard.press("7")
    shown.keyboard.press("1")
    with shown.expect_navigation():
        shown.keyboard.press("Enter")
    assert shown.locator(".done").inner_text().startswith("Saved.")
    assert {row["name"]: row["value"] for row in table(engine, project, "score")} == {
        "tone": 1.0,
        "tone.brevity": 0.0,
    }
    second = _action(shown)
    assert second != first
    shown.keyboard.press("s")
    shown.keyboard.type("s1 is no key here")
    with shown.expect_navigation():
        shown.keyboard.press("Enter")
    assert _action(shown) not in (first, second)
    turns = {row["outcome"]: row["reason"] for row in table(engine, project, "review_turn")}
    assert turns["skipped"] == "s1 is no key here"


def _action(shown: Page) -> str:
    return shown.locator(".label-form").get_attribute("action") or ""


@pytest.mark.browser
def test_without_scripts_the_form_does_the_same(
    look: Opener, engine: Engine, project: Project, book: PriceBook
) -> None:
    drawn(engine, project, book, 1)
    shown = look(project, java_script_enabled=False).open("/reviews")
    shown.get_by_label("warm").check()
    shown.get_by_label("short").check()
    shown.get_by_role("button", name="Save and go on").click()
    assert "Nothing waits for you" in shown.content()
    assert len(table(engine, project, "score")) == 2


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out_at_360_pixels(
    look: Opener, engine: Engine, project: Project, book: PriceBook, scheme: str
) -> None:
    window = look(project, 360, color_scheme=scheme)
    for path in ("/quality", "/reviews", "/reviews/agreement"):
        assert findings(opened(window, path)) == [] and window.fits(), path
    hostile = Rubric(
        "tone",
        HOSTILE[6],
        (
            Dimension(
                "tone",
                HOSTILE[0] + HOSTILE[6],
                tuple(Level(at / 6, words) for at, words in enumerate(HOSTILE)),
            ),
        ),
        instructions=HOSTILE[2],
    )
    judge_them(engine, project, answers(engine, project, book, datetime.now(UTC), 120), 0.5)
    drawn(engine, project, book, 30, "\n".join([*HOSTILE, LONG]), hostile)
    for path in (
        "/quality?last=all",
        "/quality?last=all&mean=raw&score=faithfulness",
        "/reviews?rubric=tone",
        "/reviews/agreement",
    ):
        assert findings(opened(window, path)) == [] and window.fits(), path
