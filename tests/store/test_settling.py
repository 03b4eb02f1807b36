"""The settle against a real ledger: what counts, for whom, whenever it arrives."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from collector.settle import changes, settle_all, settle_project
from core.pricing.price import PriceBook
from core.request import ContextSpan, RequestRecord
from core.settling import settle
from core.store import settling
from core.store.session import tenant
from core.usage import Usage
from tests.conftest import Project, make_project
from tests.store.rows import NOON, a_request, a_span, age_marks, settle_now, store, table, trace_id

SECOND = timedelta(seconds=1)


class Ledger:
    """One project's ledger in short words."""

    def __init__(self, engine: Engine, project: Project, book: PriceBook) -> None:
        self.engine, self.project, self.book = engine, project, book

    def take(self, requests: Sequence[RequestRecord] = (), spans: Sequence[ContextSpan] = ()) -> int:
        return store(self.engine, self.project, self.book, requests, spans)

    def settle(self) -> int:
        return settle_now(self.engine, self.project, self.book)

    def rows(self, name: str = "request") -> list[dict[str, Any]]:
        return table(self.engine, self.project, name)

    def counted(self) -> list[dict[str, Any]]:
        return [row for row in self.rows() if row["counted"]]


@pytest.fixture
def ledger(engine: Engine, project: Project, book: PriceBook) -> Ledger:
    return Ledger(engine, project, book)


def pair(**own: Any) -> tuple[RequestRecord, RequestRecord]:
    """One call as two instrumentations report it, each in a trace of its own."""
    outer = a_request(source="openllmetry", response_id="resp-1", **own)
    inner = replace(a_request(), source="anthropic", native=True, response_id="resp-1")
    return outer, inner


# from provisional to settled -------------------------------------------------------------------------


def test_a_fresh_request_is_provisional_and_then_settled(ledger: Ledger) -> None:
    ledger.take([a_request()])
    assert [row["state"] for row in ledger.rows()] == ["provisional"]
    assert ledger.settle() == 1
    assert [row["state"] for row in ledger.rows()] == ["settled"]


def test_settling_takes_the_marks_away(ledger: Ledger) -> None:
    ledger.take([a_request(), a_request()], [a_span()])
    assert len(ledger.rows("unsettled")) == 3
    ledger.settle()
    assert ledger.rows("unsettled") == []
    assert ledger.settle() == 0


def test_settling_again_changes_nothing(ledger: Ledger) -> None:
    root = a_span(user="ann", feature="search")
    ledger.take([*pair(), a_request(trace_id=root.trace_id, parent_span_id=root.span_id)], [root])
    ledger.settle()
    before = ledger.rows()
    for row in before:
        _mark(ledger, row["trace_id"])
    assert ledger.settle() > 0
    assert ledger.rows() == before


def test_a_replay_of_what_is_settled_wakes_nobody(ledger: Ledger) -> None:
    record = a_request()
    ledger.take([record])
    ledger.settle()
    assert ledger.take([record]) == 0
    assert ledger.rows("unsettled") == []
    assert [row["state"] for row in ledger.rows()] == ["settled"]


def test_a_trace_waits_until_it_is_quiet(ledger: Ledger) -> None:
    ledger.take([a_request()])
    assert _settle_at(ledger, datetime.now(UTC), quiet=60, longest=300) == 0
    assert _settle_at(ledger, datetime.now(UTC) + timedelta(seconds=61), quiet=60, longest=300) == 1


def test_a_busy_trace_is_settled_at_the_latest_after_its_longest_wait(ledger: Ledger) -> None:
    trace = trace_id()
    ledger.take([a_request(trace_id=trace)])
    age_marks(ledger.engine, ledger.project, minutes=6)
    ledger.take([a_request(trace_id=trace)])
    assert _settle_at(ledger, datetime.now(UTC), quiet=60, longest=300) == 1
    assert {row["state"] for row in ledger.rows()} == {"settled"}


