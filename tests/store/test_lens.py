"""The lens against numbers counted by hand, and against a second opinion in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from core.errors import BadQuestion
from core.pricing.price import PriceBook, price_request
from core.question import METRICS, Answer, CostQuestion, Value, check_question
from core.request import RequestRecord
from core.store.lens import PostgresLens
from core.store.session import tenant
from core.usage import UNKNOWN, Usage
from core.window import Window, _zones
from tests.conftest import Project, make_project
from tests.store.rows import NOON, a_request, a_span, settle_now, store

HOUR = timedelta(hours=1)
Ask = Callable[..., Answer]


@pytest.fixture
def ask(engine: Engine, project: Project) -> Ask:
    """A question of the project in a reader's words."""
    return lambda **words: PostgresLens(engine).ask(
        project.id, check_question(**{"window": Window(), **words})
    )


@pytest.fixture
def take(engine: Engine, project: Project, book: PriceBook) -> Callable[..., int]:
    return lambda *records: store(engine, project, book, records)


def by_group(answer: Answer, metric: str) -> dict[tuple[Value, ...], Any]:
    return {row.group: row.metrics[metric] for row in answer.rows}


# counted by hand -------------------------------------------------------------------------------------


def test_an_empty_ledger_costs_nothing_and_knows_no_latency(ask: Ask) -> None:
    answer = ask(metrics=list(METRICS))
    (row,) = answer.rows
    assert {name: row.metrics[name] for name in ("requests", "cost", "input_tokens")} == {
        "requests": 0,
        "cost": 0,
        "input_tokens": 0,
    }
    assert row.metrics["latency_p50"] is None
    assert (answer.groups, answer.coverage.requests, answer.coverage.unpriced_reasons) == (1, 0, {})


def test_an_empty_ledger_has_no_groups(ask: Ask) -> None:
    answer = ask(group_by=["feature"])
    assert (list(answer.rows), answer.groups, answer.total.metrics["requests"]) == ([], 0, 0)


def test_costs_and_tokens_add_up_by_feature(ask: Ask, take: Callable[..., int]) -> None:
    # gpt-4o-mini: 0.15 USD a million tokens in, 0.60 out: 100 in and 10 out cost 15 + 6 = 21 micro-dollars
    take(a_request(feature="a"), a_request(feature="a"), a_request(feature="b"), a_request())
    answer = ask(group_by=["feature"], metrics=["requests", "cost", "input_tokens", "output_tokens"])
    assert by_group(answer, "cost") == {("a",): 42_000_000, ("b",): 21_000_000, (None,): 21_000_000}
    assert by_group(answer, "requests") == {("a",): 2, ("b",): 1, (None,): 1}
    assert answer.total.metrics == {
        "requests": 4,
        "cost": 84_000_000,
        "input_tokens": 400,
        "output_tokens": 40,
    }
    assert answer.groups == 3


def test_the_dearest_group_comes_first_and_unset_ones_in_their_place(
    ask: Ask, take: Callable[..., int]
) -> None:
    take(a_request(), a_request(), a_request(feature="b"), a_request(feature="a"))
    assert [row.group for row in ask(group_by=["feature"]).rows] == [(None,), ("a",), ("b",)]


def test_a_total_of_only_unpriced_requests_is_unknown_and_says_why(
    ask: Ask, take: Callable[..., int]
) -> None:
    take(a_request(request_model="nobody-knows", provider="acme"), a_request(usage=UNKNOWN))
    answer = ask(metrics=["cost", "requests", "input_tokens"])
    assert answer.total.metrics == {"cost": None, "requests": 2, "input_tokens": 100}
    assert (answer.coverage.priced, answer.coverage.unpriced, answer.total.unpriced) == (0, 2, 2)
    assert sum(answer.coverage.unpriced_reasons.values()) == 2
    assert len(answer.coverage.unpriced_reasons) == 2


def test_coverage_counts_what_the_totals_stand_on(
    ask: Ask, take: Callable[..., int], engine: Engine, project: Project, book: PriceBook
) -> None:
    take(a_request(streaming=True, ttft_ns=10**8), a_request(usage=UNKNOWN))
    settle_now(engine, project, book)
    take(a_request(request_model="nobody-knows"))
    coverage = ask().coverage
    assert (coverage.requests, coverage.usage_known, coverage.ttft_known) == (3, 2, 1)
    assert (coverage.priced, coverage.unpriced, coverage.provisional) == (1, 2, 1)


