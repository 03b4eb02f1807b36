"""Requests in every order, page by page, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from core.errors import BadQuestion
from core.ledger import LedgerRequest, Page
from core.pricing.price import PriceBook
from core.question import NEWEST, REQUEST_ORDERS, RequestOrder
from core.store.partitions import ensure_days
from core.store.requests import find_requests
from core.store.session import tenant, transaction
from core.usage import Usage
from core.window import EVER
from tests.conftest import Project
from tests.store.rows import NOON, SECOND, a_request, store

ORDERS = [RequestOrder(by, descending) for by in REQUEST_ORDERS for descending in (True, False)]
MINUTE = timedelta(minutes=1)
VALUES: dict[str, Callable[[LedgerRequest], int | None]] = {
    "started": lambda item: item.record.started_ns // 1000,
    "cost": lambda item: item.cost_pico,
    "input_tokens": lambda item: item.record.usage.input_tokens,
    "output_tokens": lambda item: item.record.usage.output_tokens,
    "ttft": lambda item: item.record.ttft_ns,
    "latency": lambda item: item.record.duration_ns,
}
Find = Callable[..., Page]
_MANY = text("""
INSERT INTO request (project_id, day, trace_id, span_id, started_at, duration_us, name, source, source_version, native,
    aggregate, batch, status, pricing_status, cost_pico, list_pico, state,
    counted)
SELECT :project, CAST(:day AS date), md5(n::text), substr(md5('s' || n), 1, 16),
    CAST(:day AS timestamptz) + n * interval '10 milliseconds', 1, 'chat', 'test', '1', false, false, false, 'ok',
    'priced', 7, 7, 'settled', true
FROM generate_series(1, 20000) n
""")


@pytest.fixture
def find(engine: Engine, project: Project) -> Find:
    def find(**asked: object) -> Page:
        with tenant(engine, project.id) as connection:
            return find_requests(connection, EVER, {}, **asked)  # type: ignore[arg-type]

    return find


@pytest.fixture
def thirteen(engine: Engine, project: Project, book: PriceBook) -> list[str]:
    """Requests over three days with many ties, of which some tell no tokens or no first token."""
    unknown = Usage()
    records = [
        a_request(
            NOON - timedelta(days=n % 3) - MINUTE * (n // 6),
            seconds=1 + n % 4,
            ttft_ns=None if n % 5 == 0 else SECOND // (1 + n % 3),
            usage=unknown
            if n % 4 == 1
            else Usage(uncached_input=100 + n % 2, visible_output=10 + 10 * (n % 3)),
        )
        for n in range(13)
    ]
    assert store(engine, project, book, records) == 13
    return [record.span_id for record in records]


def spans(page: Page) -> list[str]:
    return [item.record.span_id for item in page.items]


def place(order: RequestOrder, item: LedgerRequest) -> tuple[object, ...]:
    """What a list in ascending order goes by, the unknown last."""
    value = VALUES[order.by](item)
    known = value is not None
    return (not known, (value or 0) * (-1 if order.descending else 1))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
@pytest.mark.parametrize("limit", [1, 4, 13])
def test_pages_in_any_order_show_everything_once_and_lead_back(
    find: Find, thirteen: list[str], order: RequestOrder, limit: int
) -> None:
    whole = find(order=order)
    places = [place(order, item) for item in whole.items]
    assert places == sorted(places) and sorted(spans(whole)) == sorted(thirteen)
    ids = [(item.record.trace_id, item.record.span_id) for item in whole.items]
    for (one, after), (a, b) in zip(pairwise(places), pairwise(ids), strict=True):
        assert one != after or (a > b) == order.descending
    pages = [find(order=order, limit=limit)]
    while cursor := pages[-1].next:
        pages.append(find(order=order, limit=limit, cursor=cursor))
    assert [span for page in pages for span in spans(page)] == spans(whole)
    assert pages[0].previous is None
    back = [pages[-1]]
    while cursor := back[-1].previous:
        back.append(find(order=order, limit=limit, cursor=cursor))
    assert [spans(page) for page in reversed(back)] == [spans(page) for page in pages]
    assert back[-1].next == pages[0].next


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_what_arrives_moves_no_page_that_is_turned_to(
    find: Find, engine: Engine, project: Project, book: PriceBook, thirteen: list[str], order: RequestOrder
) -> None:
    first = find(order=order, limit=5)
    second = find(order=order, limit=5, cursor=first.next)
    # One before and one after every one of them, in any order.
    dear, cheap = Usage(uncached_input=9_000, visible_output=900), Usage(uncached_input=1, visible_output=0)
    new = [
        a_request(NOON + MINUTE, seconds=90, ttft_ns=50 * SECOND, usage=dear),
        a_request(NOON - timedelta(days=4), seconds=0.001, ttft_ns=1000, usage=cheap),
    ]
    store(engine, project, book, new)
    assert spans(find(order=order, limit=5, cursor=first.next)) == spans(second)
    before = find(order=order, limit=5, cursor=second.previous)
    assert spans(before) == spans(first)
    newer = find(order=order, limit=5, cursor=before.previous)
    assert (len(newer.items), newer.previous) == (1, None)


@pytest.mark.parametrize("other", [RequestOrder("started", descending=False), RequestOrder("cost")])
def test_a_cursor_of_another_order_is_refused(find: Find, thirteen: list[str], other: RequestOrder) -> None:
    cursor = find(limit=2).next
    with pytest.raises(BadQuestion, match="belongs to the order 'started desc'"):
        find(order=other, cursor=cursor)
    assert find(order=NEWEST, cursor=cursor).items


def test_the_same_span_on_two_days_is_on_one_page_each(
    find: Find, engine: Engine, project: Project, book: PriceBook
) -> None:
    first = a_request(NOON)
    again = a_request(NOON - timedelta(days=1), trace_id=first.trace_id, span_id=first.span_id)
    store(engine, project, book, [first])
    store(engine, project, book, [again])
    for order in ORDERS:
        page = find(order=order, limit=1)
        after = find(order=order, limit=1, cursor=page.next)
        assert page.items[0].record.started_ns != after.items[0].record.started_ns
        assert after.next is None


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """What a connection executes, with its values."""
    asked: list[tuple[str, Any]] = []

    def note(*args: Any) -> None:
        asked.append(args[2:4])

    event.listen(connection, "before_cursor_execute", note)
    yield asked
    event.remove(connection, "before_cursor_execute", note)


def rows_read(plan: dict[str, Any]) -> int:
    """How many rows the scans of a plan gave or threw away, all loops together."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Relation Name" in plan else 0
    return round(own * plan["Actual Loops"]) + sum(map(rows_read, plan.get("Plans", ())))


@pytest.mark.parametrize("direction", [True, False])
def test_a_page_by_time_reads_little_more_than_its_own_rows(
    find: Find, engine: Engine, owner: Engine, project: Project, direction: bool
) -> None:
    ensure_days(owner, [NOON.date()])
    with transaction(owner) as connection:
        connection.execute(_MANY, {"project": project.id, "day": NOON.date()})
        connection.execute(text("ANALYZE request"))
    order = RequestOrder("started", direction)
    page = find(order=order)
    for _ in range(3):
        page = find(order=order, cursor=page.next)
    for cursor in (page.next, page.previous):
        with tenant(engine, project.id) as connection, statements(connection) as asked:
            assert len(find_requests(connection, EVER, {}, order=order, cursor=cursor).items) == 50
            statement, values = asked[0]
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            (explained,) = connection.exec_driver_sql(explain, values).scalar_one()
        assert rows_read(explained["Plan"]) < 500
