"""What is drawn: by stored probabilities, the same whenever it is looked at, and every request can say why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.judging.builtin import REFUSAL, RELEVANCE
from core.judging.policy import Policy, latency_bucket
from core.money import PICO
from core.request import Context
from core.stats.sampling import draw
from core.store import judges, sampling
from core.store.session import tenant
from judge.sample import sample_project
from tests.conftest import Project
from tests.judge.conftest import Endpoint, add_requests, make_judge, set_budget

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SPAN = "1" * 16


@pytest.fixture(autouse=True)
def judge(engine: Engine, project: Project, endpoint: Endpoint) -> None:
    make_judge(engine, project, endpoint)
    set_budget(engine, project, 1000, NOW)


def start(engine: Engine, project: Project, policy: Policy, back_days: int = 30, **more: Any) -> int:
    with tenant(engine, project.id) as connection:
        return judges.start_policy(
            connection, project.id, policy, more.get("rubric", RELEVANCE), more.get("judge", "tiny"), None,
            NOW - timedelta(days=back_days), "salt", "tests", NOW,
        )  # fmt: skip


def drawn(engine: Engine, project: Project) -> dict[str, float]:
    """Trace → the probability with which it was drawn."""
    with tenant(engine, project.id) as connection:
        return {
            row.trace_id: row.chance
            for row in connection.execute(
                text("SELECT trace_id, chance FROM judging WHERE purpose = 'sample'")
            )
        }


def why(engine: Engine, project: Project, trace: str) -> str:
    with tenant(engine, project.id) as connection:
        (said,) = sampling.why(connection, judges.list_policies(connection), trace, SPAN)
    return said.words


def test_who_is_drawn_is_told_by_a_number_of_his_own_and_the_stored_probability(
    engine: Engine, project: Project
) -> None:
    # 200 of yesterday tell how many there are a day; of the 400 of today so far it is half a day.
    traces = add_requests(engine, project, 200, NOW - timedelta(days=1), "old")
    traces += add_requests(engine, project, 400, NOW, "new")
    start(engine, project, Policy(wanted_a_day=100))
    sample_project(engine, project.id, NOW)
    found = drawn(engine, project)
    for trace in traces:
        number = draw(trace, SPAN, "salt")
        if trace in found:
            assert number < found[trace]
        else:
            assert "not drawn" in why(engine, project, trace) and f"{number:.4f}" in why(
                engine, project, trace
            )
    # The first day of the policy knows nothing of a day before: all 200 pass for half of what will come.
    chances = {found[trace] for trace in traces[200:] if trace in found}
    assert len(chances) == 1 and 0.1 < chances.pop() < 0.2
    assert 30 < sum(trace in found for trace in traces[200:]) < 110


def test_a_rare_stratum_has_its_floor_and_the_probabilities_of_a_day_never_change(
    engine: Engine, project: Project
) -> None:
    yesterday = NOW - timedelta(days=1)
    add_requests(engine, project, 600, yesterday, "many")
    add_requests(engine, project, 12, yesterday, "few")
    start(engine, project, Policy("stratified", ("feature",), wanted_a_day=60, floor=10))
    add_requests(engine, project, 300, NOW, "many-today", context=Context(feature="many"))
    few = add_requests(engine, project, 12, NOW, "few-today", context=Context(feature="few"))
    with tenant(engine, project.id) as connection:
        judges.queue_since(connection, project.id, NOW - timedelta(days=30))
    sample_project(engine, project.id, NOW)
    before = drawn(engine, project)
    (chance,) = {before[trace] for trace in few if trace in before}
    assert chance == pytest.approx(10 / 24, rel=0.2)
    # More of today comes: its requests are drawn by the same probabilities.
    late = add_requests(engine, project, 40, NOW, "few-late", context=Context(feature="few"))
    with tenant(engine, project.id) as connection:
        judges.queue_since(connection, project.id, NOW - timedelta(days=1))
    sample_project(engine, project.id, NOW + timedelta(hours=1))
    after = drawn(engine, project)
    assert {trace: after[trace] for trace in before} == before
    same = {after[trace] for trace in late if trace in after}
    assert same == {before[trace] for trace in few if trace in before}


def test_neyman_looks_where_scores_vary(engine: Engine, project: Project) -> None:
    yesterday = NOW - timedelta(days=1)
    calm = add_requests(engine, project, 300, yesterday, "calm")
    wild = add_requests(engine, project, 300, yesterday, "wild")
    number = start(engine, project, Policy("neyman", ("feature",), wanted_a_day=5000))
    sample_project(engine, project.id, yesterday)
    with tenant(engine, project.id) as connection:
        connection.execute(
            text("""
                UPDATE judging SET state = 'scored', scores = jsonb_build_object('relevance',
                    CASE WHEN trace_id = ANY(:calm) THEN 0.75 WHEN trace_id = ANY(:high) THEN 1 ELSE 0 END)
            """),
            {"calm": calm, "high": wild[::2]},
        )
        of = next(one for one in judges.list_policies(connection) if one.id == number)
        today = sampling.round_of(connection, project.id, of, NOW.date(), NOW, lambda: 100)
    assert len(drawn(engine, project)) > 400 and wild
    assert today.chance('["wild"]') > 3 * today.chance('["calm"]') > 0


def test_a_budget_that_pays_for_less_draws_less_and_says_so(engine: Engine, project: Project) -> None:
    add_requests(engine, project, 300, NOW - timedelta(days=1), "old")
    number = start(engine, project, Policy(wanted_a_day=300))
    with tenant(engine, project.id) as connection:
        of = next(one for one in judges.list_policies(connection) if one.id == number)
        here = sampling.round_of(connection, project.id, of, NOW.date(), NOW, lambda: 30.0)
        note = connection.execute(text("SELECT note FROM judge_round")).scalar_one()
    assert here.base == pytest.approx(0.1) and "budget" in note


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("status = 'error'", "ended with an error"),
        ("counted = false", "counted elsewhere"),
        ("source = 'tripoint.judge'", "itself a call to a judge"),
        ("state = 'provisional'", "not settled yet"),
        ("feature = 'another'", "does not pass the filters"),
        ("started_at = started_at - interval '60 days'", "before the policy came into force"),
    ],
)
def test_what_is_not_eligible_says_why(engine: Engine, project: Project, change: str, words: str) -> None:
    (trace,) = add_requests(engine, project, 1, NOW)
    start(engine, project, Policy(filters={"feature": ("chat",)}))
    with tenant(engine, project.id) as connection:
        connection.execute(text(f"UPDATE request SET {change}"))
    sample_project(engine, project.id, NOW)
    assert drawn(engine, project) == {} and words in why(engine, project, trace)


def test_without_content_there_is_nothing_to_judge(engine: Engine, project: Project) -> None:
    (trace,) = add_requests(engine, project, 1, NOW)
    start(engine, project, Policy())
    with tenant(engine, project.id) as connection:
        connection.execute(text("DELETE FROM content"))
    sample_project(engine, project.id, NOW)
    assert drawn(engine, project) == {} and "nothing to judge" in why(engine, project, trace)


def test_a_scorer_costs_nothing_and_asks_for_no_budget(engine: Engine, project: Project) -> None:
    add_requests(engine, project, 20, NOW)
    with tenant(engine, project.id) as connection:
        judges.set_budget(connection, project.id, 0, "tests", NOW)
    start(engine, project, Policy(wanted_a_day=10_000), rubric=REFUSAL, judge=None)
    assert sample_project(engine, project.id, NOW) == 20


def test_the_queue_is_forgotten_where_no_policy_is_in_force(engine: Engine, project: Project) -> None:
    add_requests(engine, project, 5, NOW)
    start(engine, project, Policy())
    with tenant(engine, project.id) as connection:
        judges.end_policy(connection, project.id, "relevance", "tests", NOW)
    assert sample_project(engine, project.id, NOW) == 0
    with tenant(engine, project.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM unsampled")).scalar_one() == 0


def test_a_new_policy_takes_the_place_of_the_old_one(engine: Engine, project: Project) -> None:
    first, second = start(engine, project, Policy()), start(engine, project, Policy(wanted_a_day=7))
    with tenant(engine, project.id) as connection:
        assert [one.id for one in judges.list_policies(connection, live=True)] == [second]
        assert {one.id for one in judges.list_policies(connection)} == {first, second}


def test_latency_buckets_meet_at_their_edges() -> None:
    assert [latency_bucket(ms) for ms in (0, 999, 1000, 2999, 3000, 9999, 10_000)] == [
        "under 1 s", "under 1 s", "1 to 3 s", "1 to 3 s", "3 to 10 s", "3 to 10 s", "10 s and more",
    ]  # fmt: skip


def test_money_is_asked_for_before_a_judge_is(
    engine: Engine, other_project: Project, endpoint: Endpoint
) -> None:
    make_judge(engine, other_project, endpoint)
    with pytest.raises(Exception, match="Set first what judging may cost"):
        start(engine, other_project, Policy())
    set_budget(engine, other_project, 1, NOW)
    assert start(engine, other_project, Policy())
    with tenant(engine, other_project.id) as connection:
        assert judges.budget(connection, NOW.date()).left_pico == PICO


def test_a_round_that_begins_with_the_day_goes_by_the_days_before(engine: Engine, project: Project) -> None:
    add_requests(engine, project, 300, NOW - timedelta(days=1), "old")
    number = start(engine, project, Policy(wanted_a_day=30))
    early = datetime(2026, 11, 22, 0, 3, tzinfo=UTC)
    add_requests(engine, project, 3, early, "new")
    with tenant(engine, project.id) as connection:
        of = next(one for one in judges.list_policies(connection) if one.id == number)
        here = sampling.round_of(connection, project.id, of, early.date(), early, lambda: None)
    # Three in three minutes would make 1,440 a day.
    assert here.base == pytest.approx(0.1)
