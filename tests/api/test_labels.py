"""Labels out and in, all or none; how far judge and people agree."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

import launch
from core.pricing.price import PriceBook
from core.request import RequestRecord
from tests.conftest import Project
from tests.store.judged import (
    TONE,
    a_label,
    judged,
    keep_drawn,
    keep_judged,
    keep_rubric,
    keep_scores,
)
from tests.store.rows import a_request, store, table


@pytest.fixture
def key(owner: Engine, project: Project) -> dict[str, str]:
    return {"authorization": f"Bearer {launch.make_key(owner, project.id, 'review')}"}


@pytest.fixture
def rubric_id(engine: Engine, project: Project) -> int:
    return keep_rubric(engine, project)


@pytest.fixture
def records(engine: Engine, project: Project, book: PriceBook, rubric_id: int) -> list[RequestRecord]:
    """Four judged requests."""
    at = datetime.now(UTC) - timedelta(hours=1)
    made = [a_request(at + timedelta(seconds=n)) for n in range(4)]
    store(engine, project, book, made)
    rows = [
        judged(project, rubric_id, r, {"tone": 0.5, "brevity": 1}, chance=0.5, label_chance=0.25)
        for r in made
    ]
    keep_judged(engine, project, rows)
    return made


def a_row(record: RequestRecord, **fields: Any) -> dict[str, Any]:
    return {
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "rubric": "tone",
        "dimension": "tone",
        "value": 1,
        "rater": "bea",
        "time": "2026-11-20T09:00:00Z",
        **fields,
    }


def send(client: httpx.Client, key: dict[str, str], *rows: dict[str, Any]) -> httpx.Response:
    return client.post("/api/v1/labels", json={"labels": rows}, headers=key)


def listed(client: httpx.Client, key: dict[str, str], **asked: Any) -> Any:
    answer = client.get("/api/v1/labels", params=asked, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_label_is_given_out_with_all_that_is_known_beside_it(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
    rubric_id: int,
) -> None:
    keep_drawn(engine, project, rubric_id, records[:1])
    keep_scores(engine, project, [a_label(records[0], 1), a_label(records[1], 0, "tone.brevity")])
    first, second = sorted(listed(client, key)["items"], key=lambda item: -item["value"])
    assert first | {"time": None} == {
        "trace_id": records[0].trace_id,
        "span_id": records[0].span_id,
        "rubric": "tone",
        "version": TONE.version,
        "dimension": "tone",
        "value": 1.0,
        "level": None,
        "rater": "ann",
        "time": None,
        "comment": None,
        "drawn": True,
        "judge": 0.5,
        "judge_chance": 0.5,
        "label_chance": 0.25,
    }
    assert (second["dimension"], second["judge"], second["drawn"]) == ("brevity", 1, False)


def test_what_another_is_still_to_label_is_given_out_without_the_judge(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
    rubric_id: int,
) -> None:
    keep_drawn(engine, project, rubric_id, records[:1], state="open")
    keep_scores(engine, project, [a_label(records[0], 1)])
    (item,) = listed(client, key)["items"]
    assert item["judge"] is None and item["value"] == 1


def test_pages_hold_every_label_once(
    client: httpx.Client, project: Project, engine: Engine, key: dict[str, str], records: list[RequestRecord]
) -> None:
    keep_scores(engine, project, [a_label(r, 1, author=who) for r in records for who in ("ann", "bea")])
    found, cursor = [], None
    while True:
        page = listed(client, key, limit=3, **({"cursor": cursor} if cursor else {}))
        found += [(item["span_id"], item["rater"]) for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert len(found) == len(set(found)) == 8


def test_a_file_comes_back_as_it_went_and_changes_nothing(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
) -> None:
    send(client, key, a_row(records[0], rater="=2+2", comment="-fine", value=0.5), a_row(records[1]))
    saved = client.get("/api/v1/labels?format=csv", headers=key)
    assert saved.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(saved.text)))
    assert {line["rater"] for line in lines} == {"'=2+2", "bea"}
    again = client.post("/api/v1/labels", content=saved.content, headers=key | {"content-type": "text/csv"})
    assert again.json() == {"stored": 0, "known": 2}, again.text
    assert next(one for one in listed(client, key)["items"] if one["rater"] == "=2+2")["comment"] == "-fine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": 4}, "Row 2: value='4' is no number from 0"),
        ({"value": None}, "Row 2: value='None'"),
        ({"value": True}, "Row 2: value='True'"),
        ({"rubric": "taste"}, "Row 2: this project has no rubric 'taste'"),
        ({"version": "0" * 16}, "Row 2: this project has no version '0000000000000000' of rubric 'tone'"),
        ({"dimension": ""}, "Row 2: dimension='' is none of tone, brevity"),
        ({"span_id": "x"}, "Row 2: trace_id is 32 hex digits"),
        ({"trace_id": "ab" * 16}, "Row 2: this project has no request"),
        ({"time": "soon"}, "Row 2: time='soon' is not a time"),
        ({"time": "2001-01-01"}, "Row 2: time="),
        ({"who": "bea"}, "Row 2: there is no column 'who'"),
        ({"rater": 7}, "Row 2: rater is a text"),
        ({"comment": "x" * 2001}, "Row 2: comment is longer"),
    ],
)
def test_one_bad_row_is_named_and_none_is_stored(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
    change: dict[str, Any],
    said: str,
) -> None:
    answer = send(client, key, a_row(records[0]), a_row(records[1]) | change)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"] and "None of these labels was stored" in answer.json()["detail"]
    assert table(engine, project, "score") == []


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{", "application/json", "no JSON"),
        (b"[]", "application/json", 'Send {"labels"'),
        (b'{"labels": [1]}', "application/json", 'Send {"labels"'),
        (b'{"labels": []}', "application/json", "no label in this body"),
        (b"\xff", "text/csv", "not UTF-8"),
        (b"value,value\n1,1", "text/csv", "each once"),
        (b"value,rubric\n1", "text/csv", "Row 1: it has 1 cells"),
        (b'value\n"1', "text/csv", "no CSV"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: httpx.Client, key: dict[str, str], body: bytes, kind: str, said: str
) -> None:
    answer = client.post("/api/v1/labels", content=body, headers=key | {"content-type": kind})
    assert answer.status_code == 400 and said in answer.json()["detail"]


def test_what_comes_from_elsewhere_answers_the_queue(
    client: httpx.Client,
    project: Project,
    engine: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
    rubric_id: int,
) -> None:
    keep_drawn(engine, project, rubric_id, records[:2], state="open")
    send(
        client,
        key,
        a_row(records[0]),
        a_row(records[0], dimension="brevity", value=0),
        a_row(records[1]),
    )
    # The second lacks a dimension, so it still waits.
    states = {row["trace_id"]: row["state"] for row in table(engine, project, "review")}
    assert states == {records[0].trace_id: "done", records[1].trace_id: "open"}
    (turn,) = table(engine, project, "review_turn")
    assert (turn["rater"], turn["outcome"]) == ("bea", "labelled")


def rate(
    engine: Engine,
    project: Project,
    book: PriceBook,
    rubric_id: int,
    triples: list[tuple[float, float, float | None]],
) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    made = [a_request(at + timedelta(seconds=n)) for n in range(len(triples))]
    store(engine, project, book, made)
    keep_judged(
        engine,
        project,
        [judged(project, rubric_id, r, {"tone": j}) for r, (j, _, _) in zip(made, triples, strict=True)],
    )
    keep_drawn(engine, project, rubric_id, made)
    keep_scores(engine, project, [a_label(r, h) for r, (_, h, _) in zip(made, triples, strict=True)])
    second = [
        a_label(r, s, author="bea") for r, (_, _, s) in zip(made, triples, strict=True) if s is not None
    ]
    keep_scores(engine, project, second)


def test_agreement_by_hand_beside_what_people_reach(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    # The judge: 15 of 20 pairs alike and half of the marks high on either side: 1 − 5/20 / 0.5 = 0.5. People: alike.
    triples: list[tuple[float, float, float | None]] = (
        [(1.0, 1.0, 1.0)] * 8 + [(0.0, 0.0, 0.0)] * 7 + [(1.0, 0.0, 0.0)] * 2 + [(0.0, 1.0, 1.0)] * 3
    )
    rate(engine, project, book, rubric_id, triples)
    answer = client.get("/api/v1/agreement", headers=project.reading()).json()
    (row,) = answer["rows"]
    judge = 1 - (5 / 20) / (0.25 + 11 / 20 * 9 / 20 + (10 / 20 - 11 / 20) ** 2)
    assert row["judge_kappa"]["value"] == pytest.approx(judge)
    assert row["judge_kappa"]["low"] < judge < row["judge_kappa"]["high"]
    assert row["people_kappa"]["value"] == row["people_icc"]["value"] == 1
    assert (row["labelled"], row["twice"], row["judge_icc"]["items"]) == (20, 20, 20)
    assert client.get("/api/v1/agreement", headers=project.reading()).json() == answer


def test_too_few_labels_are_no_agreement_but_a_reason(
    client: httpx.Client, project: Project, engine: Engine, book: PriceBook, rubric_id: int
) -> None:
    rate(engine, project, book, rubric_id, [(1, 1, None)] * 5)
    (row,) = client.get("/api/v1/agreement", headers=project.reading()).json()["rows"]
    assert row["judge_kappa"]["value"] is None and "20 are needed" in row["judge_kappa"]["reason"]
    assert row["people_kappa"]["items"] == 0


def test_what_was_not_drawn_counts_only_where_asked_for(
    client: httpx.Client, project: Project, engine: Engine, records: list[RequestRecord]
) -> None:
    keep_scores(engine, project, [a_label(records[0], 1)])
    assert client.get("/api/v1/agreement", headers=project.reading()).json()["rows"] == []
    (row,) = client.get("/api/v1/agreement?asked=true", headers=project.reading()).json()["rows"]
    assert row["labelled"] == 1


def test_who_may_and_whose_they_are(
    client: httpx.Client,
    project: Project,
    other_project: Project,
    owner: Engine,
    key: dict[str, str],
    records: list[RequestRecord],
) -> None:
    assert send(client, key, a_row(records[0])).status_code == 200
    assert send(client, project.reading(), a_row(records[0])).status_code == 403
    assert client.get("/api/v1/labels", headers=project.reading()).status_code == 403
    assert client.get("/api/v1/agreement", headers=project.reading()).status_code == 200
    theirs = {"authorization": f"Bearer {launch.make_key(owner, other_project.id, 'review')}"}
    assert listed(client, theirs)["items"] == []
    assert "no rubric 'tone'" in send(client, theirs, a_row(records[0])).json()["detail"]
    for path in ("labels?x=1", "labels?cursor=x", "agreement?x=1", "labels?format=xml", "labels?limit=0"):
        assert client.get(f"/api/v1/{path}", headers=key).status_code == 400
