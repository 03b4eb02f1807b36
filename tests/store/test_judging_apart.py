"""Tripoint's own calls to judges: in no total that did not ask for them, and said beside every one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.pricing.price import PriceBook
from core.question import JUDGE_FEATURE, JUDGE_SOURCE, Answer, Judging, check_question
from core.request import RequestRecord
from core.store import quality, requests, statements
from core.store.lens import PostgresLens
from core.store.partitions import ensure_days
from core.store.session import tenant, transaction
from core.window import EVER, Window
from tests.conftest import Project
from tests.store.rows import NOON, a_request, a_score, store

# gpt-4o-mini: 0.15 USD a million tokens in, 0.60 out: 100 in and 10 out cost 15 + 6 = 21 micro-dollars
EACH = 21_000_000
Ask = Callable[..., Answer]


def a_judging(**fields: Any) -> RequestRecord:
    return a_request(source=JUDGE_SOURCE, feature=JUDGE_FEATURE, **fields)


@pytest.fixture
def asked(engine: Engine, project: Project, book: PriceBook) -> list[RequestRecord]:
    """Two of an application, of which one was scored; three of a judge, of which one has no price and one is older."""
    own = [a_request(feature="chat"), a_request(feature="judge", tier="premium")]
    calls = [
        a_judging(),
        a_judging(provider="acme", request_model="home-made"),
        a_judging(at=NOON - timedelta(days=2)),
    ]
    store(engine, project, book, [*own, *calls], scores=[a_score(own[0]), a_score(calls[0])])
    return [*own, *calls]


@pytest.fixture
def ask(engine: Engine, project: Project) -> Ask:
    return lambda **words: PostgresLens(engine).ask(project.id, check_question(**{"window": EVER, **words}))


def test_a_total_leaves_the_judges_out_and_says_what_they_cost(ask: Ask, asked: list[RequestRecord]) -> None:
    answer = ask(group_by=["feature"], metrics=["requests", "cost"])
    assert {row.group[0]: row.metrics["requests"] for row in answer.rows} == {"chat": 1, "judge": 1}
    assert (answer.total.metrics, answer.coverage.unpriced) == ({"requests": 2, "cost": 2 * EACH}, 0)
    assert answer.judging == Judging(requests=3, cost_pico=2 * EACH, unpriced=1, included=False)


@pytest.mark.parametrize(
    ("filters", "requests", "judging"),
    [
        ({"source": [JUDGE_SOURCE]}, 3, Judging(3, 2 * EACH, 1, included=True)),
        ({"feature": ["judge"]}, 4, Judging(3, 2 * EACH, 1, included=True)),
        ({"feature": ["judge", "chat"]}, 5, Judging(3, 2 * EACH, 1, included=True)),
        ({"source": [JUDGE_SOURCE, "test"]}, 5, Judging(3, 2 * EACH, 1, included=True)),
        ({"feature": ["chat"]}, 1, Judging(0, 0, 0, included=False)),
        ({"request_model": ["home-made"]}, 0, Judging(1, None, 1, included=False)),
        ({"tier": [None]}, 1, Judging(3, 2 * EACH, 1, included=False)),
    ],
)
def test_filters_that_name_judging_have_it_in(
    ask: Ask,
    asked: list[RequestRecord],
    filters: dict[str, list[str | None]],
    requests: int,
    judging: Judging,
) -> None:
    answer = ask(filters=filters, metrics=["requests"])
    assert (answer.total.metrics["requests"], answer.judging) == (requests, judging)


def test_what_judging_cost_is_of_the_same_window(ask: Ask, asked: list[RequestRecord]) -> None:
    answer = ask(window=Window(NOON - timedelta(days=3), NOON - timedelta(days=1)))
    assert (answer.total.metrics["requests"], answer.judging) == (0, Judging(1, EACH, 0, included=False))


def test_a_page_of_questions_has_in_each_answer_its_own_judging(
    engine: Engine, project: Project, asked: list[RequestRecord]
) -> None:
    questions = [
        check_question(window=EVER, group_by=["tier"], metrics=["requests", "latency_p50"]),
        check_question(window=EVER, group_by=["feature"], metrics=["requests"]),
        check_question(window=Window(NOON - timedelta(days=1)), metrics=["requests"]),
        check_question(window=EVER, filters={"source": [JUDGE_SOURCE]}, metrics=["requests"]),
    ]
    answers = PostgresLens(engine).ask_all(project.id, questions)
    assert [answer.total.metrics["requests"] for answer in answers] == [2, 2, 2, 3]
    assert [answer.judging.requests for answer in answers] == [3, 3, 2, 3]
    assert [answer.judging.included for answer in answers] == [False, False, False, True]


def test_nobody_who_judges_nothing_is_told_of_a_cost(ask: Ask) -> None:
    assert ask().judging == Judging(0, 0, 0, included=False)


def test_a_list_leaves_them_out_but_not_a_trace_that_was_asked_for(
    engine: Engine, project: Project, asked: list[RequestRecord]
) -> None:
    of_judge = asked[2].trace_id
    with tenant(engine, project.id) as connection:
        page = requests.find_requests(connection, EVER, {})
        named = requests.find_requests(connection, EVER, {"source": (JUDGE_SOURCE,)})
        trace = requests.find_requests(connection, EVER, {}, trace_id=of_judge)
        beside = requests.judging_among(connection, EVER, {})
        in_it = requests.judging_among(connection, EVER, {}, of_judge)
    assert {item.record.source for item in page.items} == {"test"} and len(page.items) == 2
    assert {item.record.source for item in named.items} == {JUDGE_SOURCE} and len(named.items) == 3
    assert [item.record.trace_id for item in trace.items] == [of_judge]
    assert (beside.requests, beside.included, in_it.requests, in_it.included) == (3, False, 1, True)
    given = [
        part for part in requests.all_requests(engine, project.id, EVER, {}) if not isinstance(part, str)
    ]
    assert sum(map(len, given)) == 2


def test_quality_is_of_what_applications_asked(
    engine: Engine, project: Project, asked: list[RequestRecord]
) -> None:
    answer = quality.measure(engine, project.id, check_question(window=EVER, metrics=["requests"]))
    (mean,) = answer.total
    assert (mean.requests, mean.scored, answer.judging.requests) == (2, 1, 3)


def test_what_judging_cost_is_read_from_its_own_index(
    engine: Engine, owner: Engine, project: Project
) -> None:
    """Thousands of other requests are not looked at."""
    ensure_days(owner, [NOON.date()])
    with transaction(owner) as connection:
        connection.execute(
            text(
                "INSERT INTO request (project_id, day, trace_id, span_id, started_at, duration_us, name, source,"
                " source_version, native, aggregate, batch, status, pricing_status, cost_pico, state, counted)"
                " SELECT :project, CAST(:day AS date), md5(n::text), substr(md5('s' || n), 1, 16),"
                " CAST(:day AS timestamptz) + n * interval '1 ms', 1, 'chat',"
                " CASE WHEN n % 1000 = 0 THEN 'tripoint.judge' ELSE 'test' END, '1', false, false, false, 'ok',"
                " 'priced', 7, 'settled', true FROM generate_series(1, 20000) n"
            ),
            {"project": project.id, "day": NOON.date()},
        )
        connection.execute(text("ANALYZE request"))
    window = Window(NOON, NOON + timedelta(days=1))
    question = check_question(window=window, filters={"status": ["ok"]})
    with tenant(engine, project.id) as connection:
        statement = statements.judging(window, question.filters).compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
        explained = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {str(statement).replace('%', '%%')}"
        ).scalar_one()
        found = requests.judging_among(connection, window, question.filters)
    assert (found.requests, found.cost_pico) == (20, 140)
    assert scanned(explained[0]["Plan"]) <= 40


def scanned(plan: dict[str, Any]) -> int:
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Relation Name" in plan else 0
    return round(own * plan["Actual Loops"]) + sum(map(scanned, plan.get("Plans", ())))
