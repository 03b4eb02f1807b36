"""Streams and alerts over the API: who may read and decide, and that it says what is stored."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine

import launch
from core.pricing.price import PriceBook
from judge.drift import check_project
from tests.conftest import Project
from tests.judge.drifting import BEGUN, Desk, a_desk, levels


@pytest.fixture
def desk(engine: Engine, project: Project, book: PriceBook, now: datetime) -> Desk:
    """One stream that fell, one that is quiet, one that still learns."""
    desk = a_desk(engine, project, book)
    fair = levels(9, 700, 0.7)
    desk.judged(levels(1, 500, 0.8), correct=fair[:500])
    desk.judged(levels(2, 200, 0.4), correct=fair[500:], at=BEGUN + timedelta(minutes=500))
    desk.judged(levels(3, 10, 0.8), feature="search")
    check_project(engine, project.id, now)
    return desk


def test_streams_say_where_they_stand(client: httpx.Client, desk: Desk) -> None:
    answer = client.get("/api/v1/streams", headers=desk.project.reading()).raise_for_status().json()
    assert answer["watched"] == 2 and answer["left_out"] == 0 and answer["terms"]["alpha"] == 0.01
    by_name = {(one["feature"], one["dimension"]): one for one in answer["items"]}
    fell, quiet, new = (
        by_name[key] for key in (("chat", "helpful"), ("chat", "correct"), ("search", "helpful"))
    )
    assert fell == answer["items"][0] and fell["moved"] and fell["noticed"] and fell["side"] == "fall"
    assert fell["evidence"] > fell["threshold"] == 200 and fell["count"] == 500
    assert fell["reference"]["low"] < fell["reference"]["mean"] < fell["reference"]["high"]
    assert not quiet["moved"] and quiet["alert_id"] is None
    assert (new["status"], new["count"], new["evidence"], new["reference"]) == ("learning", 10, None, None)
    (line,) = client.get("/api/v1/alerts", headers=desk.project.reading()).json()["items"]
    assert fell["alert_id"] == line["id"]
    assert len(client.get("/api/v1/streams?limit=1", headers=desk.project.reading()).json()["items"]) == 1


def test_an_alert_is_read_acknowledged_and_resolved(client: httpx.Client, owner: Engine, desk: Desk) -> None:
    reading = desk.project.reading()
    reviewing = {"authorization": f"Bearer {launch.make_key(owner, desk.project.id, 'review')}"}
    (line,) = client.get("/api/v1/alerts?state=open", headers=reading).json()["items"]
    path = f"/api/v1/alerts/{line['id']}"
    shown = client.get(path, headers=reading).raise_for_status().json()
    assert shown["body"]["change"]["effect"] < -0.3 and shown["deliveries"] == []
    for act in ("acknowledge", "resolve"):
        assert client.post(f"{path}/{act}", headers=reading).status_code == 403
    for act, state in (("acknowledge", "acknowledged"), ("resolve", "resolved"), ("acknowledge", "resolved")):
        answer = client.post(f"{path}/{act}", headers=reviewing).raise_for_status().json()
        assert answer["state"] == state and answer["body"] == shown["body"]
    assert client.get("/api/v1/alerts?state=open", headers=reading).json()["items"] == []
    log = client.get("/api/v1/audit", headers=desk.project.ruling()).json()["items"]
    assert [one["action"] for one in log[:2]] == ["alert.resolve", "alert.acknowledge"]
    streams = client.get("/api/v1/streams", headers=reading).json()["items"]
    assert {one["status"] for one in streams if one["dimension"] == "helpful"} == {"learning"}


def test_the_terms_are_an_administrators(client: httpx.Client, project: Project) -> None:
    terms = {"alpha": 0.05, "reference": 100, "least_effect": 0.05, "run_length": 1000}
    assert client.put("/api/v1/drift", json=terms, headers=project.reading()).status_code == 403
    assert client.put("/api/v1/drift", json=terms, headers=project.ruling()).json() == terms
    assert client.get("/api/v1/streams", headers=project.reading()).json()["terms"] == terms
    for wrong in ({"alpha": 0}, {"reference": 29}, {"least_effect": 1}, {"beta": 1}, {"run_length": 1}):
        assert client.put("/api/v1/drift", json=wrong, headers=project.ruling()).status_code == 400


@pytest.mark.parametrize(
    "path", ["alerts?state=shut", "alerts?limit=0", "alerts?cursor=x", "streams?limit=0"]
)
def test_nonsense_is_refused(client: httpx.Client, project: Project, path: str) -> None:
    answer = client.get(f"/api/v1/{path}", headers=project.reading())
    assert answer.status_code == 400 and answer.json()["detail"].endswith(".")


def test_another_projects_alert_is_not_found(
    client: httpx.Client, desk: Desk, other_project: Project
) -> None:
    (line,) = client.get("/api/v1/alerts", headers=desk.project.reading()).json()["items"]
    path = f"/api/v1/alerts/{line['id']}"
    assert client.get(path, headers=other_project.reading()).status_code == 404
    for act in ("acknowledge", "resolve"):
        assert client.post(f"{path}/{act}", headers=other_project.ruling()).status_code == 404
    assert client.get("/api/v1/streams", headers=other_project.reading()).json()["items"] == []