@pytest.mark.parametrize(("metric", "ms"), [("latency_p50", 500), ("latency_p95", 950), ("latency_p99", 990)])
def test_percentiles_are_those_of_the_nearest_rank(
    ask: Ask, take: Callable[..., int], metric: str, ms: float
) -> None:
    take(*(a_request(seconds=n / 100) for n in range(1, 101)))
    assert ask(metrics=[metric]).total.metrics[metric] == ms


def test_the_median_of_two_is_the_lower_one(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(seconds=1), a_request(seconds=2))
    assert ask(metrics=["latency_p50", "latency_avg"]).total.metrics == {
        "latency_p50": 1000,
        "latency_avg": 1500,
    }


def test_time_to_first_token_leaves_out_who_has_none(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(streaming=True, ttft_ns=250_000_000), a_request())
    assert ask(metrics=["ttft_p50", "ttft_p99"]).total.metrics == {"ttft_p50": 250, "ttft_p99": 250}


def test_users_and_sessions_are_counted_once(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(user="ann", session="1"), a_request(user="ann", session="2"), a_request(user="bob"))
    assert ask(metrics=["users", "sessions"]).total.metrics == {"users": 2, "sessions": 2}


def test_a_user_groups_and_filters_by_name(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(user="ann"), a_request(user="ann"), a_request(user="bob"), a_request())
    assert by_group(ask(group_by=["user"], metrics=["requests"]), "requests") == {
        ("ann",): 2,
        ("bob",): 1,
        (None,): 1,
    }
    assert ask(filters={"user": ("bob", None)}).total.metrics["requests"] == 2


def test_sums_that_are_covered_by_requests_are_in_no_total(
    ask: Ask, take: Callable[..., int], engine: Engine, project: Project, book: PriceBook
) -> None:
    above = a_request(aggregate=True, seconds=5)
    take(above, a_request(trace_id=above.trace_id, parent_span_id=above.span_id))
    settle_now(engine, project, book)
    assert ask(metrics=["requests"]).total.metrics == {"requests": 1}


def test_filters_take_several_values_and_the_unset(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(feature="a", tier="x"), a_request(feature="b"), a_request(tier="x"), a_request())
    count = lambda **filters: ask(filters=filters).total.metrics["requests"]  # noqa: E731
    assert count(feature=("a", "b")) == 2
    assert count(feature=(None,)) == 2
    assert count(feature=("a", None)) == 3
    assert count(feature=("a",), tier=("x",)) == 1
    assert count(feature=("nobody",)) == 0


@pytest.mark.parametrize(
    "evil", ["'", "\\", "%", "';DROP TABLE request;--", "a'b\"c", ")", ":x", "%(x)s", "{}"]
)
def test_tags_and_values_are_never_read_as_sql(ask: Ask, take: Callable[..., int], evil: str) -> None:
    take(a_request(tags={evil: evil}), a_request(feature=evil), a_request())
    answer = ask(group_by=[f"tag.{evil}"], metrics=["requests"])
    assert by_group(answer, "requests") == {(evil,): 1, (None,): 2}
    assert ask(filters={f"tag.{evil}": (evil,)}).total.metrics["requests"] == 1
    assert ask(filters={"feature": (evil,)}).total.metrics["requests"] == 1


def test_two_tags_group_together(ask: Ask, take: Callable[..., int]) -> None:
    take(
        a_request(tags={"team": "a", "lang": "en"}),
        a_request(tags={"team": "a"}),
        a_request(tags={"lang": "en"}),
    )
    answer = ask(group_by=["tag.team", "tag.lang"], metrics=["requests"])
    assert by_group(answer, "requests") == {("a", "en"): 1, ("a", None): 1, (None, "en"): 1}


def test_numbers_and_truths_group_as_words(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(streaming=True, attempt=2, http_status=200), a_request(streaming=False))
    answer = ask(group_by=["streaming", "attempt", "http_status"], metrics=["requests"])
    assert by_group(answer, "requests") == {("true", "2", "200"): 1, ("false", None, None): 1}
    assert ask(filters={"streaming": ("true",), "attempt": ("2",)}).total.metrics["requests"] == 1


