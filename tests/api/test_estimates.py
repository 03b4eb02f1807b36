"""Estimates over HTTP: weights by hand, corrections by labels that were drawn, refusals with their reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.request import RequestRecord
from core.usage import Usage
from tests.conftest import Project
from tests.store.judged import (
    a_label,
    judged,
    keep_drawn,
    keep_judged,
    keep_rubric,
    keep_scores,
)
from tests.store.rows import NOON, a_request, a_score, store

YESTERDAY = NOON - timedelta(days=1)


def ask(client: httpx.Client, project: Project, **asked: Any) -> Any:
    answer = client.get("/api/v1/estimates", params=asked, headers=project.reading())
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def rubric_id(engine: Engine, project: Project) -> int:
    return keep_rubric(engine, project)


def some(engine: Engine, project: Project, book: PriceBook, count: int, **fields: Any) -> list[RequestRecord]:
    made = [a_request(YESTERDAY + timedelta(seconds=n), **fields) for n in range(count)]
    store(engine, project, book, made)
    return made


def test_a_request_counts_with_what_it_stands_for(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    first, second, third, _ = some(engine, project, book, 4)
    keep_judged(
        engine,
        project,
        [
            judged(project, rubric_id, first, {"tone": 1, "brevity": 1}, chance=0.25),
            judged(project, rubric_id, second, {"tone": 0.5, "brevity": 1}),
            judged(project, rubric_id, third, {"tone": 0, "brevity": 1}, chance=0.5),
        ],
    )
    answer = ask(client, project)
    by_name = {row["name"]: row for row in answer["total"]}
    tone = by_name["tone"]
    # Weights 4, 1 and 2: (4 × 1 + 1 × 0.5 + 2 × 0) / 7.
    assert tone["judge"]["mean"] == pytest.approx(4.5 / 7)
    assert tone["judge"]["low"] < 4.5 / 7 < tone["judge"]["high"]
    assert (tone["judged"], tone["requests"], tone["coverage"], tone["sessions"]) == (3, 4, 0.75, 3)
    assert [row["judge"] for row in answer["rows"]] == [one["judge"] for one in answer["total"]]
    brevity = by_name["tone.brevity"]
    assert brevity["judge"]["mean"] == 1 and brevity["judge"]["low"] is None
    assert "All 3 scores are the same" in brevity["judge"]["reason"]


def test_repeats_are_averaged_and_the_strong_judge_has_the_last_word(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    first, second = some(engine, project, book, 2)
    keep_judged(
        engine,
        project,
        [
            *(judged(project, rubric_id, first, {"tone": v}, repeat=n) for n, v in enumerate((0, 0.5, 1))),
            judged(project, rubric_id, second, {"tone": 0}, chance=0.5),
            judged(project, rubric_id, second, {"tone": 1}, purpose="escalated", occasion="escalated"),
            judged(project, rubric_id, first, {"tone": 1}, purpose="audit", occasion="audit"),
            judged(project, rubric_id, first, {"tone": 1}, purpose="trial", occasion="trial"),
            judged(project, rubric_id, first, {"tone": 1}, state="failed", occasion="x"),
        ],
    )
    (tone,) = ask(client, project)["total"]
    # 0.5 with weight 1, and the strong judge's 1 with the weight 2 of the sample's row.
    assert tone["judge"]["mean"] == pytest.approx(2.5 / 3)
    assert (tone["judged"], tone["escalated"]) == (2, 1)


def drawn(
    engine: Engine, project: Project, book: PriceBook, rubric_id: int, count: int = 60
) -> list[RequestRecord]:
    """The labelled ones of many: every second is judged for certain, 0.8, and labelled with a chance of 0.5 (14 of 30
    were); the others are judged with a chance of 0.5, 0.4, and all labelled. People give 0.2 less, some 0.1 less."""
    made = some(engine, project, book, count)
    rows, labels, found = [], [], []
    for at, record in enumerate(made):
        value = 0.8 if at % 2 == 0 else 0.4
        fields = (
            {"chance": 1.0, "label_chance": 0.5} if value == 0.8 else {"chance": 0.5, "label_chance": 1.0}
        )
        rows.append(judged(project, rubric_id, record, {"tone": value}, **fields))
        if (at % 4 == 0 and at != count - 4) or value == 0.4:
            labels.append(a_label(record, value - (0.1 if at % 8 < 2 else 0.2)))
            found.append(record)
    keep_judged(engine, project, rows)
    keep_scores(engine, project, labels)
    return found


def test_labels_correct_the_judge_with_their_own_weights(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    keep_drawn(engine, project, rubric_id, drawn(engine, project, book, rubric_id))
    (tone,) = ask(client, project, name="tone")["total"]
    # Judge: weights 1 and 2. (30 × 0.8 + 60 × 0.4) / 90.
    assert tone["judge"]["mean"] == pytest.approx(48 / 90)
    corrected = tone["corrected"]
    # Labels: 1 / (1 × 0.5) = 1 / (0.5 × 1) = 2 each. 14 of a mean of 0.65 and 30 of 0.2 + 0.1 × 8 / 30, beside scores
    # of the judge of (14 × 0.8 + 30 × 0.4) / 44.
    people, judge = (14 * 0.65 + 30 * (0.2 + 0.8 / 30)) / 44, (14 * 0.8 + 30 * 0.4) / 44
    assert corrected["mean"] == pytest.approx(people + corrected["gain"] * (48 / 90 - judge))
    assert 0.5 < corrected["gain"] < 1.5
    assert corrected["method"] == "ppi++" and corrected["labels"] == 44
    assert corrected["low"] < corrected["mean"] < corrected["high"] < tone["judge"]["low"]


def test_labels_that_nobody_drew_change_no_mean(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    made = drawn(engine, project, book, rubric_id)
    keep_drawn(engine, project, rubric_id, made[:31])
    keep_drawn(engine, project, rubric_id, made[31:], purpose="asked")
    (tone,) = ask(client, project)["total"]
    assert (tone["corrected"]["labels"], tone["open_to_labels"]) == (31, 60)


def test_too_few_labels_are_no_number_but_a_reason(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    made = drawn(engine, project, book, rubric_id)
    (tone,) = ask(client, project)["total"]
    assert tone["corrected"]["mean"] is None and tone["corrected"]["reason"].startswith("0 labels")
    keep_drawn(engine, project, rubric_id, made[:29])
    (tone,) = ask(client, project)["total"]
    assert tone["corrected"]["mean"] is None and tone["corrected"]["low"] is None
    assert tone["corrected"]["reason"] == "29 labels: a corrected mean needs 30 at least."
    assert ask(client, project, corrected="false")["total"][0]["corrected"] is None


def test_from_a_hundred_labels_on_the_correction_is_cross_fitted_and_always_the_same(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    keep_drawn(engine, project, rubric_id, drawn(engine, project, book, rubric_id, 160))
    (tone,) = ask(client, project)["total"]
    assert tone["corrected"]["method"] == "cross-fitted"
    assert ask(client, project)["total"] == [tone]
    assert [row["corrected"]["mean"] for row in ask(client, project, group_by="feature")["rows"]] == [
        tone["corrected"]["mean"]
    ]


def test_what_was_never_up_for_labels_is_not_corrected(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    made = some(engine, project, book, 3)
    keep_judged(engine, project, [judged(project, rubric_id, r, {"tone": n / 2}) for n, r in enumerate(made)])
    (tone,) = ask(client, project)["total"]
    assert tone["open_to_labels"] == 0 and "Begin under Review queue" in tone["corrected"]["reason"]


def test_raters_are_averaged_and_a_changed_mind_replaces_the_old_one(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    made = drawn(engine, project, book, rubric_id)
    keep_drawn(engine, project, rubric_id, made)
    before = ask(client, project)["total"][0]["corrected"]["mean"]
    keep_scores(engine, project, [a_label(record, 1, author="bea") for record in made])
    (tone,) = ask(client, project)["total"]
    assert tone["corrected"]["labels"] == 44
    assert tone["corrected"]["mean"] > before + 0.2


def test_groups_intervals_filters_and_the_common_length(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    # Within a tier a longer answer scores higher; premium's are longer, and no better at the same length.
    rows, made = [], []
    for tier, lengths in (("premium", range(30, 60)), ("lightweight", range(10, 40))):
        for length in lengths:
            usage = Usage(uncached_input=100, visible_output=length, reading="inclusive", raw={"input": 100})
            record = a_request(YESTERDAY + timedelta(seconds=length), tier=tier, usage=usage)
            made.append(record)
            rows.append(judged(project, rubric_id, record, {"tone": length / 60}))
    store(engine, project, book, made)
    keep_judged(engine, project, rows)
    answer = ask(client, project, group_by="tier", interval="day")
    assert [row["tier"] for row in answer["rows"]] == ["lightweight", "premium"]
    low, high = answer["rows"]
    assert high["judge"]["mean"] - low["judge"]["mean"] == pytest.approx(20 / 60)
    assert abs(high["at_length"]["mean"] - low["at_length"]["mean"]) < 0.12
    assert low["start"].startswith(YESTERDAY.date().isoformat())
    (only,) = ask(client, project, group_by="tier", tier="premium")["rows"]
    assert only["judged"] == 30 and "in another one" in only["at_length"]["reason"]
    assert ask(client, project, to=YESTERDAY.date().isoformat())["total"] == []


def test_scores_that_were_sent_and_those_that_were_asked_for_are_never_mixed(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    first, second = some(engine, project, book, 2)
    keep_judged(engine, project, [judged(project, rubric_id, first, {"tone": 1})])
    keep_scores(engine, project, [a_label(first, 1), a_score(second, "tone", 0.5)])
    quality = client.get("/api/v1/quality", headers=project.reading()).json()
    assert [(one["name"], one["scored"], one["sources"]) for one in quality["total"]] == [
        ("tone", 1, {"api": 1})
    ]
    (tone,) = ask(client, project)["total"]
    assert tone["judged"] == 1 and tone["judge"]["mean"] is None


def test_the_judges_own_calls_are_no_requests_of_the_slice(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    first, second = some(engine, project, book, 2)
    store(engine, project, book, [a_request(YESTERDAY, source="tripoint.judge", feature="judge")])
    keep_judged(
        engine, project, [judged(project, rubric_id, r, {"tone": n}) for n, r in enumerate((first, second))]
    )
    (tone,) = ask(client, project)["total"]
    assert (tone["judged"], tone["requests"], tone["coverage"]) == (2, 2, 1)


def test_another_project_sees_none_of_it(
    client: httpx.Client,
    project: Project,
    other_project: Project,
    engine: Engine,
    book: PriceBook,
    rubric_id: int,
) -> None:
    keep_judged(
        engine,
        project,
        [judged(project, rubric_id, one, {"tone": 1}) for one in some(engine, project, book, 2)],
    )
    assert ask(client, other_project)["total"] == []


def test_what_is_not_understood_is_refused(
    client: httpx.Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("estimates?nam=x", "estimates?name=", "estimates?corrected=maybe", "estimates?limit=0"):
        assert client.get(f"/api/v1/{path}", headers=project.reading()).status_code == 400
    assert client.get("/api/v1/estimates").status_code == 401
    assert (
        client.get("/api/v1/estimates", headers={"authorization": f"Bearer {project.ingest}"}).status_code
        == 403
    )
