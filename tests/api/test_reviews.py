"""The review queue over HTTP: drawn with known probabilities, blind, one person at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

import launch
from core.pricing.price import PriceBook
from core.request import Content, RequestRecord
from core.store.reviews import draw_reviews
from core.store.session import tenant
from judge.queue import fill_queue
from tests.conftest import Project
from tests.store.judged import TONE, judged, keep_judged, keep_rubric
from tests.store.rows import a_request, store, table

HOUR = timedelta(hours=1)
ALL = {"tone": 3, "brevity": 1}


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - HOUR


@pytest.fixture
def review_key(owner: Engine, project: Project) -> dict[str, str]:
    return reviewer(owner, project)


def reviewer(owner: Engine, project: Project) -> dict[str, str]:
    return {"authorization": f"Bearer {launch.make_key(owner, project.id, 'review')}"}


def answers(
    engine: Engine, project: Project, book: PriceBook, count: int, **fields: Any
) -> list[RequestRecord]:
    """Judged requests with their text, a perfect tone each."""
    made = [a_request(an_hour_ago() + timedelta(seconds=n)) for n in range(count)]
    contents = [
        Content(r.trace_id, r.span_id, r.started_ns, input='"How are you?"', output='"<b>Fine"') for r in made
    ]
    store(engine, project, book, made, contents=contents)
    of = keep_rubric(engine, project)
    rows = [
        judged(project, of, r, {"tone": 0.9137, "brevity": 0.1}, said={"tone": "so very warm"}, **fields)
        for r in made
    ]
    keep_judged(engine, project, rows)
    return made


def post(client: httpx.Client, key: dict[str, str], path: str = "reviews", **body: Any) -> httpx.Response:
    # As escapes, so that half a character can be sent too.
    headers = key | {"content-type": "application/json"}
    return client.post(f"/api/v1/{path}", content=json.dumps(body), headers=headers)


def take(client: httpx.Client, key: dict[str, str]) -> Any:
    answer = client.post("/api/v1/reviews/next", headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()["item"]


def test_a_draw_is_by_stored_probabilities_and_none_is_zero(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    answers(engine, project, book, 200)
    put = post(client, review_key, rubric="tone", now=40, second_share=0.5).json()
    items, rows = table(engine, project, "review"), table(engine, project, "judging")
    assert put == {"pool": 200, "drawn": len(items), "asked": 0}
    chances = [row["label_chance"] for row in rows]
    assert all(0 < chance < 1 for chance in chances)
    assert sum(chances) == pytest.approx(40)
    assert 15 < len(items) < 70
    assert {item["raters"] for item in items} == {1, 2}
    assert {item["purpose"] for item in items} == {"drawn"}


def test_a_second_draw_raises_probabilities_and_keeps_what_was_drawn(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    answers(engine, project, book, 100)
    post(client, review_key, rubric="tone", now=20)
    first = {row["id"]: row for row in table(engine, project, "review")}
    before = {row["id"]: row["label_chance"] for row in table(engine, project, "judging")}
    post(client, review_key, rubric="tone", now=30)
    second = {row["id"]: row for row in table(engine, project, "review")}
    after = {row["id"]: row["label_chance"] for row in table(engine, project, "judging")}
    assert first.items() <= second.items() and len(second) > len(first)
    assert all(after[id] >= before[id] for id in before)
    assert sum(after.values()) == pytest.approx(50)
    # More than there are: all of them.
    post(client, review_key, rubric="tone", now=1000)
    assert len(table(engine, project, "review")) == 100
    assert {row["label_chance"] for row in table(engine, project, "judging")} == {1.0}


def test_the_same_salt_draws_the_same_answers(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    answers(engine, project, book, 60)
    post(client, review_key, rubric="tone", a_day=5)
    drawn = []
    for _ in range(2):
        with tenant(engine, project.id) as connection:
            draw_reviews(connection, project.id, "tone", 20, datetime.now(UTC))
            drawn.append(set(connection.execute(text("SELECT trace_id, place, raters FROM review")).all()))
            connection.rollback()
    assert drawn[0] == drawn[1] != set()


def test_every_day_gets_what_was_planned_once(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    now = datetime.now(UTC)
    keep_rubric(engine, project)
    assert post(client, review_key, rubric="tone", a_day=1000).json()["drawn"] == 0
    assert fill_queue(engine, project.id, None, now) == 0
    made = a_request(an_hour_ago())
    store(
        engine,
        project,
        book,
        [made],
        contents=[Content(made.trace_id, made.span_id, made.started_ns, output='"x"')],
    )
    with tenant(engine, project.id) as connection:
        of = connection.execute(text("SELECT id FROM rubric")).scalar_one()
    keep_judged(engine, project, [judged(project, of, made, {"tone": 1})])
    # There was nothing to draw from at first, so the day is still due.
    assert fill_queue(engine, project.id, None, now) == 1
    assert fill_queue(engine, project.id, None, now) == 0
    plan = client.get("/api/v1/reviews", headers=review_key).json()["plans"]
    assert plan == [
        {"rubric": "tone", "a_day": 1000, "second_share": 0.2, "filled_on": now.date().isoformat()}
    ]


def test_the_item_is_blind_to_the_judge(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10)
    answer = client.post("/api/v1/reviews/next", headers=review_key)
    assert "0.91" not in answer.text and "so very warm" not in answer.text and "chance" not in answer.text
    item = answer.json()["item"]
    assert (item["question"], item["answer"], item["context"]) == ("How are you?", "<b>Fine", None)
    assert [len(one["levels"]) for one in item["dimensions"]] == [3, 2]


def test_two_people_do_not_get_the_same_item_at_once(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    book: PriceBook,
    owner: Engine,
    review_key: dict[str, str],
) -> None:
    answers(engine, project, book, 2)
    post(client, review_key, rubric="tone", now=10, second_share=0)
    other = reviewer(owner, project)
    first, second = take(client, review_key), take(client, other)
    assert first["id"] != second["id"]
    assert take(client, review_key)["id"] == first["id"]
    assert take(client, reviewer(owner, project)) is None
    # A lease that ran out is anybody's.
    with tenant(engine, project.id) as connection:
        connection.execute(text("UPDATE review_turn SET leased_until = now() - interval '1 minute'"))
    assert take(client, reviewer(owner, project)) is not None


def test_a_label_is_stored_once_on_every_dimension_and_the_item_is_done(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    (record,) = answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10, second_share=0)
    item = take(client, review_key)
    saved = post(client, review_key, f"reviews/{item['id']}", levels=ALL, comment=" fine ")
    assert saved.json() == {"outcome": "labelled"}
    labels = {row["name"]: row for row in table(engine, project, "score")}
    assert {name: row["value"] for name, row in labels.items()} == {"tone": 1, "tone.brevity": 0}
    assert {row["source"] for row in labels.values()} == {"label"} and labels["tone"]["comment"] == "fine"
    assert labels["tone"]["span_id"] == record.span_id and labels["tone"]["label"] == "warm"
    assert take(client, review_key) is None
    (progress,) = client.get("/api/v1/reviews", headers=project.reading()).json()["progress"]
    assert (progress["open"], progress["done"], progress["by_you"]) == (0, 1, 0)
    # A changed mind is a new row, and the newest counts.
    post(client, review_key, f"reviews/{item['id']}", levels=ALL | {"tone": 1})
    tones = [row for row in table(engine, project, "score") if row["name"] == "tone"]
    assert len(tones) == 2 and max(tones, key=lambda row: row["recorded_at"])["value"] == 0


def test_two_raters_label_where_two_were_asked_for(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    book: PriceBook,
    owner: Engine,
    review_key: dict[str, str],
) -> None:
    answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10, second_share=1)
    other = reviewer(owner, project)
    item = take(client, review_key)
    assert take(client, other)["id"] == item["id"]
    assert take(client, reviewer(owner, project)) is None
    post(client, review_key, f"reviews/{item['id']}", levels=ALL)
    assert take(client, review_key) is None
    assert table(engine, project, "review")[0]["state"] == "open"
    post(client, other, f"reviews/{item['id']}", levels=ALL)
    assert table(engine, project, "review")[0]["state"] == "done"
    assert len({row["author_key"] for row in table(engine, project, "score")}) == 2
    said = post(client, reviewer(owner, project), f"reviews/{item['id']}", levels=ALL).json()["detail"]
    assert "Others have labelled this item already" in said


def test_what_one_skips_waits_for_others(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    book: PriceBook,
    owner: Engine,
    review_key: dict[str, str],
) -> None:
    answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10, second_share=0)
    item = take(client, review_key)
    assert post(client, review_key, f"reviews/{item['id']}", skip=" ").status_code == 400
    post(client, review_key, f"reviews/{item['id']}", skip="not my language")
    assert take(client, review_key) is None
    assert table(engine, project, "review_turn")[0]["reason"] == "not my language"
    assert take(client, reviewer(owner, project))["id"] == item["id"]


def test_what_was_picked_by_hand_comes_first_and_is_marked(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    made = answers(engine, project, book, 5)
    picked = {"trace_id": made[3].trace_id.upper(), "span_id": made[3].span_id}
    put = post(client, review_key, rubric="tone", requests=[picked], raters=2).json()
    assert put == {"pool": None, "drawn": 0, "asked": 1}
    assert post(client, review_key, rubric="tone", requests=[picked]).json()["asked"] == 0
    (item,) = table(engine, project, "review")
    assert (item["purpose"], item["raters"]) == ("asked", 2)
    post(client, review_key, rubric="tone", now=2)
    assert take(client, review_key)["trace_id"] == made[3].trace_id
    # Drawn later, it stands for others too.
    post(client, review_key, rubric="tone", now=1000)
    assert {row["purpose"] for row in table(engine, project, "review")} == {"drawn"}
    lost = post(client, review_key, rubric="tone", requests=[{"trace_id": "ab" * 16, "span_id": "cd" * 8}])
    assert lost.status_code == 404 and "Nothing was put" in lost.json()["detail"]


def test_more_labels_go_where_the_judge_errs(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    made = [a_request(an_hour_ago() + timedelta(seconds=n)) for n in range(400)]
    contents = [Content(r.trace_id, r.span_id, r.started_ns, output='"x"') for r in made]
    store(engine, project, book, made, contents=contents)
    of = keep_rubric(engine, project, TONE)
    # Where the judge says 0.5 people say 0, else they agree.
    rows = [judged(project, of, r, {"tone": 0.5 if n % 4 == 0 else 1.0}) for n, r in enumerate(made)]
    keep_judged(engine, project, rows)
    post(client, review_key, rubric="tone", now=150, second_share=0)
    with tenant(engine, project.id) as connection:
        connection.execute(
            text("""
            INSERT INTO score (project_id, day, recorded_at, trace_id, span_id, id, name, value, source)
            SELECT r.project_id, current_date, now(), r.trace_id, r.span_id, r.id::text, 'tone',
                   CASE WHEN (j.scores->>'tone')::float = 0.5 THEN 0 ELSE 1 END, 'label'
            FROM review r JOIN judging j USING (trace_id, span_id)
        """)
        )
    before = {row["id"]: row["label_chance"] for row in table(engine, project, "judging")}
    post(client, review_key, rubric="tone", now=60)
    raised: dict[bool, float] = {True: 0, False: 0}
    for row in table(engine, project, "judging"):
        raised[row["scores"]["tone"] == 0.5] += row["label_chance"] - before[row["id"]]
    # A quarter of the answers gets far more than a quarter of the labels, and no answer loses any chance.
    assert raised[True] > 0.5 * 60 and raised[False] >= 0


def test_who_may_label_and_who_may_look(client: httpx.Client, project: Project, owner: Engine) -> None:
    for role, status in (("read", 403), ("finance", 403), ("ingest", 403), ("review", 200), ("admin", 200)):
        key = {"authorization": f"Bearer {launch.make_key(owner, project.id, role)}"}
        assert client.post("/api/v1/reviews/next", headers=key).status_code == status
        assert client.get("/api/v1/reviews", headers=key).status_code == (403 if role == "ingest" else 200)


def test_what_is_not_understood_is_refused(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, review_key: dict[str, str]
) -> None:
    answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10)
    at = f"reviews/{take(client, review_key)['id']}"
    for path, body, said in (
        ("reviews", {"rubric": "tone"}, "Say how many"),
        ("reviews", {"rubric": "nonsense", "now": 1}, "Start a policy with it first"),
        ("reviews", {"rubric": "tone", "now": 1001}, "now"),
        ("reviews", {"rubric": "to\0ne", "now": 1}, "is not a rubric's name"),
        ("reviews", {"rubric": "\ud800", "now": 1}, "rubric"),
        ("reviews", {"rubric": "tone", "requests": [{"trace_id": "x", "span_id": "y"}]}, "requests.0"),
        (at, {}, "Give either levels or skip"),
        (at, {"skip": "\ud800"}, "skip"),
        (at, {"levels": ALL, "comment": "a\0b"}, "character NUL"),
        (at, {"levels": {"tone": 1}}, "brevity has no level"),
        (at, {"levels": ALL | {"tone": 4}}, "tone has levels 1 to 3"),
        (at, {"levels": ALL | {"taste": 1}}, "There is no dimension 'taste'"),
        ("reviews/999999999", {"levels": ALL}, "no such item"),
    ):
        answer = post(client, review_key, path, **body)
        assert answer.status_code in (400, 404) and said in answer.json()["detail"], (body, answer.text)
    assert table(engine, project, "score") == []


def test_another_project_reaches_none_of_it(
    client: httpx.Client,
    project: Project,
    other_project: Project,
    engine: Engine,
    book: PriceBook,
    owner: Engine,
    review_key: dict[str, str],
) -> None:
    answers(engine, project, book, 1)
    post(client, review_key, rubric="tone", now=10)
    item, theirs = take(client, review_key), reviewer(owner, other_project)
    assert take(client, theirs) is None
    assert post(client, theirs, f"reviews/{item['id']}", levels=ALL).status_code == 404
    assert client.get("/api/v1/reviews", headers=theirs).json() == {"plans": [], "progress": []}