@pytest.mark.parametrize(
    ("interval", "starts"),
    [
        ("hour", [datetime(2026, 3, 1, 23, tzinfo=UTC), datetime(2026, 3, 2, 0, tzinfo=UTC)]),
        ("day", [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]),
        ("week", [datetime(2026, 2, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]),
        ("month", [datetime(2026, 3, 1, tzinfo=UTC)]),
    ],
)
def test_intervals_begin_where_the_calendar_of_utc_says(
    ask: Ask, take: Callable[..., int], interval: str, starts: list[datetime]
) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    take(a_request(monday - timedelta(microseconds=1)), a_request(monday))
    answer = ask(interval=interval, metrics=["requests"])
    assert [row.start for row in answer.rows] == starts
    assert sum(row.metrics["requests"] for row in answer.rows) == answer.total.metrics["requests"] == 2


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2025, 10, 25, 22, tzinfo=UTC), 25),
        ("America/Havana", datetime(2025, 11, 2, 4, tzinfo=UTC), 25),  # midnight comes twice
        ("Asia/Kathmandu", datetime(2026, 3, 1, 18, 15, tzinfo=UTC), 24),
    ],
)
def test_days_are_those_of_the_readers_clocks(
    ask: Ask, take: Callable[..., int], zone: str, day: datetime, hours: int
) -> None:
    next_day = day + hours * HOUR
    moments = [
        day - timedelta(microseconds=1),
        day,
        day + HOUR / 2,
        next_day - timedelta(microseconds=1),
        next_day,
    ]
    take(*(a_request(at, seconds=n + 1) for n, at in enumerate(moments)))
    answer = ask(interval="day", metrics=["requests", "latency_p50"], zone=zone)
    assert [(row.start, row.metrics["requests"]) for row in answer.rows][1:] == [(day, 3), (next_day, 1)]
    last = ask(interval="day", metrics=["latency_p50"], zone=zone, limit=2, direction="desc")
    assert [row.metrics["latency_p50"] for row in last.rows] == [5000, 3000]
    hourly = ask(interval="hour", window=Window(day, next_day), metrics=["requests"], zone=zone)
    assert sum(row.metrics["requests"] for row in hourly.rows) == 3 and hourly.rows[0].start == day


def test_the_database_knows_the_zones_that_are_let_through(engine: Engine) -> None:
    with engine.connect() as connection:
        known = set(connection.execute(text("SELECT name FROM pg_timezone_names")).scalars())
    offered = _zones()
    assert len(offered) > 400 and len(offered - known) <= 3, offered - known


ORDERS = [
    ("cost", "desc"),
    ("cost", "asc"),
    ("feature", "asc"),
    ("feature", "desc"),
    ("latency_p95", "asc"),
    ("users", "desc"),
]


@pytest.mark.parametrize(("order", "direction"), ORDERS)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_of_groups_hold_every_group_once_in_the_order_of_the_whole(
    ask: Ask, take: Callable[..., int], order: str, direction: str, size: int
) -> None:
    # Ties in cost and latency, a group without a name and one without a price.
    take(
        *(a_request(feature=f"f{n}", user=f"u{n % 3}", seconds=1 + n % 2) for n in range(7)),
        a_request(),
        a_request(feature="free", provider="acme", request_model="nobody-knows"),
    )
    words: dict[str, Any] = {
        "group_by": ["feature"], "metrics": ["cost", "latency_p95", "users"], "order": order, "direction": direction
    }  # fmt: skip
    whole = ask(**words)
    assert len(whole.rows) == whole.groups == 9
    paged = [row for at in range(0, 9, size) for row in ask(**words, limit=size, offset=at).rows]
    assert paged == list(whole.rows)
    values = [row.group[0] if order == "feature" else row.metrics[order] for row in whole.rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=direction == "desc")
    assert values[len(known) :] == [None] * (len(values) - len(known))
    assert ask(**words, limit=5, offset=9).rows == [] and ask(**words, offset=9).total == whole.total


def test_users_are_paged_by_name_and_those_whose_names_were_erased_are_one(
    ask: Ask, take: Callable[..., int], engine: Engine, project: Project
) -> None:
    take(*(a_request(user=name, seconds=n + 1) for n, name in enumerate("cbda")), a_request())
    metrics = ["requests", "latency_p50"]
    answer = ask(group_by=["user"], metrics=metrics, order="user", limit=2)
    assert [row.group for row in answer.rows] == [("a",), ("b",)]
    assert [row.metrics["latency_p50"] for row in answer.rows] == [4000, 2000]
    with tenant(engine, project.id) as connection:
        connection.execute(text("DELETE FROM user_name WHERE name IN ('a', 'b')"))
    answer = ask(group_by=["user"], metrics=metrics, order="user")
    assert [(row.group, row.metrics["requests"]) for row in answer.rows] == [
        (("c",), 1),
        (("d",), 1),
        ((None,), 3),
    ]
    assert ask(filters={"user": (None,)}, metrics=["requests"]).total.metrics["requests"] == 3


