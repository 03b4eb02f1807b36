"""Group commit: bodies share a transaction, never a fate. Real ledger, real rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text

from collector.intake import Intake
from core.errors import Unavailable
from core.pricing.price import PriceBook, price_request
from core.request import Content, ContextSpan, RequestRecord
from core.store.intake import Batch, append
from core.store.session import open_engine, tenant
from core.usage import Usage
from tests.conftest import Database, Project
from tests.store.rows import a_request, a_span

Write = Any


def submit(write: Write, *batches: Batch) -> list[int | BaseException]:
    """Each batch's own result, all submitted at once."""

    async def run() -> list[int | BaseException]:
        intake = Intake(write)
        intake.start()
        results = await asyncio.gather(*(intake.submit(batch) for batch in batches), return_exceptions=True)
        await intake.stop()
        return list(results)

    return asyncio.run(run())


def rows(engine: Engine, project: Project) -> int:
    with tenant(engine, project.id) as connection:
        return int(
            connection.execute(
                text("SELECT (SELECT count(*) FROM request) + (SELECT count(*) FROM context_span)")
            ).scalar_one()
        )


def batch(project: Project, book: PriceBook, *records: RequestRecord, **more: Any) -> Batch:
    return Batch(project.id, [(record, price_request(record, book)) for record in records], **more)


# A check of the table, a type too small, a character that PostgreSQL has not, a day without a partition.
BAD = {
    "a check": lambda r: replace(r, usage=Usage(uncached_input=-1)),
    "a status": lambda r: replace(r, status="sleeping"),
    "a big number": lambda r: replace(r, duration_ns=10**30),
    "NUL": lambda r: replace(r, service="a\0b"),
    "a null": lambda r: replace(r, name=None),
    "a far day": lambda r: replace(r, started_ns=4_000_000_000 * 10**9),
    "a long id": lambda r: replace(r, response_id="".join(chr(0x4E00 + n) for n in range(9000))),
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_row_costs_neither_its_neighbours_nor_another_body(
    why: str, database: Database, engine: Engine, project: Project, other_project: Project, book: PriceBook
) -> None:
    writer = open_engine(database.app_url)  # a fresh connection: its first transaction is the one that fails
    good, bad = [a_request() for _ in range(5)], BAD[why](a_request())
    results = submit(
        partial(append, writer),
        batch(project, book, *good[:2], bad, *good[2:], spans=[a_span()]),
        batch(other_project, book, a_request()),
    )
    writer.dispose()
    assert results == [1, 0]
    assert (rows(engine, project), rows(engine, other_project)) == (6, 1)


def test_a_writer_works_on_after_its_first_transaction_failed(
    database: Database, engine: Engine, project: Project, book: PriceBook
) -> None:
    writer = open_engine(database.app_url, pool_size=1)
    assert submit(partial(append, writer), batch(project, book, BAD["a check"](a_request()))) == [1]
    assert submit(partial(append, writer), batch(project, book, a_request())) == [0]
    writer.dispose()
    assert rows(engine, project) == 1


def test_content_goes_with_its_request(engine: Engine, project: Project, book: PriceBook) -> None:
    records = [a_request() for _ in range(4)]
    bad = BAD["a check"](a_request())
    contents = [Content(r.trace_id, r.span_id, r.started_ns, input='"hi"') for r in [*records, bad]]
    assert submit(partial(append, engine), batch(project, book, *records, bad, contents=contents)) == [1]
    with tenant(engine, project.id) as connection:
        kept = set(connection.execute(text("SELECT span_id FROM content")).scalars())
    assert kept >= {r.span_id for r in records}


def test_bodies_that_arrive_together_share_a_commit(
    engine: Engine, project: Project, book: PriceBook
) -> None:
    commits = []

    def write(batches: Sequence[Batch]) -> int:
        commits.append(len(batches))
        return append(engine, batches)

    assert submit(write, *(batch(project, book, a_request()) for _ in range(20))) == [0] * 20
    assert sum(commits) == 20 and len(commits) < 5
    assert rows(engine, project) == 20


def test_a_batch_of_nothing_costs_nothing() -> None:
    def write(_: Sequence[Batch]) -> int:
        raise AssertionError

    assert submit(write, Batch(1, [])) == [0]


def test_a_database_that_cannot_be_reached_is_unavailable_for_all(project: Project, book: PriceBook) -> None:
    nowhere = open_engine("postgresql://nobody@127.0.0.1:1/none")
    results = submit(
        partial(append, nowhere), batch(project, book, a_request()), batch(project, book, a_request())
    )
    assert [type(result) for result in results] == [Unavailable, Unavailable]


def test_a_connection_that_dies_is_replaced(
    database: Database, engine: Engine, owner: Engine, project: Project, book: PriceBook
) -> None:
    writer = open_engine(database.app_url, pool_size=1)
    assert submit(partial(append, writer), batch(project, book, a_request())) == [0]
    with writer.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with owner.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    assert submit(partial(append, writer), batch(project, book, a_request())) == [0]
    writer.dispose()
    assert rows(engine, project) == 2


def test_a_stop_commits_what_was_submitted_and_refuses_the_rest(
    engine: Engine, project: Project, book: PriceBook
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def held(batches: Sequence[Batch]) -> int:
        writing.set()
        assert go_on.wait(5)
        return append(engine, batches)

    async def run() -> list[Any]:
        intake = Intake(held)
        intake.start()
        submitted = [asyncio.create_task(intake.submit(batch(project, book, a_request()))) for _ in range(3)]
        assert await asyncio.to_thread(writing.wait, 5)
        submitted += [asyncio.create_task(intake.submit(batch(project, book, a_request()))) for _ in range(3)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(intake.stop())
        go_on.set()
        await stopping
        late = asyncio.create_task(intake.submit(batch(project, book, a_request())))
        return await asyncio.wait_for(asyncio.gather(*submitted, late, return_exceptions=True), 5)

    *results, late = asyncio.run(run())
    assert results == [0] * 6
    assert isinstance(late, Unavailable)
    assert rows(engine, project) == 6


def test_a_caller_that_gave_up_does_not_stop_the_others(
    engine: Engine, project: Project, book: PriceBook
) -> None:
    async def run() -> list[Any]:
        intake = Intake(partial(append, engine))
        intake.start()
        tasks = [asyncio.create_task(intake.submit(batch(project, book, a_request()))) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await intake.stop()
        return results

    first, cancelled, last = asyncio.run(run())
    assert (first, last) == (0, 0)
    assert isinstance(cancelled, asyncio.CancelledError)


def test_a_span_of_another_kind_is_refused_alone(engine: Engine, project: Project, book: PriceBook) -> None:
    bad: ContextSpan = replace(a_span(), kind="k\0")
    assert submit(partial(append, engine), batch(project, book, a_request(), spans=[a_span(), bad])) == [1]
    assert rows(engine, project) == 2
