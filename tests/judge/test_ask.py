"""Judgements: each once, paid from the budget, whatever the judge's server does."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.judging.builtin import CORRECTNESS, RELEVANCE
from core.judging.policy import Policy
from core.money import PICO
from core.pricing.price import PriceBook
from core.request import Context
from core.store import judges
from core.store.rows import nanoseconds
from core.store.session import tenant
from judge.ask import Desk, ask_all
from judge.models import HttpModel
from judge.sample import sample_project
from tests.conftest import Project
from tests.judge.conftest import Endpoint, add_requests, chat, make_judge, set_budget, verdict

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = Policy(wanted_a_day=100_000)


class Clock:
    """The time, which a test moves on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(engine: Engine, clock: Clock) -> Desk:
    book = PriceBook(())
    model = HttpModel({}, clock_ns=lambda: nanoseconds(clock()))
    return Desk(engine, model, lambda: book, clock, random.Random(5))


Judged = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def judged(engine: Engine, project: Project, desk: Desk, clock: Clock) -> Judged:
    """Draw and ask until nothing is owed that may be asked within the day; the judgements as they are then."""

    def run(turns: int = 30) -> list[dict[str, Any]]:
        for _ in range(turns):
            sample_project(engine, project.id, clock())
            ask_all(desk)
            clock.later(seconds=20)
            with tenant(engine, project.id) as connection:
                owed = connection.execute(
                    text("SELECT count(*) FROM judging WHERE state IN ('waiting', 'asked')")
                ).scalar_one()
            if not owed:
                break
        with tenant(engine, project.id) as connection:
            return [
                dict(row) for row in connection.execute(text("SELECT * FROM judging ORDER BY id")).mappings()
            ]

    return run


def start(engine: Engine, project: Project, policy: Policy = ALL, **more: Any) -> int:
    with tenant(engine, project.id) as connection:
        return judges.start_policy(
            connection,
            project.id,
            policy,
            more.get("rubric", RELEVANCE),
            more.get("judge", "tiny"),
            more.get("strong"),
            NOW - timedelta(days=1),
            "salt",
            "tests",
            NOW,
        )


def spent(engine: Engine, project: Project, day: datetime = NOW) -> judges.Budget:
    with tenant(engine, project.id) as connection:
        return judges.budget(connection, day.date())


@pytest.fixture
def ready(engine: Engine, project: Project, endpoint: Endpoint) -> None:
    """A judge, a hundred dollars a day, and ten requests."""
    make_judge(engine, project, endpoint)
    set_budget(engine, project, 100, NOW)
    add_requests(engine, project, 10, NOW)


@pytest.mark.usefixtures("ready")
def test_every_drawn_request_is_scored_and_the_call_is_a_request_of_the_feature_judge(
    engine: Engine, project: Project, judged: Judged
) -> None:
    start(engine, project)
    rows = judged()
    assert [row["state"] for row in rows] == ["scored"] * 10
    assert {row["scores"]["relevance"] for row in rows} == {0.75} and {row["chance"] for row in rows} == {1.0}
    # 100 tokens at 2 and 10 at 8 dollars a million make 0.00028 dollars.
    assert {row["cost_pico"] for row in rows} == {280_000_000}
    budget = spent(engine, project)
    assert (budget.spent_pico, budget.reserved_pico, budget.calls) == (2_800_000_000, 0, 10)
    with tenant(engine, project.id) as connection:
        calls = connection.execute(
            text("SELECT feature, cost_pico, tags, state FROM request WHERE source = 'tripoint.judge'")
        ).all()
        scores = connection.execute(text("SELECT name, value, source, comment FROM score")).all()
    assert {(call.feature, call.cost_pico, call.state) for call in calls} == {
        ("judge", 280_000_000, "settled")
    }
    assert {call.tags["rubric"] for call in calls} == {"relevance"} and len(calls) == 10
    assert scores == [("relevance", 0.75, "judge", "it says so")] * 10


