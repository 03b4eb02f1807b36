"""A planted drop becomes one alert that says since when, by how much and through what; quiet streams become none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from core.errors import BadQuestion, NotFound
from core.pricing.price import PriceBook
from core.stats.stream import Terms
from core.store import alerts, audit, watches
from core.store.session import tenant
from judge.drift import check_project
from tests.conftest import Project
from tests.judge.drifting import BEGUN, Desk, a_desk, levels
from tests.store.rows import NOON

DROPPED = BEGUN + timedelta(minutes=600)


@pytest.fixture
def desk(engine: Engine, project: Project, book: PriceBook) -> Desk:
    return a_desk(engine, project, book)


def check(desk: Desk, now: datetime = NOON) -> None:
    check_project(desk.engine, desk.project.id, now)


def listed(desk: Desk) -> list[alerts.Alert]:
    with tenant(desk.engine, desk.project.id) as connection:
        return alerts.list_alerts(connection).items


def drop(desk: Desk, **after: Any) -> None:
    """Ten hours at .8, then some at .5; only the first dimension falls, in another release."""
    desk.judged(levels(1, 600, 0.8), correct=levels(2, 600, 0.7), release="1.0")
    fields = {"release": "2.0", **after}
    desk.judged(levels(3, 200, 0.5), correct=levels(4, 200, 0.7), at=DROPPED, **fields)


def test_a_drop_opens_one_alert_that_knows_when_and_how_much(desk: Desk) -> None:
    drop(desk)
    desk.judged(levels(6, 500, 0.8), feature="search", release="1.0")
    check(desk)
    (alert,) = listed(desk)
    assert (alert.state, alert.severity, alert.verdict) == ("open", "page", "undetermined")
    assert alert.title.startswith("answer.helpful of chat · standard · gpt-4o-mini fell from 0.8")
    body = alert.body
    change = body["change"]
    assert change["low"] <= DROPPED.isoformat().replace("+00:00", "Z") <= change["high"]
    assert change["effect_low"] < -0.3 < change["effect_high"] < -0.2
    assert body["evidence"]["side"] == "fall" and body["evidence"]["streams"] == 4
    assert sum(one["count"] for one in body["series"]) == 800
    assert body["sentence"].startswith("Something changed, the system or its judge: answer.helpful of chat")
    check(desk)
    assert listed(desk) == [alert]


def test_what_moved_adds_up_and_names_the_release(desk: Desk) -> None:
    drop(desk)
    check(desk)
    scopes = {one["scope"]: one for one in listed(desk)[0].body["moved"]}
    (part,) = scopes["stream"]["parts"]
    assert part["by"] == "release" and part["slices_in_all"] == 2
    values = {one["value"]: one for one in part["slices"]}
    assert values["1.0"]["before"]["share"] > 0.97 and values["2.0"]["after"]["share"] > 0.95
    assert part["mix"] + part["within"] == pytest.approx(part["total"])
    assert part["total"] == pytest.approx(listed(desk)[0].body["change"]["effect"], abs=0.01)
    assert [one["by"] for one in scopes["all"]["parts"]] == ["release"]


def test_ten_examples_before_and_after_with_what_the_judge_said(desk: Desk) -> None:
    drop(desk)
    check(desk)
    shown = listed(desk)[0].body["examples"]
    assert [len(shown[when]) for when in ("before", "after")] == [10, 10]
    known = {row.trace_id: row for row in desk.rows("trace_id, scores, started_at")}
    for when in ("before", "after"):
        for one in shown[when]:
            row = known[one["trace_id"]]
            assert one["score"] == row.scores["helpful"] and one["reason"].startswith("It is ")
            assert (row.started_at < DROPPED + timedelta(minutes=30)) or when == "after"
    assert sum(one["score"] for one in shown["before"]) > 1.3 * sum(one["score"] for one in shown["after"])


def test_quiet_streams_open_nothing(desk: Desk) -> None:
    for at in range(6):
        desk.judged(levels(10 + at, 700, 0.7), feature=f"feature-{at}", correct=levels(20 + at, 700, 0.9))
    check(desk)
    assert len(desk.watches()) == 6 and listed(desk) == []


def test_a_resolved_alert_gives_its_stream_a_new_reference(desk: Desk) -> None:
    drop(desk)
    check(desk)
    (alert,) = listed(desk)
    with tenant(desk.engine, desk.project.id) as connection:
        taken = alerts.acknowledge(connection, desk.project.id, alert.id, "ann", NOON)
        assert alerts.acknowledge(connection, desk.project.id, alert.id, "bob", NOON) == taken
        assert (taken.state, taken.acknowledged_by) == ("acknowledged", "ann")
    later = NOON + timedelta(hours=1)
    with tenant(desk.engine, desk.project.id) as connection:
        over = alerts.resolve(connection, desk.project.id, alert.id, "bob", later)
        assert alerts.resolve(connection, desk.project.id, alert.id, "carl", later) == over
        assert (over.state, over.resolved_by, over.body) == ("resolved", "bob", alert.body)
        noted = [(one.actor, one.action) for one in audit.entries(connection).items]
    assert noted[:2] == [("bob", "alert.resolve"), ("ann", "alert.acknowledge")]
    assert desk.state().status == "learning" and desk.state("correct").status == "watching"
    fair = levels(5, 300, 0.7)
    desk.judged(levels(7, 300, 0.5), at=BEGUN + timedelta(minutes=800), correct=fair, release="2.0")
    check(desk, later + timedelta(minutes=1))
    assert desk.state().reference and len(listed(desk)) == 1
    assert desk.state().reference.mean == pytest.approx(0.5, abs=0.05)  # type: ignore[union-attr]
    desk.judged(levels(8, 300, 0.9), at=BEGUN + timedelta(minutes=1200), correct=levels(9, 300, 0.7))
    check(desk, later + timedelta(minutes=2))
    again, _ = listed(desk)
    assert again.key == alert.key and "rose from 0.49 to 0.90" in again.title
    assert again.body["change"]["before"]["count"] == pytest.approx(300, abs=10)


def test_the_terms_of_a_project_hold_for_the_references_that_follow(desk: Desk) -> None:
    with tenant(desk.engine, desk.project.id) as connection:
        watches.set_terms(connection, desk.project.id, Terms(alpha=0.05, reference=50, least_effect=0.0))
    desk.judged(levels(1, 60, 0.8))
    check(desk)
    reference = desk.state().reference
    assert reference and (reference.count, reference.alpha, desk.state().threshold) == (50, 0.05, 40)


def test_what_an_alert_says_cannot_be_changed(desk: Desk) -> None:
    drop(desk)
    check(desk)
    for change in ("body = '{}'", "title = 'x'", "verdict = 'system'", "opened_at = now()"):
        with (
            pytest.raises(DBAPIError, match="permission denied"),
            tenant(desk.engine, desk.project.id) as connection,
        ):
            connection.execute(text(f"UPDATE alert SET {change}"))


def test_alerts_are_listed_by_state_and_page_and_refuse_nonsense(desk: Desk) -> None:
    drop(desk)
    check(desk)
    with tenant(desk.engine, desk.project.id) as connection:
        found = alerts.Found("watch 0", "notice", "another", "judge", {})
        assert alerts.open_alert(connection, desk.project.id, found, NOON)
        assert alerts.open_alert(connection, desk.project.id, found, NOON) is None
        first = alerts.list_alerts(connection, "open", limit=1)
        rest = alerts.list_alerts(connection, "open", first.next, limit=1)
        assert [first.items[0].title, rest.next] == ["another", None] and len(rest.items) == 1
        assert alerts.list_alerts(connection, "resolved").items == []
        assert alerts.open_count(connection) == 2
        with pytest.raises(BadQuestion, match="no state"):
            alerts.list_alerts(connection, "shut")
        with pytest.raises(BadQuestion, match="cursor"):
            alerts.list_alerts(connection, None, "x")
        with pytest.raises(NotFound):
            alerts.one_alert(connection, 10**12)


def test_nobody_sees_another_projects_alerts(desk: Desk, other_project: Project) -> None:
    drop(desk)
    check(desk)
    number = listed(desk)[0].id
    with tenant(desk.engine, other_project.id) as connection:
        assert alerts.list_alerts(connection).items == [] and watches.watched(connection) == []
        for act in (alerts.acknowledge, alerts.resolve):
            with pytest.raises(NotFound):
                act(connection, other_project.id, number, "eve", NOON)