def test_a_snapshots_pages_are_the_whole_table(
    engine: Engine, ask: Ask, take: Callable[..., int], project: Project
) -> None:
    take(*(a_request(feature=f"f{n}") for n in range(7)))
    question = check_question(window=Window(), group_by=["feature"])
    pages = list(PostgresLens(engine).pages(project.id, question, 3))
    assert [len(page.rows) for page in pages] == [3, 3, 1]
    assert [row for page in pages for row in page.rows] == list(ask(group_by=["feature"]).rows)
    assert len({page.as_of for page in pages}) == 1


def test_a_window_holds_its_first_moment_and_not_its_last(ask: Ask, take: Callable[..., int]) -> None:
    take(a_request(NOON), a_request(NOON + HOUR), a_request(NOON + 2 * HOUR))
    assert ask(window=Window(NOON, NOON + 2 * HOUR)).total.metrics["requests"] == 2
    assert ask(window=Window(NOON + HOUR, None)).total.metrics["requests"] == 2
    assert ask(window=Window(None, NOON)).total.metrics["requests"] == 0


def test_a_limit_cuts_rows_and_tells_how_many_there_were(ask: Ask, take: Callable[..., int]) -> None:
    take(*(a_request(feature=f"f{n}") for n in range(7)))
    answer = ask(group_by=["feature"], limit=3)
    assert (len(answer.rows), answer.groups, answer.total.metrics["requests"]) == (3, 7, 7)


def test_rows_come_in_the_order_of_a_metric_that_need_not_be_shown(
    ask: Ask, take: Callable[..., int]
) -> None:
    take(a_request(feature="slow", seconds=9), a_request(feature="fast"), a_request(feature="fast"))
    answer = ask(group_by=["feature"], metrics=["requests"], order="latency_p95")
    assert [row.group for row in answer.rows] == [("slow",), ("fast",)]
    assert set(answer.rows[0].metrics) == {"requests"}


def test_every_dimension_groups_and_filters(ask: Ask, take: Callable[..., int]) -> None:
    from core.question import DIMENSIONS

    take(a_request(), a_request(feature="a", error_type="x", status="error", cache="exact"))
    for name in [*DIMENSIONS, "tag.any"]:
        answer = ask(group_by=[name], metrics=["requests"])
        assert sum(row.metrics["requests"] for row in answer.rows) == 2
        for row in answer.rows:
            narrowed = ask(filters={name: row.group}, metrics=["requests"])
            assert narrowed.total.metrics["requests"] == row.metrics["requests"]


@pytest.mark.parametrize(
    "words",
    [
        {"group_by": ["featre"]},
        {"group_by": ["tag."]},
        {"group_by": ["tag." + "x" * 101]},
        {"group_by": ["tag.a\0b"]},
        {"group_by": ["feature", "tier", "plan", "user", "model"]},
        {"metrics": ["costs"]},
        {"order": "feature"},
        {"order": "start"},
        {"direction": "up"},
        {"offset": -1},
        {"offset": 10_000_001},
        {"zone": "Mars/Olympus"},
        {"filters": {"streaming": ("TRUE",)}},
        {"filters": {"http_status": ("abc",)}},
        {"filters": {"attempt": ("02",)}},
        {"interval": "minute"},
        {"limit": 0},
        {"limit": 10_001},
        {"filters": {"password": ("x",)}},
    ],
)
def test_what_does_not_exist_is_refused_in_words(words: dict[str, Any]) -> None:
    with pytest.raises(BadQuestion):
        check_question(**{"window": Window(), **words})


# a second opinion ------------------------------------------------------------------------------------

word = st.sampled_from([None, "a", "b", "ä"])
tokens = st.none() | st.integers(0, 10**9)
usages = st.builds(
    Usage,
    uncached_input=tokens,
    cache_read=tokens,
    cache_write_5m=tokens,
    visible_output=tokens,
    reasoning=tokens,
)