@pytest.mark.usefixtures("ready")
def test_looking_again_draws_and_asks_nothing_twice(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    start(engine, project)
    judged()
    with tenant(engine, project.id) as connection:
        judges.queue_since(connection, project.id, NOW - timedelta(days=1))
    assert len(judged()) == 10 and len(endpoint.calls) == 10


@pytest.mark.usefixtures("ready")
def test_errors_are_asked_again_and_only_answers_cost(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    def respond(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
        return (500, {"error": "busy"}, {}) if number % 3 == 0 else (200, chat(verdict(5)), {})

    endpoint.respond = respond
    start(engine, project)
    rows = judged()
    assert {row["state"] for row in rows} == {"scored"} and max(row["attempts"] for row in rows) > 1
    assert spent(engine, project).spent_pico == 2_800_000_000


@pytest.mark.usefixtures("ready")
def test_a_judge_that_says_when_to_come_back_is_not_asked_before(
    engine: Engine, project: Project, desk: Desk, clock: Clock, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (429, {"error": {"message": "slow down"}}, {"retry-after": "120"})
    start(engine, project)
    sample_project(engine, project.id, NOW)
    ask_all(desk)
    refused = len(endpoint.calls)
    clock.later(seconds=60)
    ask_all(desk)
    assert len(endpoint.calls) == refused <= 4
    clock.later(seconds=120)
    endpoint.respond = lambda body, number: (200, chat(verdict(5)), {})
    ask_all(desk)
    with tenant(engine, project.id) as connection:
        assert {row.state for row in connection.execute(text("SELECT state FROM judging"))} == {"scored"}


@pytest.mark.usefixtures("ready")
def test_a_judge_that_fails_without_end_is_given_up_with_a_reason_and_rarely_asked(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (500, {"error": {"message": "no luck"}}, {})
    start(engine, project)
    rows = judged(turns=12)
    assert {row["state"] for row in rows} == {"waiting"}
    # Its circuit opened after the fifth failure: without it there were ten calls a turn.
    assert len(endpoint.calls) < 40
    assert all("no luck" in row["reason"] for row in rows if row["attempts"])


@pytest.mark.usefixtures("ready")
def test_what_cannot_be_read_is_asked_three_times_and_paid_each_time(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (200, chat("Quite good, I think."), {})
    start(engine, project)
    rows = judged()
    assert {(row["state"], row["unreadable"]) for row in rows} == {("failed", 3)}
    assert all("cannot be read" in row["reason"] for row in rows)
    assert spent(engine, project).spent_pico == 3 * 2_800_000_000


def test_the_budget_is_never_exceeded_and_the_rest_waits_for_tomorrow(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint, clock: Clock
) -> None:
    make_judge(engine, project, endpoint)
    with tenant(engine, project.id) as connection:
        # A call may cost about 0.012 dollars, and costs 0.00028.
        judges.set_budget(connection, project.id, 15 * PICO // 1000, "tests", NOW)
    add_requests(engine, project, 30, NOW)
    start(engine, project)
    rows = judged(turns=8)
    waiting = [row for row in rows if row["state"] == "waiting"]
    assert waiting and {row["state"] for row in rows} == {"waiting", "scored"}
    assert all("today is spent" in row["reason"] for row in waiting)
    budget = spent(engine, project)
    assert budget.spent_pico + budget.reserved_pico <= 15 * PICO // 1000
    clock.now = NOW + timedelta(days=1)
    assert [row["state"] for row in judged(turns=8)].count("scored") > 30 - len(waiting)


@pytest.mark.usefixtures("ready")
def test_a_worker_that_died_leaves_a_lease_that_runs_out_and_what_it_may_have_spent_is_spent(
    engine: Engine, project: Project, desk: Desk, clock: Clock, endpoint: Endpoint, judged: Judged
) -> None:
    start(engine, project)
    sample_project(engine, project.id, NOW)

    class Killed(BaseException): ...

    class Dying:
        def answer(self, judge: Any, prompt: Any) -> Any:
            raise Killed

    dying = Desk(engine, Dying(), desk.book, clock, desk.chance)
    with pytest.raises(Killed):
        ask_all(dying)
    before = spent(engine, project)
    assert before.reserved_pico > 0 and before.spent_pico == 0
    clock.later(seconds=10)
    ask_all(desk)
    asked = len(endpoint.calls)
    assert asked < 10
    clock.later(seconds=60)
    assert {row["state"] for row in judged()} == {"scored"} and len(endpoint.calls) == 10
    after = spent(engine, project)
    assert after.reserved_pico == 0 and after.spent_pico == before.reserved_pico + 2_800_000_000


def test_a_doubtful_verdict_goes_to_the_strong_judge_and_a_share_of_the_others_is_audited(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    def respond(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
        unsure = body["model"] == "tiny-1" and any(f"item-{n}?" in str(body) for n in (1, 2))
        return 200, chat(verdict(2, confidence=20 if unsure else 95)), {}

    endpoint.respond = respond
    make_judge(engine, project, endpoint)
    make_judge(engine, project, endpoint, name="strong", model="large-1")
    set_budget(engine, project, 100, NOW)
    add_requests(engine, project, 30, NOW)
    start(engine, project, Policy(wanted_a_day=100_000, escalate_below=0.5, audit=0.4), strong="strong")
    rows = judged()
    by = {
        purpose: [row for row in rows if row["purpose"] == purpose]
        for purpose in ("sample", "escalated", "audit")
    }
    assert len(by["sample"]) == 30 and len(by["escalated"]) == 2
    assert 0 < len(by["audit"]) < 28 and {row["state"] for row in rows} == {"scored"}


def test_repeats_that_differ_are_a_doubt(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (200, chat(verdict(1 + number % 5)), {})
    make_judge(engine, project, endpoint, at_once=1)
    make_judge(engine, project, endpoint, name="strong", model="large-1")
    set_budget(engine, project, 100, NOW)
    add_requests(engine, project, 4, NOW)
    start(engine, project, Policy(wanted_a_day=100_000, repeats=2, audit=0.0), strong="strong")
    rows = judged()
    assert [row["purpose"] for row in rows].count("sample") == 8
    assert [row["purpose"] for row in rows].count("escalated") == 4


@pytest.mark.usefixtures("ready")
def test_a_judge_whose_price_nobody_knows_is_not_asked(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    make_judge(
        engine, project, endpoint, name="mystery", input_usd_per_million=None, output_usd_per_million=None
    )
    start(engine, project, judge="mystery")
    rows = judged()
    assert {row["state"] for row in rows} == {"failed"} and endpoint.calls == []
    assert all("nobody knows what openai tiny-1 costs" in row["reason"] for row in rows)


@pytest.mark.usefixtures("ready")
def test_a_server_that_knows_no_schema_is_asked_without_one(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    def respond(body: dict[str, Any], number: int) -> tuple[int, Any, dict[str, str]]:
        if "response_format" in body:
            return 400, {"error": {"message": "unknown field response_format"}}, {}
        return 200, chat(f"```json\n{verdict(3)}\n```"), {}

    endpoint.respond = respond
    start(engine, project)
    assert {row["state"] for row in judged()} == {"scored"}
    assert sum("response_format" in call for call in endpoint.calls) <= 4


@pytest.mark.usefixtures("ready")
def test_anthropics_wire(engine: Engine, project: Project, judged: Judged, endpoint: Endpoint) -> None:
    endpoint.respond = lambda body, number: (
        200,
        {
            "id": "msg_1",
            "model": "claude-x",
            "content": [{"type": "text", "text": verdict(5)}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 100, "output_tokens": 10},
        },
        {},
    )
    make_judge(engine, project, endpoint, name="claude", kind="anthropic", model="claude-x")
    start(engine, project, judge="claude")
    rows = judged()
    assert {row["scores"]["relevance"] for row in rows} == {1.0}
    assert {row["cost_pico"] for row in rows} == {280_000_000}
    call = endpoint.calls[0]
    assert call["_path"] == "/v1/messages" and [one["role"] for one in call["messages"]] == ["user"]
    assert call["output_config"]["format"]["type"] == "json_schema"


def test_a_reference_comes_as_a_tag_of_the_request(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    endpoint.respond = lambda body, number: (200, chat(verdict(5, "correctness")), {})
    make_judge(engine, project, endpoint)
    set_budget(engine, project, 100, NOW)
    context = Context(feature="chat", tags={"reference": "It is in Bremen."})
    add_requests(engine, project, 2, NOW, "told", context=context)
    add_requests(engine, project, 1, NOW, "untold")
    start(engine, project, rubric=CORRECTNESS)
    rows = judged()
    assert sorted(row["state"] for row in rows) == ["failed", "scored", "scored"]
    assert [row["reason"] for row in rows if row["state"] == "failed"] == ["no reference was stored with it"]
    assert all("It is in Bremen." in call["messages"][1]["content"] for call in endpoint.calls)


@pytest.mark.usefixtures("ready")
def test_what_waits_for_a_judge_that_is_retired_ends_with_that_reason(
    engine: Engine, project: Project, judged: Judged, endpoint: Endpoint
) -> None:
    start(engine, project)
    sample_project(engine, project.id, NOW)
    with tenant(engine, project.id) as connection:
        judges.end_policy(connection, project.id, "relevance", "tests", NOW)
        judges.retire_judge(connection, project.id, "tiny", "tests", NOW)
    rows = judged()
    assert {(row["state"], row["reason"]) for row in rows} == {("failed", "its judge was retired")}
    assert endpoint.calls == []
