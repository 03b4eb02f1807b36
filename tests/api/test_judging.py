"""Judging over the API: who may do what, what is refused and why, trials, and why a request was judged or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from core.question import JUDGE_SOURCE
from core.store import judges
from core.store.session import tenant, transaction
from judge.ask import ask_all
from judge.sample import sample_project
from tests.conftest import Project
from tests.judge.conftest import add_requests
from tests.web.judging import a_desk

OWN = {
    "name": "tone",
    "title": "Tone",
    "dimensions": [{"name": "warmth", "question": "Is it kind?", "levels": ["cold", "warm"]}],
}
JUDGE = {
    "name": "tiny",
    "kind": "openai",
    "model": "tiny-1",
    "base_url": "http://127.0.0.1:9/v1",
    "input_usd_per_million": "2",
    "output_usd_per_million": "8",
}
SPAN = "1" * 16
Call = Callable[..., httpx.Response]


@pytest.fixture
def call(client: httpx.Client, project: Project) -> Call:
    """A call as the project's administrator."""

    def call(method: str, path: str, body: Any = None, of: Project = project) -> httpx.Response:
        return client.request(method, f"/api/v1/{path}", json=body, headers=of.ruling())

    return call


@pytest.fixture
def ready(call: Call) -> Call:
    """The same, in a project with a budget and a judge."""
    call("PUT", "judging/budget", {"limit": "5.00"}).raise_for_status()
    call("POST", "judges", JUDGE).raise_for_status()
    return call


READS = ("rubrics", "judges", "policies", "judging", "judging/budget")
CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "rubrics", OWN),
    ("POST", "judges", JUDGE),
    ("DELETE", "judges/tiny", None),
    ("POST", "policies", {"rubric": "length"}),
    ("DELETE", "policies/length", None),
    ("PUT", "judging/budget", {"limit": "1"}),
    ("POST", "trials", {"rubric": "length"}),
]


def test_readers_read_administrators_change_and_senders_do_neither(
    client: httpx.Client, project: Project
) -> None:
    sending = {"authorization": f"Bearer {project.ingest}"}
    for path in READS:
        assert client.get(f"/api/v1/{path}", headers=project.reading()).status_code == 200
        assert client.get(f"/api/v1/{path}", headers=sending).status_code == 403
        assert client.get(f"/api/v1/{path}").status_code == 401
    for method, path, body in CHANGES:
        for headers in (project.reading(), sending):
            assert client.request(method, f"/api/v1/{path}", json=body, headers=headers).status_code == 403
        assert client.request(method, f"/api/v1/{path}", json=body).status_code == 401


def test_what_is_made_is_listed_and_nobody_elses(call: Call, other_project: Project) -> None:
    saved = call("POST", "rubrics", OWN)
    assert saved.status_code == 201 and saved.json()["score_names"] == ["tone.warmth"]
    assert call("POST", "rubrics", OWN).json()["version"] == saved.json()["version"]
    changed = call("POST", "rubrics", OWN | {"title": "Tone of voice"}).json()["version"]
    mine = [one["version"] for one in call("GET", "rubrics").json() if not one["built_in"]]
    assert mine == [changed, saved.json()["version"]]
    made = call("POST", "judges", JUDGE)
    assert made.status_code == 201 and made.json()["retired_at"] is None
    assert call("PUT", "judging/budget", {"limit": "0.1"}).json()["limit"] == "0.1"
    started = call("POST", "policies", {"rubric": "tone", "judge": "tiny", "back_days": 7})
    assert started.status_code == 201 and started.json()["version"] == changed
    assert call("GET", "policies").json() == [started.json()]
    for path in ("judges", "policies"):
        assert call("GET", path, of=other_project).json() == []
    assert all(one["built_in"] for one in call("GET", "rubrics", of=other_project).json())
    assert call("GET", "judging/budget", of=other_project).json()["limit"] is None


