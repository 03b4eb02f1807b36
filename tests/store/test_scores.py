"""Scores in the ledger: once each, whenever their request comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.score import Score
from core.store.requests import one_trace
from core.store.scores import find_scores, store_scores
from core.store.session import tenant
from tests.conftest import Project
from tests.store.rows import NOON, a_request, a_score, settle_now, store, table


def scores(engine: Engine, project: Project, trace_id: str) -> list[Score]:
    with tenant(engine, project.id) as connection:
        return list(find_scores(connection, trace_id).items)


def test_a_score_is_read_as_it_was_given(engine: Engine, project: Project) -> None:
    given = a_score(a_request(), "tone", 0.75, author="ann", label="kind", comment="well said", id="mine")
    assert store_scores(engine, project.id, [given]) == 1
    assert scores(engine, project, given.trace_id) == [given]


def test_a_score_that_comes_first_waits_for_its_request(
    engine: Engine, project: Project, book: PriceBook
) -> None:
    record = a_request()
    store_scores(engine, project.id, [a_score(record)])
    store(engine, project, book, [record])
    settle_now(engine, project, book)
    with tenant(engine, project.id) as connection:
        assert [one.value for one in one_trace(connection, record.trace_id).scores] == [1]


@pytest.mark.parametrize("fields", [{}, {"id": "mine"}])
def test_a_retry_counts_once(engine: Engine, project: Project, fields: dict[str, Any]) -> None:
    given = a_score(a_request(), **fields)
    assert [store_scores(engine, project.id, [given, given]) for _ in range(2)] == [1, 0]


def test_a_retry_after_midnight_counts_once(engine: Engine, project: Project) -> None:
    record = a_request(NOON - timedelta(days=2))
    late = [a_score(record, id="mine", recorded_at=NOON + timedelta(seconds=n), now=NOON) for n in (-1, 1)]
    assert [store_scores(engine, project.id, [one]) for one in late] == [1, 0]


def test_a_changed_mind_is_a_new_row_and_the_newest_comes_first(engine: Engine, project: Project) -> None:
    record = a_request()
    told = [
        a_score(record, value=v, recorded_at=NOON + timedelta(hours=n)) for n, v in ((1, 1), (2, 0), (3, 1))
    ]
    assert store_scores(engine, project.id, told) == 3
    assert scores(engine, project, record.trace_id) == told[::-1]


def test_the_same_id_in_two_projects_is_two_scores(
    engine: Engine, project: Project, other_project: Project
) -> None:
    given = a_score(a_request(), id="mine")
    assert store_scores(engine, project.id, [given]) == store_scores(engine, other_project.id, [given]) == 1


def test_who_scored_stands_among_the_names_so_that_erasing_is_one_delete(
    engine: Engine, project: Project
) -> None:
    given = a_score(a_request(), author="ann")
    store_scores(engine, project.id, [given])
    assert "ann" not in str(table(engine, project, "score"))
    with tenant(engine, project.id) as connection:
        connection.exec_driver_sql("DELETE FROM user_name WHERE name = 'ann'")
    assert [one.author for one in scores(engine, project, given.trace_id)] == [None]


def test_more_scores_than_are_shown_are_said(
    engine: Engine, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.scores.SCORES_MAX", 2)
    record = a_request()
    store_scores(engine, project.id, [a_score(record, name=name) for name in ("a", "b", "c")])
    with tenant(engine, project.id) as connection:
        found = find_scores(connection, record.trace_id)
    assert (len(found.items), found.complete) == (2, False)
