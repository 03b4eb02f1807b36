"""Questions asked together against the same questions asked one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from core.pricing.price import PriceBook
from core.question import METRICS, CostQuestion, check_question
from core.request import RequestRecord
from core.store import shared
from core.store.lens import PostgresLens
from core.store.session import tenant
from core.window import EVER, Window
from tests.conftest import Project, make_project
from tests.store.rows import a_request, settle_now, store
from tests.store.test_lens import records

HOUR = timedelta(hours=1)
SUMS = ("requests", "cost", "errors")
# Half-hour offsets, days of 23 and 25 hours, a midnight that comes twice and one that never comes.
MOMENTS = {
    "UTC": datetime(2026, 3, 1, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 3, 1, 18, 15, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 13, tzinfo=UTC),
    "Europe/Berlin": datetime(2025, 10, 25, 22, tzinfo=UTC),
    "America/Havana": datetime(2025, 11, 2, 4, tzinfo=UTC),
    "America/Santiago": datetime(2025, 9, 7, 3, tzinfo=UTC),
}


@st.composite
def questions(draw: st.DrawFn, window: Window, zone: str) -> list[CostQuestion]:
    """Such as a page asks: about one window, and one about another."""
    interval = draw(st.sampled_from(["hour", "day", "week", "month"]))
    groups = st.lists(
        st.sampled_from(["tier", "feature", "model", "status", "user"]), max_size=2, unique=True
    )

    def one(over: Window) -> CostQuestion:
        group_by = draw(groups)
        cut = draw(st.sampled_from([None, interval]))
        orders = st.sampled_from([*SUMS, "latency_avg", "ttft_p95", *group_by, *(["start"] if cut else [])])
        return check_question(
            window=over,
            group_by=group_by,
            filters=filters,
            interval=cut,
            metrics=draw(
                st.sampled_from([SUMS, tuple(METRICS), ("cost", "ttft_p95"), ("users", "latency_avg")])
            ),
            order=draw(orders),
            direction=draw(st.sampled_from(["asc", "desc"])),
            limit=draw(st.sampled_from([1, 2, 10_000])),
            offset=draw(st.sampled_from([0, 0, 1])),
            zone=zone,
        )

    filters = draw(st.sampled_from([{}, {"tier": ("a", None)}, {"user": (None, "b")}]))
    return [*(one(window) for _ in range(draw(st.integers(2, 4)))), one(EVER)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    sent=st.lists(records(), max_size=20),
    zone=st.sampled_from(list(MOMENTS)),
    settled=st.integers(0, 20),
    erased=st.booleans(),
)
def test_together_every_answer_is_the_one_that_each_question_gets_alone(
    owner: Engine,
    engine: Engine,
    book: PriceBook,
    data: st.DataObject,
    sent: list[RequestRecord],
    zone: str,
    settled: int,
    erased: bool,
) -> None:
    project = make_project(owner)
    begin = MOMENTS[zone]
    moved = [replace(r, started_ns=_ns(begin + _from(r) - 24 * HOUR)) for r in sent]
    store(engine, project, book, moved[:settled])
    settle_now(engine, project, book)
    store(engine, project, book, moved[settled:])
    if erased:
        with tenant(engine, project.id) as connection:
            connection.execute(text("DELETE FROM user_name WHERE name = 'a'"))
    window = data.draw(st.sampled_from([EVER, Window(begin - 3 * HOUR, begin + 27 * HOUR)]))
    asked = data.draw(questions(window, zone))
    lens = PostgresLens(engine)
    answers = lens.ask_all(project.id, asked)
    assert len({answer.as_of for answer in answers}) == 1
    for question, answer in zip(asked, answers, strict=True):
        assert replace(answer, as_of=begin) == replace(lens.ask(project.id, question), as_of=begin)


def _from(record: RequestRecord) -> timedelta:
    """The time of day that the strategy drew, and its day, from a fixed one."""
    return timedelta(microseconds=record.started_ns // 1000 % (50 * 3600 * 10**6))


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


@pytest.fixture
def page(engine: Engine, project: Project, book: PriceBook) -> list[CostQuestion]:
    """Questions that go together, over a few requests."""
    sent = [a_request(feature=f"f{n % 3}", tier=f"t{n % 2}", user=f"u{n}", seconds=n + 1) for n in range(6)]
    store(engine, project, book, [*sent, a_request(provider="acme", request_model="nobody-knows")])
    ask: Callable[..., CostQuestion] = lambda **words: check_question(window=EVER, **words)  # noqa: E731
    return [
        ask(group_by=["tier"], metrics=[*SUMS, "latency_p50", "ttft_p95"]),
        ask(group_by=["tier"], interval="day", metrics=["cost", "latency_p95"]),
        ask(group_by=["feature"], metrics=SUMS, limit=2),
        ask(group_by=["user"], metrics=SUMS),
        ask(metrics=SUMS),
    ]


def test_questions_about_the_same_requests_read_them_once_for_sums_and_once_for_percentiles(
    engine: Engine, project: Project, page: list[CostQuestion]
) -> None:
    read: list[str] = []
    note: Any = lambda *said: read.append(said[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", note)
    try:
        PostgresLens(engine).ask_all(project.id, page)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    # The fourth is by user, which has a pass of its own; others count why some have no price, and what judging cost.
    scans = [statement for statement in read if "FROM request" in statement]
    assert len(scans) == 5, scans
    assert sum(statement.count("FROM request") for statement in scans) == 5
    assert sum("source = 'tripoint.judge'" in statement for statement in scans) == 1


@pytest.mark.parametrize("limit", ["CELLS", "GROUPS"])
def test_too_many_groups_for_one_pass_are_asked_for_one_by_one(
    engine: Engine,
    project: Project,
    page: list[CostQuestion],
    limit: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lens = PostgresLens(engine)
    whole = lens.ask_all(project.id, page)
    monkeypatch.setattr(shared, limit, 1)
    assert [replace(a, as_of=whole[0].as_of) for a in lens.ask_all(project.id, page)] == whole


def test_a_caller_whose_second_connection_is_taken_does_with_one(
    engine: Engine, project: Project, page: list[CostQuestion]
) -> None:
    lens = PostgresLens(engine)
    whole = lens.ask_all(project.id, page)
    with lens._second:
        alone = lens.ask_all(project.id, page)
    assert [replace(answer, as_of=whole[0].as_of) for answer in alone] == whole


def test_all_parts_are_of_one_moment_in_both_connections(
    engine: Engine, project: Project, book: PriceBook, page: list[CostQuestion]
) -> None:
    """A request that is acknowledged after the first statement is in no part of the answer."""
    late: list[str] = []

    def arrive(*said: Any) -> None:
        if "pg_export_snapshot" in said[2]:
            late.append(said[2])
            store(engine, project, book, [a_request(tier="t0", feature="f0", user="u0", seconds=99)])

    event.listen(engine, "after_cursor_execute", arrive)
    try:
        answers = PostgresLens(engine).ask_all(project.id, page)
    finally:
        event.remove(engine, "after_cursor_execute", arrive)
    assert len(late) == 1
    assert {answer.total.metrics["requests"] for answer in answers if "requests" in answer.total.metrics} == {
        7
    }
    assert answers[0].total.metrics["latency_p50"] == 3000 and answers[1].total.metrics["latency_p95"] == 6000
    assert PostgresLens(engine).ask(project.id, page[4]).total.metrics["requests"] == 8


def test_no_questions_have_no_answers(engine: Engine, project: Project) -> None:
    assert PostgresLens(engine).ask_all(project.id, []) == []