def test_a_policy_takes_the_place_of_the_one_before_and_is_ended(ready: Call) -> None:
    for wanted in (10, 20):
        ready("POST", "policies", {"rubric": "safety", "judge": "tiny", "wanted_a_day": wanted})
    newer, older = ready("GET", "policies").json()
    assert (newer["wanted_a_day"], newer["ended_at"]) == (20, None) and older["ended_at"] is not None
    assert "asks this judge. End it" in ready("DELETE", "judges/tiny").json()["detail"]
    assert ready("DELETE", "policies/safety").status_code == 204
    assert ready("DELETE", "policies/safety").status_code == 404
    assert ready("DELETE", "judges/tiny").status_code == 204
    assert ready("DELETE", "judges/nobody").status_code == 404
    for path in ("policies", "trials"):
        assert "is retired" in ready("POST", path, {"rubric": "safety", "judge": "tiny"}).json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "rubrics", {"name": "Tone of Voice"}, "small letters"),
        ("POST", "rubrics", OWN | {"colour": "red"}, "has no field 'colour'"),
        ("POST", "rubrics", {"name": "a", "scorer": "regex", "options": {"pattern": "("}}, "pattern"),
        ("POST", "judges", JUDGE | {"kind": "other"}, "kind is openai"),
        ("POST", "judges", JUDGE | {"base_url": "file:///etc/passwd"}, "base_url is such as"),
        ("POST", "judges", JUDGE | {"base_url": "http://ann:pw@a.example/v1"}, "base_url is such as"),
        ("POST", "judges", JUDGE | {"key_variable": "AWS_SECRET_ACCESS_KEY"}, "TRIPOINT_JUDGE_KEY_"),
        ("POST", "judges", JUDGE | {"output_usd_per_million": None}, "Give both"),
        ("POST", "judges", JUDGE, "Choose another name"),
        ("POST", "policies", {"rubric": "safety"}, "Name one with judge"),
        ("POST", "policies", {"rubric": "length", "judge": "tiny"}, "Leave judge out"),
        ("POST", "policies", {"rubric": "safety", "judge": "tiny", "strong_judge": "tiny"}, "is the same"),
        ("POST", "policies", {"rubric": "length", "method": "best"}, "method is one of"),
        ("POST", "policies", {"rubric": "length", "strata": ["tier"]}, "A uniform policy has no strata"),
        (
            "POST",
            "policies",
            {"rubric": "length", "method": "neyman", "strata": ["user"]},
            "strata is a list",
        ),
        ("POST", "policies", {"rubric": "length", "wanted_a_day": 0}, "whole number from 1"),
        ("POST", "policies", {"rubric": "length", "filters": {"colour": "red"}}, "no dimension 'colour'"),
        ("PUT", "judging/budget", {"limit": "5 dollars"}, 'such as "5.00"'),
        ("PUT", "judging/budget", {"limit": "NaN"}, 'such as "5.00"'),
        ("PUT", "judging/budget", {"limit": "-0.01"}, "from 0 to 100000"),
        ("PUT", "judging/budget", {"limit": "100000.01"}, "from 0 to 100000"),
        ("PUT", "judging/budget", {"limit": "0.0000000000001"}, "from 0 to 100000"),
        ("POST", "rubrics", OWN | {"instructions": "a\0b"}, "holds a NUL"),
        ("POST", "rubrics", {"name": "a", "scorer": "regex", "options": {"pattern": "\0"}}, "holds a NUL"),
        ("POST", "judges", JUDGE | {"model": "a\0"}, "holds a NUL"),
        ("POST", "judges", JUDGE | {"provider": "\0"}, "holds a NUL"),
        ("POST", "policies", {"rubric": "length", "filters": {"feature": ["\0"]}}, "NUL"),
        ("POST", "trials", {"rubric": "safety"}, "Name one with judge"),
        ("POST", "trials", {"rubric": "length", "judge": "tiny"}, "Leave judge out"),
        ("POST", "trials", {"rubric": "length"}, "Send some with content first"),
        ("POST", "trials", {"rubric": OWN | {"dimensions": []}, "judge": "tiny"}, "dimensions is a list"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    ready: Call, method: str, path: str, body: Any, words: str
) -> None:
    answer = ready(method, path, body)
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("policies", {"rubric": "none"}),
        ("policies", {"rubric": "safety", "version": "0" * 16, "judge": "tiny"}),
        ("policies", {"rubric": "safety", "judge": "none"}),
        ("policies", {"rubric": "safety", "judge": "\0"}),
        ("trials", {"rubric": "none"}),
        ("trials", {"rubric": "length", "requests": [f"{'a' * 32}-{SPAN}"]}),
    ],
)
def test_what_is_not_there_is_not_found(ready: Call, path: str, body: Any) -> None:
    assert ready("POST", path, body).status_code == 404
    for nobody in ("0", "%00"):
        assert ready("GET", f"trials/{nobody}").status_code == 404
        assert ready("DELETE", f"judges/{nobody}").status_code == 404
        assert ready("DELETE", f"policies/{nobody}").status_code == 404
    assert ready("GET", f"requests/{'a' * 32}-{SPAN}/judging").status_code == 404