@st.composite
def records(draw: st.DrawFn) -> RequestRecord:
    record = a_request(
        NOON + draw(st.integers(0, 50)) * HOUR,
        seconds=draw(st.integers(0, 40)) / 8,
        feature=draw(word),
        tier=draw(word),
        user=draw(word),
        request_model=draw(st.sampled_from(["gpt-4o-mini", "gpt-4o", "nobody-knows"])),
        usage=draw(usages),
        status=draw(st.sampled_from(["ok", "error", "aborted"])),
    )
    return replace(record, ttft_ns=draw(st.none() | st.integers(0, 10**6).map(lambda us: us * 1000)))


@pytest.fixture(scope="module")
def lens(engine: Engine) -> Iterator[PostgresLens]:
    yield PostgresLens(engine)


GROUPS = {
    "feature": lambda r: r.context.feature,
    "tier": lambda r: r.context.tier,
    "user": lambda r: r.context.user,
    "model": lambda r: r.request_model,
    "status": lambda r: r.status,
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(records(), max_size=25),
    group_by=st.lists(st.sampled_from(list(GROUPS)), max_size=2, unique=True),
    features=st.none() | st.lists(word, min_size=1, max_size=2, unique=True),
    hours=st.none() | st.tuples(st.integers(0, 30), st.integers(1, 30)),
)
def test_every_answer_is_the_one_that_plain_python_gives(
    owner: Engine,
    engine: Engine,
    book: PriceBook,
    lens: PostgresLens,
    sent: list[RequestRecord],
    group_by: list[str],
    features: list[Value] | None,
    hours: tuple[int, int] | None,
) -> None:
    project = make_project(owner)
    store(engine, project, book, sent)
    window = Window(NOON + hours[0] * HOUR, NOON + (hours[0] + hours[1]) * HOUR) if hours else Window()
    question = CostQuestion(
        window=window,
        group_by=tuple(group_by),
        filters={"feature": tuple(features)} if features else {},
        metrics=tuple(METRICS),
        limit=10_000,
    )
    answer = lens.ask(project.id, question)
    kept = [
        r
        for r in sent
        if window.contains(datetime.fromtimestamp(r.started_ns // 10**9, UTC))
        and (not features or r.context.feature in features)
    ]
    groups: dict[tuple[Value, ...], list[RequestRecord]] = {}
    for r in kept:
        groups.setdefault(tuple(GROUPS[name](r) for name in group_by), []).append(r)
    assert answer.total.metrics == expected(kept, book)
    if group_by:
        assert {row.group: row.metrics for row in answer.rows} == {
            group: expected(members, book) for group, members in groups.items()
        }
        for name in ("requests", "errors", "cost", "input_tokens", "output_tokens", "reasoning_tokens"):
            parts = [row.metrics[name] for row in answer.rows if row.metrics[name] is not None]
            assert sum(parts) == (answer.total.metrics[name] or 0)


def expected(members: list[RequestRecord], book: PriceBook) -> dict[str, Any]:
    """All metrics of a group, the slow way."""
    priced = [price_request(r, book) for r in members]
    usage = [r.usage for r in members]
    latency = sorted(r.duration_ns // 1000 for r in members)
    ttft = sorted(r.ttft_ns // 1000 for r in members if r.ttft_ns is not None)

    def total(values: list[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known or not members else None

    return {
        "requests": len(members),
        "errors": sum(r.status == "error" for r in members),
        "users": len({r.context.user for r in members} - {None}),
        "sessions": 0,
        "input_tokens": total([u.input_tokens for u in usage]),
        "uncached_input_tokens": total([u.uncached_input for u in usage]),
        "cache_read_tokens": total([u.cache_read for u in usage]),
        "cache_write_tokens": total([u.cache_write for u in usage]),
        "output_tokens": total([u.output_tokens for u in usage]),
        "reasoning_tokens": total([u.reasoning for u in usage]),
        "cost": total([p.cost_pico for p in priced]),
        "list_cost": total([p.list_pico for p in priced]),
        "reported_cost": 0 if not members else None,
        "latency_avg": pytest.approx(sum(latency) / len(latency) / 1000) if latency else None,
    } | {
        f"{name}_{suffix}": rank(values, share)
        for name, values in (("latency", latency), ("ttft", ttft))
        for share, suffix in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    }


def rank(values: list[int], share: float) -> float | None:
    """The nearest rank, in milliseconds."""
    return values[max(1, math.ceil(share * len(values))) - 1] / 1000 if values else None


def test_a_context_span_is_in_no_answer(ask: Ask, engine: Engine, project: Project, book: PriceBook) -> None:
    store(engine, project, book, (), [a_span(feature="a")])
    assert ask().total.metrics["requests"] == 0