def test_a_request_committed_while_its_trace_is_settled_stays_provisional(ledger: Ledger) -> None:
    trace = trace_id()
    ledger.take([a_request(trace_id=trace)])
    with tenant(ledger.engine, ledger.project.id) as connection:
        assert settling.lock(connection, ledger.project.id, wait=False)
        found = settling.waiting(connection, _later(), _later(), 10)
        assert found is not None
        stored, spans = settling.load(connection, found.traces)
        late = a_request(trace_id=trace)
        ledger.take([late])
        settled = settle([row.sent for row in stored], spans)
        settling.write(connection, changes(stored, settled, ledger.book))
        settling.finish(connection, found, stored)
    assert {row["span_id"]: row["state"] for row in ledger.rows()}[late.span_id] == "provisional"
    assert len(ledger.rows("unsettled")) == 1
    assert ledger.settle() == 1
    assert {row["state"] for row in ledger.rows()} == {"settled"}


# inheritance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent_first", [True, False])
def test_context_comes_from_an_ancestor_of_another_body(ledger: Ledger, parent_first: bool) -> None:
    root = a_span(user="ann", feature="search", tenant="acme", tags={"team": "blue"})
    middle = a_span(trace_id=root.trace_id, parent_span_id=root.span_id)
    leaf = a_request(trace_id=root.trace_id, parent_span_id=middle.span_id, session="own")
    bodies = [([], [root]), ([], [middle]), ([leaf], [])]
    for requests, spans in bodies if parent_first else reversed(bodies):
        ledger.take(requests, spans)
    ledger.settle()
    (row,) = ledger.rows()
    assert (row["user_name"], row["feature"], row["tenant"], row["session"], row["tags"]) == (
        "ann",
        "search",
        "acme",
        "own",
        {"team": "blue"},
    )


def test_an_ancestor_that_comes_after_the_settle_settles_the_trace_anew(ledger: Ledger) -> None:
    root = a_span(user="ann", feature="search")
    ledger.take([a_request(trace_id=root.trace_id, parent_span_id=root.span_id)])
    ledger.settle()
    assert [row["feature"] for row in ledger.rows()] == [None]
    ledger.take((), [root])
    ledger.settle()
    assert [(row["feature"], row["user_name"], row["state"]) for row in ledger.rows()] == [
        ("search", "ann", "settled")
    ]


def test_what_was_inherited_gives_way_to_a_nearer_ancestor_that_comes_later(ledger: Ledger) -> None:
    root = a_span(feature="far", user="far", seconds=9)
    near = a_span(trace_id=root.trace_id, parent_span_id=root.span_id, feature="near", user="near", seconds=8)
    leaf = a_request(trace_id=root.trace_id, parent_span_id=near.span_id)
    ledger.take([leaf], [root])
    ledger.settle()
    assert ledger.rows()[0]["feature"] is None  # its place in the trace is not known yet
    ledger.take((), [near])
    ledger.settle()
    assert (ledger.rows()[0]["feature"], ledger.rows()[0]["user_name"]) == ("near", "near")


def test_users_names_are_in_one_table_only(ledger: Ledger, owner: Engine) -> None:
    name = "Ann-Marie O'Neill"
    root = a_span(user=name)
    ledger.take(
        [a_request(trace_id=root.trace_id, parent_span_id=root.span_id), a_request(user=name)], [root]
    )
    ledger.settle()
    assert [row["user_name"] for row in ledger.rows()] == [name, name]
    with owner.connect() as connection:
        tables = connection.execute(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        ).scalars()
        holding = {
            found
            for found in list(tables)
            if connection.execute(
                text(f'SELECT count(*) FROM "{found}" t WHERE t::text LIKE :name'), {"name": "%Ann-Marie%"}
            ).scalar_one()
        }
    assert holding == {"user_name"}


def test_what_a_row_remembers_of_the_wire_holds_no_name(ledger: Ledger) -> None:
    root = a_span(user="ann", feature="search")
    ledger.take([a_request(trace_id=root.trace_id, parent_span_id=root.span_id)], [root])
    ledger.settle()
    (row,) = ledger.rows()
    assert row["as_sent"]["user_name"] is None
    assert "ann" not in json.dumps(row["as_sent"])


