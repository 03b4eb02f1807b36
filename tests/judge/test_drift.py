"""Watches see every judgement once, in whatever pieces, and nothing that is not a sample."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.stats.stream import Stream, Terms, feed
from core.store import watches
from core.store.session import tenant
from judge import drift
from judge.drift import check_all, check_project, watch_some
from tests.conftest import Project
from tests.judge.drifting import BEGUN, Desk, a_desk, levels
from tests.store.rows import NOON


@pytest.fixture
def desk(engine: Engine, project: Project, book: PriceBook) -> Desk:
    return a_desk(engine, project, book)


def check(desk: Desk) -> int:
    return check_project(desk.engine, desk.project.id, NOON)


def test_in_pieces_every_score_is_fed_once_and_as_at_once(
    engine: Engine, project: Project, other_project: Project, book: PriceBook
) -> None:
    scores = levels(1, 460, 0.8)
    pieces, once = a_desk(engine, project, book), a_desk(engine, other_project, book)
    for at in range(0, len(scores), 92):
        pieces.judged(scores[at : at + 92], at=BEGUN + timedelta(minutes=at))
        with tenant(engine, project.id) as connection:
            assert watch_some(connection, project.id, NOON, most=40) == 40
        assert check(pieces) == 52
    once.judged(scores)
    assert (check(once), check(once), check(pieces)) == (460, 0, 0)
    expected = feed(Stream(), scores, Terms())
    assert pieces.state() == once.state() == expected
    assert pieces.state("correct") == expected
    assert {row.watched_at for row in pieces.rows("watched_at")} == {NOON}


def test_who_is_killed_in_between_leaves_everything_as_it_was(desk: Desk) -> None:
    desk.judged(levels(2, 300, 0.8))
    with tenant(desk.engine, desk.project.id) as connection:
        assert watch_some(connection, desk.project.id, NOON) == 300
        connection.rollback()
    assert desk.watches() == [] and {row.watched_at for row in desk.rows("watched_at")} == {None}
    assert check(desk) == 300
    assert desk.state() == feed(Stream(), levels(2, 300, 0.8), Terms())


def test_one_process_moves_a_projects_watches_at_a_time(desk: Desk) -> None:
    desk.judged(levels(3, 50, 0.8))
    with tenant(desk.engine, desk.project.id) as connection:
        assert watch_some(connection, desk.project.id, NOON) == 50
        assert check(desk) == 0
    assert check(desk) == 0 and desk.state().count == 50


def test_a_judgement_that_is_late_is_fed_when_it_comes(desk: Desk) -> None:
    desk.judged([1.0] * 10, at=BEGUN + timedelta(hours=1))
    check(desk)
    desk.judged([0.0], at=BEGUN)
    check(desk)
    assert desk.state().learnt == (*[1.0] * 10, 0.0)


def test_repeats_are_awaited_and_fed_as_their_mean(desk: Desk) -> None:
    records = desk.judged([1.0])
    desk.judge_again(records, [None], repeat=1, state="waiting")
    assert check(desk) == 0
    desk.finish(records, "sample", {"helpful": 0.5, "correct": 0.0})
    check(desk)
    assert desk.state().learnt == (0.75,) and desk.state("correct").learnt == (0.5,)


def test_the_strong_judges_answer_takes_the_place_of_the_samples(desk: Desk) -> None:
    records = desk.judged([1.0])
    desk.judge_again(records, [None], purpose="escalated", state="asked")
    assert check(desk) == 0
    desk.finish(records, "escalated", {"helpful": 0.25})
    assert check(desk) == 1
    assert desk.state().learnt == (0.25,)
    assert [one.dimension for one in desk.watches("correct")] == []


def test_the_strong_judges_failure_leaves_the_samples_answer(desk: Desk) -> None:
    desk.judge_again(desk.judged([0.75]), [None], purpose="escalated", state="failed")
    assert check(desk) == 1 and desk.state().learnt == (0.75,)


def test_an_answer_that_escalates_after_it_was_fed_counts_once(desk: Desk) -> None:
    records = desk.judged([1.0])
    check(desk)
    desk.judge_again(records, [{"helpful": 0.0}], purpose="escalated")
    assert check(desk) == 1 and check(desk) == 0
    assert desk.state().learnt == (1.0,)


@pytest.mark.parametrize("purpose", ["anchor", "trial", "pair", "audit"])
def test_what_is_no_sample_is_not_watched(desk: Desk, purpose: str) -> None:
    records = desk.judged([1.0])
    desk.judge_again(records, [{"helpful": 0.0}], purpose=purpose)
    assert check(desk) == 1 and desk.state().learnt == (1.0,)


def test_features_tiers_models_and_dimensions_are_streams_of_their_own(desk: Desk) -> None:
    desk.judged([0.5])
    desk.judged([0.5], feature=None)
    desk.judged([0.5], tier="premium")
    desk.judged([0.5], response_model="gpt-4o")
    desk.judged([0.25, 0.5])
    check(desk)
    found = [(one.feature, one.tier, one.model, one.state.count, one.score_name) for one in desk.watches()]
    assert found == [
        ("chat", "premium", "gpt-4o-mini", 1, "answer.helpful"),
        ("chat", "standard", "gpt-4o", 1, "answer.helpful"),
        ("chat", "standard", "gpt-4o-mini", 3, "answer.helpful"),
        (None, "standard", "gpt-4o-mini", 1, "answer.helpful"),
    ]


def test_a_stream_is_thinned_to_one_chance_whatever_its_strata(
    engine: Engine, project: Project, book: PriceBook
) -> None:
    strata = {'["short"]': 0.2, '["long"]': 0.8, '["elsewhere"]': 0.01}
    desk = a_desk(engine, project, book, strata)
    desk.judged([0.0] * 800, chance=0.8, stratum='["long"]', at=BEGUN + timedelta(hours=1))
    desk.judged([1.0] * 200, chance=0.2, stratum='["short"]', at=BEGUN)
    check(desk)
    fed = desk.rows("stratum", "stream_id IS NOT NULL")
    counts = [sum(row.stratum == f'["{name}"]' for row in fed) for name in ("short", "long")]
    assert counts[0] == 200 and counts[1] == pytest.approx(200, abs=50)
    assert all(row.watched_at for row in desk.rows("watched_at"))


def test_streams_beyond_the_most_are_counted_and_not_watched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "STREAMS_MAX", 2)
    for at in range(4):
        desk.judged([0.5], feature=f"feature-{at}", at=BEGUN + timedelta(minutes=at))
    assert check(desk) == 4 and check(desk) == 0
    assert len(desk.watches()) == 2
    with tenant(desk.engine, desk.project.id) as connection:
        assert watches.left_out(connection) == 2


def test_a_stationary_stream_of_thousands_stays_quiet(desk: Desk) -> None:
    desk.judged(levels(5, 4000, 0.8), apart_s=30)
    assert check(desk) == 4000
    state = desk.state()
    assert state.count == 3800 and (state.evidence or 99) < 20 and not state.noticed


def test_what_fails_in_one_project_leaves_the_others_alone(
    desk: Desk, other_project: Project, book: PriceBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = a_desk(desk.engine, other_project, book)
    for one in (desk, other):
        one.judged([0.5])
    real = drift.check_project

    def failing(engine: Engine, project_id: int, now: object) -> int:
        if project_id == desk.project.id:
            raise RuntimeError("planted")
        return real(engine, project_id, now)  # type: ignore[arg-type]

    monkeypatch.setattr(drift, "check_project", failing)
    assert check_all(desk.engine, NOON) >= 1
    assert desk.watches() == [] and len(other.watches()) == 1
