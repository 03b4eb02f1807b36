"""The pages of alerts as a program sees them: what they say, who may decide, channels in the settings."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.store import alerts, deliveries
from core.store.session import tenant
from tests.conftest import Project, Server, make_project
from tests.judge.drifting import Desk
from tests.web.alarmed import alarmed
from tests.web.people import forget_attempts, person, post, reader

CHANNELS = "/settings/channels"


@pytest.fixture(autouse=True)
def fresh(owner: Engine) -> None:
    forget_attempts(owner)


@pytest.fixture(scope="module")
def desk(engine: Engine, owner: Engine, book: PriceBook) -> Desk:
    return alarmed(engine, owner, make_project(owner), book)


@pytest.fixture
def visitor(server: Server, engine: Engine, desk: Desk) -> Iterator[httpx.Client]:
    with reader(server, person(engine, desk.project, "review")) as client:
        yield client


def listed(desk: Desk) -> list[alerts.Alert]:
    with tenant(desk.engine, desk.project.id) as connection:
        return alerts.list_alerts(connection).items


def page(client: httpx.Client, path: str) -> str:
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def test_the_list_shows_alerts_streams_and_judges(visitor: httpx.Client, desk: Desk) -> None:
    shown = page(visitor, "/alerts")
    for one in listed(desk):
        assert one.title in shown and f'href="/alerts/{one.id}"' in shown
    assert "system and judge" in shown and "learning, 40" in shown and "> 1,000,000" in shown
    assert "Judges, by their anchors" in shown and '<a href="/alerts" aria-current="page">Alerts</a>' in shown
    assert "No alert is resolved" in page(visitor, "/alerts?state=resolved")
    assert visitor.get("/alerts?state=shut", headers={"accept": "text/html"}).status_code == 400


def test_the_investigation_says_what_the_alert_stores(visitor: httpx.Client, desk: Desk) -> None:
    stream = next(one for one in listed(desk) if one.key.startswith("watch"))
    shown, body = page(visitor, f"/alerts/{stream.id}"), stream.body
    assert stream.verdict == "both" and body["sentence"] in shown
    assert shown.index(body["sentence"]) < shown.index("The stream's scores")
    for when in ("before", "after"):
        for one in body["examples"][when]:
            assert f'href="/traces/{one["trace_id"]}#s{one["span_id"]}"' in shown
    assert f"{body['change']['effect']:+.2f}".replace("-", "−") in shown
    assert "By release:" in shown and "2026.11" in shown and "what remains: the system's" in shown
    (link,) = re.findall(r'href="(/requests\?[^"]*)"', shown)
    assert "feature=chat" in link and page(visitor, link).count("<tr>") > 10
    (example,) = {one["trace_id"] for one in body["examples"]["after"][:1]}
    assert example in page(visitor, f"/traces/{example}")


def test_an_alert_about_a_judge_has_a_page_too(visitor: httpx.Client, desk: Desk) -> None:
    judge = next(one for one in listed(desk) if one.key.startswith("anchors"))
    shown = page(visitor, f"/alerts/{judge.id}")
    assert "0.15 lower than at first" in judge.title and judge.body["sentence"] in shown
    assert "The stream's scores" not in shown and "What moved" not in shown


def test_a_reviewer_decides_and_a_reader_does_not(
    server: Server, engine: Engine, owner: Engine, book: PriceBook, visitor: httpx.Client, desk: Desk
) -> None:
    judge = next(one for one in listed(desk) if one.key.startswith("anchors"))
    path = f"/alerts/{judge.id}"
    with reader(server, person(engine, desk.project, "read")) as other:
        assert "I am looking at it" not in page(other, path)
        answer = post(other, f"{path}/resolve")
        assert "not decide" in page(other, answer.headers["location"])
    for act, words in (("acknowledge", "You are looking at it"), ("resolve", "It is resolved")):
        answer = post(visitor, f"{path}/{act}", path)
        assert answer.status_code == 303 and words in page(visitor, path)
    shown = page(visitor, path)
    assert "resolved by" in shown and "Resolve now" not in shown
    assert visitor.post(f"{path}/acknowledge", data={"form_token": "x"}).status_code == 403


def test_another_projects_alert_is_not_found(
    server: Server, engine: Engine, desk: Desk, project: Project
) -> None:
    number = listed(desk)[0].id
    with reader(server, person(engine, project, "admin")) as stranger:
        assert stranger.get(f"/alerts/{number}", headers={"accept": "text/html"}).status_code == 404
        assert "No alert yet" in page(stranger, "/alerts")
        assert "Nothing is watched yet" in page(stranger, "/alerts")
        answer = post(stranger, f"/alerts/{number}/resolve")
        assert answer.headers["location"] == f"/alerts/{number}"
    with tenant(engine, desk.project.id) as connection:
        assert alerts.one_alert(connection, number).resolved_by != "stranger"


def test_channels_are_added_and_removed(server: Server, engine: Engine, project: Project) -> None:
    with reader(server, person(engine, project, "admin")) as boss:
        assert "No channels yet" in page(boss, CHANNELS)
        post(boss, CHANNELS, CHANNELS, kind="webhook", name="hook <b>", url="https://a.example/x", secret="")
        assert "sent to hook <b> too" in page(boss, CHANNELS)
        post(
            boss,
            CHANNELS,
            CHANNELS,
            kind="email",
            name="mail",
            to="a@example.com, b@example.com;c@example.com",
        )
        shown = page(boss, CHANNELS)
        assert "a@example.com, b@example.com, c@example.com" in shown and "not signed" in shown
        for fields, words in (
            ({"kind": "email", "name": "x", "to": "nobody"}, "not an e-mail address"),
            ({"kind": "webhook", "name": "x", "url": "file:///etc/passwd"}, "url is such as"),
            ({"kind": "webhook", "name": "x", "url": "https://a.example", "secret": "HOME"}, "begins with"),
            ({"kind": "pigeon", "name": "x"}, "no kind"),
        ):
            post(boss, CHANNELS, CHANNELS, **fields)
            assert words in page(boss, CHANNELS)
        with tenant(engine, project.id) as connection:
            first, _ = deliveries.channels(connection)
        post(boss, f"{CHANNELS}/{first.id}/remove", CHANNELS)
        assert "The channel is removed" in page(boss, CHANNELS)
        assert "made a channel for alerts" in page(boss, "/settings/audit")
    with reader(server, person(engine, project, "review")) as other:
        assert other.get(CHANNELS, headers={"accept": "text/html"}).status_code == 403