def test_an_erased_user_does_not_come_back_with_a_later_settle(ledger: Ledger) -> None:
    root = a_span(user="ann", feature="search")
    leaf = a_request(trace_id=root.trace_id, parent_span_id=root.span_id)
    ledger.take([leaf], [root])
    ledger.settle()
    with tenant(ledger.engine, ledger.project.id) as connection:
        connection.execute(text("DELETE FROM user_name"))
    _mark(ledger, leaf.trace_id)
    ledger.settle()
    assert [row["user_name"] for row in ledger.rows()] == [None]
    assert [row["feature"] for row in ledger.rows()] == ["search"]


# double counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("settle_between", [True, False])
def test_one_call_in_two_traces_counts_once_in_either_order(
    ledger: Ledger, order: tuple[int, int], settle_between: bool
) -> None:
    both = pair(feature="search")
    for at in order:
        ledger.take([both[at]])
        if settle_between:
            ledger.settle()
    ledger.settle()
    outer, inner = both
    (counted,) = ledger.counted()
    assert (counted["span_id"], counted["feature"]) == (outer.span_id, "search")
    (other,) = [row for row in ledger.rows() if not row["counted"]]
    assert (other["span_id"], other["duplicate_of"]) == (inner.span_id, f"{outer.trace_id}-{outer.span_id}")


def test_calls_of_a_mock_that_repeats_its_id_are_no_twins(ledger: Ledger) -> None:
    records = [a_request(NOON + n * SECOND * 0.1, seconds=1, response_id="mock") for n in range(30)]
    ledger.take(records)
    ledger.settle()
    assert len(ledger.counted()) == 30


def test_calls_of_a_mock_are_not_settled_all_over_again(ledger: Ledger) -> None:
    """Each waits for its own trace only, however many of its id are in flight."""
    ledger.take([a_request(NOON + n * SECOND * 0.1, response_id="mock") for n in range(20)])
    ledger.settle()
    late = a_request(NOON + SECOND, response_id="mock")
    ledger.take([late])
    with tenant(ledger.engine, ledger.project.id) as connection:
        found = settling.waiting(connection, _later(), _later(), 10)
        assert found is not None
        assert settling.with_twins(connection, found) == {late.trace_id}


def test_a_replay_of_a_merged_request_does_not_count_again(ledger: Ledger) -> None:
    both = pair()
    ledger.take(both)
    ledger.settle()
    assert ledger.take(both) == 0
    ledger.settle()
    assert len(ledger.counted()) == 1


# sums ------------------------------------------------------------------------------------------------


def agent(**fields: Any) -> RequestRecord:
    return a_request(aggregate=True, seconds=5, usage=Usage(uncached_input=300, visible_output=30), **fields)


def test_a_sum_without_a_request_below_it_is_billed(ledger: Ledger) -> None:
    ledger.take([agent()])
    assert ledger.counted() == []
    ledger.settle()
    assert [row["aggregate"] for row in ledger.counted()] == [True]


def test_a_sum_that_was_billed_is_taken_back_when_its_child_comes_later(ledger: Ledger) -> None:
    above = agent(feature="search")
    ledger.take([above])
    ledger.settle()
    child = a_request(trace_id=above.trace_id, parent_span_id=above.span_id)
    ledger.take([child])
    ledger.settle()
    (counted,) = ledger.counted()
    assert (counted["span_id"], counted["feature"]) == (child.span_id, "search")


# several at once -------------------------------------------------------------------------------------


def test_settles_at_once_do_not_double(ledger: Ledger) -> None:
    ledger.take([record for _ in range(15) for record in _fresh_pair()])
    start = threading.Barrier(3)

    def run(_: int) -> int:
        start.wait()
        return ledger.settle()

    with ThreadPoolExecutor(3) as pool:
        settled = list(pool.map(run, range(3)))
    assert sum(settled) == 30
    assert len(ledger.counted()) == 15
    assert {row["state"] for row in ledger.rows()} == {"settled"}


def test_a_settle_that_is_asked_for_waits_for_the_one_at_work(ledger: Ledger) -> None:
    """What the caller sent before is settled when the answer is there."""
    ledger.take([a_request()])
    with ThreadPoolExecutor(1) as pool:
        with tenant(ledger.engine, ledger.project.id) as connection:
            assert settling.lock(connection, ledger.project.id, wait=False)
            asked = pool.submit(ledger.settle)
            with pytest.raises(TimeoutError):
                asked.result(0.3)
        assert asked.result(10) == 1


