"""Day partitions: ahead of time, on demand, never out of reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from core.pricing.price import PriceBook
from core.store.partitions import ensure_days, make_ahead
from core.store.session import open_engine, tenant
from tests.conftest import Database, Project
from tests.store.rows import NOON, a_request, store

TODAY = NOON.date()


def days(owner: Engine, table: str = "request") -> set[date]:
    with owner.connect() as connection:
        names = connection.execute(
            text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:t AS regclass)"),
            {"t": table},
        ).scalars()
        return {date.fromisoformat(name.rpartition("_p")[2]) for name in names}


@pytest.fixture
def fresh(database: Database) -> Iterator[Engine]:
    """An engine that knows of no day yet."""
    engine = open_engine(database.app_url)
    yield engine
    engine.dispose()


def test_the_days_from_yesterday_to_a_week_ahead_are_made(owner: Engine, fresh: Engine) -> None:
    make_ahead(fresh, TODAY)
    wanted = {TODAY + timedelta(days=n) for n in range(-1, 8)}
    for table in ("request", "context_span", "content", "score"):
        assert wanted <= days(owner, table)


def test_a_late_request_brings_its_day(
    owner: Engine, engine: Engine, project: Project, book: PriceBook
) -> None:
    at = NOON - timedelta(days=321)
    assert at.date() not in days(owner)
    assert store(engine, project, book, [a_request(at)]) == 1
    assert at.date() in days(owner)


def test_a_request_at_midnight_lies_in_the_new_day(engine: Engine, project: Project, book: PriceBook) -> None:
    store(engine, project, book, [a_request(NOON), a_request(NOON - timedelta(microseconds=1))])
    with tenant(engine, project.id) as connection:
        found = connection.execute(text("SELECT day FROM request ORDER BY day")).scalars().all()
    assert found == [TODAY - timedelta(days=1), TODAY]


@pytest.mark.parametrize("away", [-4001, 61, 100_000])
def test_a_day_too_far_from_today_is_refused(owner: Engine, fresh: Engine, away: int) -> None:
    day = TODAY + timedelta(days=away)
    with pytest.raises(DBAPIError, match="too far from today"):
        ensure_days(fresh, [day])
    assert day not in days(owner)


def test_two_processes_may_make_the_same_days_at_once(database: Database, owner: Engine) -> None:
    wanted = [TODAY - timedelta(days=400 + n) for n in range(4)]
    engines = [open_engine(database.app_url) for _ in range(4)]
    start = threading.Barrier(4)

    def make(engine: Engine) -> None:
        start.wait()
        ensure_days(engine, wanted if engine is engines[0] else reversed(wanted))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, engines))
    for engine in engines:
        engine.dispose()
    assert set(wanted) <= days(owner)


def test_rows_go_in_while_another_makes_days(
    database: Database, owner: Engine, engine: Engine, fresh: Engine, project: Project, book: PriceBook
) -> None:
    """Making a day takes no lock that a reader or a writer would wait for."""
    store(engine, project, book, [a_request()])
    with fresh.begin() as making:
        making.exec_driver_sql(f"SELECT tripoint_ensure_day('{TODAY - timedelta(days=500)}')")
        with tenant(engine, project.id) as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            assert connection.execute(text("SELECT count(*) FROM request")).scalar_one() == 1
        assert store(engine, project, book, [a_request()]) == 1


@pytest.mark.slow
def test_years_can_be_backfilled_and_read_at_once(
    database: Database, engine: Engine, project: Project, book: PriceBook
) -> None:
    """More partitions than PostgreSQL has locks for in one transaction that makes them."""
    records = [a_request(NOON - timedelta(days=n)) for n in range(600, 1000)]
    assert store(engine, project, book, records) == 400
    with tenant(engine, project.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM request")).scalar_one() == 400