def test_without_a_budget_no_judge_is_promised_anything(call: Call) -> None:
    call("POST", "judges", JUDGE)
    for path in ("policies", "trials"):
        answer = call("POST", path, {"rubric": "safety", "judge": "tiny"})
        assert answer.status_code == 400 and "PUT /api/v1/judging/budget" in answer.json()["detail"]
    assert call("POST", "policies", {"rubric": "length"}).status_code == 201


def test_the_budget_is_exact_text_and_bounded(ready: Call) -> None:
    for said, kept in (("5", "5"), ("0.000000000001", "0.000000000001"), ("0", "0"), ("100000", "100000")):
        shown = ready("PUT", "judging/budget", {"limit": said}).json()
        assert shown == ready("GET", "judging/budget").json()
        assert (shown["limit"], shown["spent"], shown["reserved"], shown["calls"]) == (kept, "0", "0", 0)
        assert shown["day"] == datetime.now(UTC).date().isoformat()
    assert ready("PUT", "judging/budget", {"limit": 5}).status_code == 400
    assert ready("PUT", "judging/budget", {}).status_code == 400


def test_a_trial_judges_the_newest_or_the_named_and_keeps_no_score(
    ready: Call, engine: Engine, project: Project, other_project: Project
) -> None:
    traces = add_requests(engine, project, 12, datetime.now(UTC))
    begun = ready("POST", "trials", {"rubric": "length"})
    assert begun.status_code == 202 and begun.json()["rubric"] == "length"
    assert [one["request"] for one in begun.json()["items"]] == [f"{one}-{SPAN}" for one in traces[:10]]
    assert {one["state"] for one in begun.json()["items"]} == {"waiting"}
    assert ask_all(a_desk(engine)) >= 10
    done = ready("GET", f"trials/{begun.json()['trial']}").json()
    assert {(one["state"], one["scores"]["length"], one["cost"]) for one in done["items"]} == {
        ("scored", 1.0, "0")
    }
    with tenant(engine, project.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM score")).scalar_one() == 0
    whole = ready("POST", "trials", {"rubric": OWN, "judge": "tiny", "requests": [f"{traces[11]}-{SPAN}"]})
    assert [(one["request"], one["judge"]) for one in whole.json()["items"]] == [
        (f"{traces[11]}-{SPAN}", "tiny")
    ]
    assert ready("GET", f"trials/{begun.json()['trial']}", of=other_project).status_code == 404
    many = {"rubric": "length", "requests": [f"{one}-{SPAN}" for one in traces[:11]]}
    assert ready("POST", "trials", many).status_code == 400


def test_health_counts_what_waits_and_what_failed(ready: Call, engine: Engine, project: Project) -> None:
    add_requests(engine, project, 2, datetime.now(UTC))
    ready("POST", "policies", {"rubric": "length", "back_days": 1})
    ready("POST", "policies", {"rubric": "faithfulness", "judge": "tiny", "back_days": 1})
    assert ready("GET", "judging").json()["settled_not_looked_at"] == 2
    sample_project(engine, project.id, datetime.now(UTC))
    before = ready("GET", "judging").json()
    assert (before["settled_not_looked_at"], before["waiting"], before["asked"]) == (0, 4, 0)
    ask_all(a_desk(engine))
    after = ready("GET", "judging?days=1").json()
    assert (after["waiting"], after["hits_limit_at"]) == (0, None)
    (failed,) = after["failed"]
    assert (failed["reason"], failed["judgements"]) == ("no context was stored with it", 2)
    assert ready("GET", f"requests/{failed['example']}/judging").status_code == 200
    states = {one["judge"]: (one["scored"], one["failed"], one["calls"]) for one in after["judges"]}
    assert states == {"tiny": (0, 2, 0), "(scorers, no judge)": (2, 0, 0)}
    for days in (0, 91):
        assert ready("GET", f"judging?days={days}").status_code == 400


# What is done to a request before it is asked about → why it was judged or not.
REASONS: list[tuple[str, str]] = [
    ("source = :judge", "It is itself a call to a judge."),
    ("started_at = started_at - interval '3 days'", "It started before the policy came into force."),
    ("counted = false", "It is counted elsewhere"),
    ("status = 'error'", "It ended with an error"),
    ("state = 'provisional'", "It has not settled yet"),
    ("feature = 'other'", "It does not pass the filters of the policy."),
]


@pytest.fixture
def asked(call: Call, engine: Engine, project: Project) -> Callable[[], dict[str, Any]]:
    """One request and a policy for requests of `chat`; asks why."""
    (trace,) = add_requests(engine, project, 1, datetime.now(UTC))
    policy = {"rubric": "length", "back_days": 1, "filters": {"feature": ["chat"]}}
    call("POST", "policies", policy).raise_for_status()

    def ask() -> dict[str, Any]:
        (item,) = call("GET", f"requests/{trace}-{SPAN}/judging").raise_for_status().json()["items"]
        return dict(item)

    return ask


def change(owner: Engine, project: Project, statement: str, **known: Any) -> None:
    """What only the database's owner may do to a ledger."""
    with transaction(owner) as connection:
        connection.execute(text(f"{statement} WHERE project_id = :project"), {"project": project.id} | known)


@pytest.mark.parametrize(("changed", "why"), REASONS)
def test_a_request_that_cannot_be_drawn_says_why(
    owner: Engine, project: Project, asked: Callable[[], dict[str, Any]], changed: str, why: str
) -> None:
    given = {"judge": JUDGE_SOURCE} if ":judge" in changed else {}
    change(owner, project, "DELETE FROM unsampled")
    change(owner, project, f"UPDATE request SET {changed}", **given)
    item = asked()
    assert item["why"].startswith(why) and item["state"] is None and item["probability"] is None


def test_a_request_without_content_or_not_looked_at_says_so(
    owner: Engine, project: Project, asked: Callable[[], dict[str, Any]]
) -> None:
    assert asked()["why"] == "It has settled and was not looked at yet."
    change(owner, project, "DELETE FROM unsampled")
    assert asked()["why"].startswith("No probabilities were set for its day")
    change(owner, project, "DELETE FROM content")
    assert asked()["why"].startswith("Its prompt and answer were not stored")


def test_a_request_that_was_drawn_says_how_far_it_is(
    engine: Engine, owner: Engine, project: Project, asked: Callable[[], dict[str, Any]]
) -> None:
    sample_project(engine, project.id, datetime.now(UTC))
    item = asked()
    assert item["why"] == "It was drawn and waits for its judge." and item["state"] == "waiting"
    assert item["probability"] == 1.0 and 0 <= item["number"] < 1
    ask_all(a_desk(engine))
    assert asked()["why"] == "It was drawn and judged." and asked()["state"] == "scored"
    change(owner, project, "UPDATE judging SET state = 'failed', reason = 'it was late'")
    assert asked()["why"] == "It was drawn, and could not be judged: it was late."
    change(owner, project, "UPDATE judging SET state = 'asked'")
    assert asked()["why"] == "It was drawn, and its judge is being asked."


def test_a_request_that_was_not_drawn_says_by_what_chance(
    engine: Engine, owner: Engine, project: Project, asked: Callable[[], dict[str, Any]]
) -> None:
    sample_project(engine, project.id, datetime.now(UTC))
    change(owner, project, "DELETE FROM judging")
    item = asked()
    assert (
        item["why"].startswith("It should have been drawn: the policy ended") and item["probability"] == 1.0
    )
    change(owner, project, "UPDATE judge_round SET base = 0.00001")
    item = asked()
    assert item["why"].startswith(f"It was not drawn: its number is {item['number']:.4f}")
    assert item["probability"] == 0.00001 < item["number"]


def test_a_request_that_an_earlier_policy_drew_says_so(call: Call, engine: Engine, project: Project) -> None:
    now = datetime.now(UTC)
    (trace,) = add_requests(engine, project, 1, now - timedelta(minutes=5))
    call("POST", "policies", {"rubric": "length", "back_days": 1})
    sample_project(engine, project.id, now)
    call("POST", "policies", {"rubric": "length", "back_days": 1})
    newer, older = call("GET", f"requests/{trace}-{SPAN}/judging").json()["items"]
    assert newer["why"].endswith("Another policy for this rubric drew it.") and newer["number"] is None
    assert older["why"] == "It was drawn and waits for its judge."
    with tenant(engine, project.id) as connection:
        assert [one.id for one in judges.list_policies(connection)] == [newer["policy"], older["policy"]]
