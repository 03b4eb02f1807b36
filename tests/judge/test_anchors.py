"""Anchors are frozen with their text, judged once each time, and tell a change of the judge from one of the system."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from sqlalchemy import Engine, text

from core.pricing.price import PriceBook
from core.request import Content
from core.store import alerts, anchors
from core.store.session import tenant
from judge.anchors import schedule_all, watch_project
from judge.drift import check_project
from tests.conftest import Project
from tests.judge.drifting import BEGUN, RUBRIC, Desk, a_desk, levels
from tests.store.rows import NOON, a_request, a_score, store

SIZE = 40


@pytest.fixture
def desk(engine: Engine, project: Project, book: PriceBook) -> Desk:
    """A project with forty labelled answers, and three that cannot be anchors."""
    desk = a_desk(engine, project, book)
    records = [a_request(BEGUN + timedelta(seconds=at)) for at in range(SIZE + 2)]
    contents = [
        Content(
            one.trace_id,
            one.span_id,
            one.started_ns,
            orjson.dumps([{"role": "user", "content": f"Question {at}"}]).decode(),
            orjson.dumps([{"role": "assistant", "content": f"Answer {at}"}]).decode() if at < SIZE else None,
        )
        for at, one in enumerate(records[: SIZE + 1])
    ]
    scores = [a_score(one, "answer.helpful", 0.5, source="api", author="ann") for one in records]
    scores += [a_score(records[0], "answer.helpful", 1.0, source="api", author="bob")]
    store(engine, project, book, records, contents=contents, scores=scores)
    return desk


@pytest.fixture
def labelled(desk: Desk, owner: Engine) -> Desk:
    """The same, its scores given by people: only their own pages may write such, so the owner does it here."""
    with owner.begin() as connection:
        connection.execute(
            text("UPDATE score SET source = 'label' WHERE project_id = :id"), {"id": desk.project.id}
        )
    return desk


def freeze(client: httpx.Client, desk: Desk, **fields: Any) -> httpx.Response:
    given = {"name": "first", "rubric": "answer", **fields}
    return client.post("/api/v1/anchors", json=given, headers=desk.project.ruling())


def answer(desk: Desk, day: int, shift: float = 0.0, seed: int = 0) -> None:
    """The judge scores what is owed: the same answers alike, less or more by the shift."""
    truth = np.random.default_rng(99).uniform(0.4, 0.9, SIZE)
    noise = np.random.default_rng(1000 + day + seed).normal(0, 0.05, SIZE)
    at = NOON + timedelta(days=day)
    schedule(desk, day)
    with tenant(desk.engine, desk.project.id) as connection:
        owed = connection.execute(
            text(
                "SELECT id, trace_id FROM judging WHERE purpose = 'anchor' AND state = 'waiting' ORDER BY turn"
            )
        ).all()
        places = {
            row.trace_id: row.place
            for row in connection.execute(text("SELECT trace_id, place FROM anchor_item"))
        }
        connection.execute(
            text(
                "UPDATE judging SET state = 'scored', scores = CAST(:scores AS jsonb), done_at = :at WHERE id = :id"
            ),
            [
                {
                    "id": row.id,
                    "at": at,
                    "scores": orjson.dumps(
                        {
                            "helpful": float(
                                np.clip(
                                    truth[places[row.trace_id]] + shift + noise[places[row.trace_id]], 0, 1
                                )
                            )
                        }
                    ).decode(),
                }
                for row in owed
            ],
        )


def schedule(desk: Desk, day: int) -> int:
    with tenant(desk.engine, desk.project.id) as connection:
        return anchors.schedule(connection, NOON + timedelta(days=day))


def test_a_set_is_frozen_from_labels_with_its_text(client: httpx.Client, labelled: Desk) -> None:
    made = freeze(client, labelled).raise_for_status().json()
    assert (made["size"], made["rubric_version"], made["every"]) == (SIZE, RUBRIC.version, "day")
    items = client.get(f"/api/v1/anchors/{made['id']}", headers=labelled.project.reading()).json()["items"]
    assert len(items) == SIZE and {one["labels"]["helpful"] for one in items} == {0.5, 0.75}
    with tenant(labelled.engine, labelled.project.id) as connection:
        materials = [row.material for row in connection.execute(text("SELECT material FROM anchor_item"))]
    assert {one["question"] for one in materials} == {f"Question {at}" for at in range(SIZE)}
    assert {one["answer"] for one in materials} == {f"Answer {at}" for at in range(SIZE)}


def test_what_cannot_be_frozen_is_told_why(client: httpx.Client, desk: Desk) -> None:
    assert "Only 0 labelled answers" in freeze(client, desk).json()["detail"]
    assert freeze(client, desk, rubric="unknown").status_code == 404
    assert freeze(client, desk, size=29).status_code == 400
    refused = client.post(
        "/api/v1/anchors", json={"name": "x", "rubric": "answer"}, headers=desk.project.reading()
    )
    assert refused.status_code == 403


def test_each_anchor_is_owed_once_a_day_whoever_asks_and_however_often(
    client: httpx.Client, labelled: Desk, other_project: Project
) -> None:
    made = freeze(client, labelled).json()
    assert schedule_all(labelled.engine, NOON) >= SIZE
    assert schedule(labelled, 0) == 0
    rows = labelled.rows(where="purpose = 'anchor'")
    assert {row.occasion for row in rows} == {f"{NOON:%Y-%m-%d}"} and len(rows) == SIZE
    one = rows[0]
    assert (one.judge_id, one.policy_id, one.round_id, one.chance) == (labelled.judge, None, None, 1)
    assert one.material["question"].startswith("Question")
    # What is owed still does not pile up the next day.
    assert schedule(labelled, 1) == 0
    answer(labelled, 1)
    assert schedule(labelled, 2) == SIZE
    path = f"/api/v1/anchors/{made['id']}"
    assert client.post(f"{path}/run", headers=labelled.project.ruling()).json() == {"owed": 0}
    answer(labelled, 2)
    assert client.post(f"{path}/run", headers=labelled.project.ruling()).json() == {"owed": SIZE}
    assert client.post(f"{path}/run", headers=other_project.ruling()).status_code == 404
    assert client.delete(path, headers=labelled.project.ruling()).status_code == 204
    answer(labelled, 3)
    assert schedule(labelled, 4) == 0
    assert client.post(f"{path}/run", headers=labelled.project.ruling()).status_code == 400


def test_the_same_judge_stays_quiet_and_each_judgement_is_seen_once(
    client: httpx.Client, labelled: Desk
) -> None:
    made = freeze(client, labelled).json()
    for day in range(12):
        answer(labelled, day)
        assert watch_project(labelled.engine, labelled.project.id, NOON) == SIZE
        assert watch_project(labelled.engine, labelled.project.id, NOON) == 0
    (shown,) = client.get("/api/v1/anchors", headers=labelled.project.reading()).json()["items"]
    (watch,) = shown["watches"]
    # The first round is the reference, the second tells the noise.
    assert (shown["id"], shown["judged"], watch["count"]) == (made["id"], 12 * SIZE, 10 * SIZE)
    assert watch["status"] == "watching" and not watch["alarms"] and 0.02 < watch["margin"] < 0.08


def judged_and_anchored(client: httpx.Client, desk: Desk, drop: float, shift: float) -> list[alerts.Alert]:
    """Four quiet days, then the answers fall by `drop` and the judge moves by `shift`, for twelve days."""
    freeze(client, desk).raise_for_status()
    for day in range(-4, 0):
        answer(desk, day)
    fair = levels(9, 800, 0.7)
    desk.judged(levels(1, 600, 0.8), correct=fair[:600], at=NOON - timedelta(hours=10), apart_s=60)
    check_project(desk.engine, desk.project.id, NOON)
    for day in range(1, 13):
        answer(desk, day, shift)
    desk.judged(
        levels(2, 200, 0.8 + drop + shift), correct=fair[600:], at=NOON + timedelta(hours=1), apart_s=60
    )
    check_project(desk.engine, desk.project.id, NOON + timedelta(days=16))
    with tenant(desk.engine, desk.project.id) as connection:
        return alerts.list_alerts(connection).items


@pytest.mark.parametrize(
    ("drop", "shift", "who"),
    [(-0.35, 0.0, "system"), (0.0, -0.25, "judge"), (-0.4, -0.2, "both")],
)
def test_who_moved(client: httpx.Client, labelled: Desk, drop: float, shift: float, who: str) -> None:
    found = {one.key.split()[0]: one for one in judged_and_anchored(client, labelled, drop, shift)}
    stream = found["watch"]
    assert stream.verdict == who and stream.body["verdict"]["who"] == who, stream.body["sentence"]
    told = stream.body["anchors"]
    assert told["effect"]["value"] == pytest.approx(shift, abs=0.03) and told["anchors"] == SIZE
    assert told["alarms"] == (shift != 0) and ("anchors" in found) == (shift != 0)
    assert stream.severity == ("notice" if who == "judge" else "page")
    if shift:
        judge = found["anchors"]
        assert (judge.verdict, judge.severity) == ("judge", "notice")
        assert judge.title.startswith("Judge careful scores answer.helpful 0.") and "lower" in judge.title


def test_a_resolved_alert_about_a_judge_makes_what_it_says_now_the_first(
    client: httpx.Client, labelled: Desk
) -> None:
    found = judged_and_anchored(client, labelled, 0.0, -0.25)
    (number,) = [one.id for one in found if one.key.startswith("anchors")]
    with tenant(labelled.engine, labelled.project.id) as connection:
        alerts.resolve(connection, labelled.project.id, number, "ann", NOON + timedelta(days=16))
    for day in range(17, 22):
        answer(labelled, day, -0.25)
    check_project(labelled.engine, labelled.project.id, NOON + timedelta(days=22))
    with tenant(labelled.engine, labelled.project.id) as connection:
        (watch,) = anchors.watched(connection)
        assert not watch.alarms and watch.state.count == 3 * SIZE
        assert len(alerts.list_alerts(connection, "open").items) == len(found) - 1


def test_an_alert_that_came_before_the_anchors_has_them_judged_and_says_later_who_moved(
    client: httpx.Client, labelled: Desk
) -> None:
    freeze(client, labelled).raise_for_status()
    for day in range(-4, 0):
        answer(labelled, day)
    fair = levels(9, 800, 0.7)
    labelled.judged(levels(1, 600, 0.8), correct=fair[:600], at=NOON - timedelta(hours=10))
    labelled.judged(levels(2, 200, 0.45), correct=fair[600:], at=NOON)
    check_project(labelled.engine, labelled.project.id, NOON + timedelta(hours=4))
    with tenant(labelled.engine, labelled.project.id) as connection:
        (first,) = alerts.list_alerts(connection).items
    assert (first.verdict, first.who, first.later) == ("undetermined", "undetermined", None)
    owed = labelled.rows("occasion", "purpose = 'anchor' AND state = 'waiting'")
    assert [row.occasion for row in owed] == [f"alert {first.id}"] * SIZE
    answer(labelled, 1)
    check_project(labelled.engine, labelled.project.id, NOON + timedelta(days=1))
    check_project(labelled.engine, labelled.project.id, NOON + timedelta(days=2))
    with tenant(labelled.engine, labelled.project.id) as connection:
        (now,) = alerts.list_alerts(connection).items
    assert now.later and now.later["at"] == (NOON + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert (now.verdict, now.who, now.body) == ("undetermined", "system", first.body)
    assert now.later["sentence"].startswith("The system changed. 40 anchors")