def test_the_worker_leaves_a_project_that_is_being_settled(ledger: Ledger) -> None:
    ledger.take([a_request()])
    with tenant(ledger.engine, ledger.project.id) as connection:
        assert settling.lock(connection, ledger.project.id, wait=False)
        settle_all(ledger.engine, ledger.book, _later(), timedelta(0), timedelta(0))
        assert len(ledger.rows("unsettled")) == 1


def test_spans_that_come_while_others_settle_are_settled_in_the_end(ledger: Ledger) -> None:
    roots = [a_span(feature=f"f{n}") for n in range(20)]
    done = threading.Event()

    def settle_on() -> None:
        while not done.is_set():
            ledger.settle()

    settler = threading.Thread(target=settle_on)
    settler.start()
    for root in roots:
        ledger.take([a_request(trace_id=root.trace_id, parent_span_id=root.span_id)])
        ledger.take((), [root])
    done.set()
    settler.join()
    ledger.settle()
    assert {row["state"] for row in ledger.rows()} == {"settled"}
    assert sorted(row["feature"] for row in ledger.rows()) == sorted(f"f{n}" for n in range(20))


# below -----------------------------------------------------------------------------------------------


def _fresh_pair() -> tuple[RequestRecord, RequestRecord]:
    outer, inner = pair()
    return replace(outer, response_id=outer.trace_id), replace(inner, response_id=outer.trace_id)


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def _settle_at(ledger: Ledger, now: datetime, quiet: float, longest: float) -> int:
    return settle_project(
        ledger.engine,
        ledger.project.id,
        ledger.book,
        now,
        timedelta(seconds=quiet),
        timedelta(seconds=longest),
    )


def _mark(ledger: Ledger, trace: str) -> None:
    """As a late span would."""
    ledger.take((), [a_span(trace_id=trace)])


# what a review found ---------------------------------------------------------------------------------


DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["parent first", "child first"])
def test_a_trace_of_a_week_settles_alike_however_it_comes(ledger: Ledger, order: tuple[int, int]) -> None:
    root = replace(a_request(user="bob"), aggregate=True, duration_ns=6 * DAY_NS)
    child = replace(
        a_request(trace_id=root.trace_id, parent_span_id=root.span_id),
        started_ns=root.started_ns + 5 * DAY_NS,
    )
    for at in order:
        ledger.take([(root, child)[at]])
        ledger.settle()
    (row,) = ledger.counted()
    assert row["span_id"] == child.span_id and row["user_key"] is not None


def test_a_span_sent_again_with_another_start_day_counts_once(ledger: Ledger) -> None:
    first = a_request()
    again = replace(first, started_ns=first.started_ns + DAY_NS)
    ledger.take([first])
    ledger.settle()
    ledger.take([again])
    ledger.settle()
    assert len(ledger.rows()) == 2
    assert len(ledger.counted()) == 1


def test_a_mock_that_repeats_one_id_does_not_chain_its_traces(ledger: Ledger) -> None:
    calls = [
        a_request(NOON + timedelta(milliseconds=20 * at), source=source, response_id="mock")
        for at in range(40)
        for source in ("one", "two")
    ]
    ledger.take(calls)
    with tenant(ledger.engine, ledger.project.id) as connection:
        found = settling.waiting(connection, _later(), _later(), 5)
        assert found is not None
        assert settling.with_twins(connection, found) == found.traces


def test_what_fails_in_one_project_leaves_the_others_alone(
    ledger: Ledger, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collector import settle as room

    other = Ledger(ledger.engine, make_project(owner), ledger.book)
    ledger.take([a_request()])
    other.take([a_request()])
    whole = room.settle_project

    def broken(engine: Engine, project_id: int, *rest: Any, **options: Any) -> int:
        if project_id == ledger.project.id:
            raise RuntimeError("planted")
        return whole(engine, project_id, *rest, **options)

    monkeypatch.setattr(room, "settle_project", broken)
    settle_all(ledger.engine, ledger.book, _later(), SECOND, SECOND)
    assert [row["state"] for row in other.rows()] == ["settled"]
    assert [row["state"] for row in ledger.rows()] == ["provisional"]
