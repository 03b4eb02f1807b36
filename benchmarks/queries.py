"""What the dashboard's questions cost over a month of requests."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple

from sqlalchemy import Engine, text

from benchmarks import place
from core.question import CostQuestion, check_question
from core.store.lens import PostgresLens
from core.store.partitions import ensure_days
from core.store.requests import find_requests
from core.store.session import open_engine, tenant, transaction
from core.window import Window

DAYS = 30
PERCENTILES = ("latency_p50", "latency_p95", "latency_p99", "ttft_p50", "ttft_p95", "ttft_p99")

# 5,000 users, few of them busy; features, tiers and models go together as a router makes them.
_FILL = text("""
INSERT INTO request (project_id, day, trace_id, span_id, started_at, duration_us, ttft_us, name, source,
    source_version, native, aggregate, response_id, service, environment, feature, user_key, session, tenant,
    plan, tier, provider, request_model, response_model, operation, batch, uncached_input, cache_read,
    visible_output, usage_reading, streaming, status, pricing_status, cost_pico, list_pico, state, counted)
SELECT :project, started_at::date, md5(n::text), substr(md5('s' || n), 1, 16), started_at, duration_us,
    duration_us / 4, 'chat', 'benchmark', '1', false, false, 'chatcmpl-' || n, 'app', 'prod', 'feature-' || feature,
    u.key, 'session-' || n / 5, 'tenant-' || feature % 7, 'team', (ARRAY['lightweight', 'standard', 'premium'])[tier],
    'openai', model, model, 'chat', false, tokens, tokens / 3, tokens / 4, 'inclusive', true, 'ok', 'priced',
    tokens * 150000::bigint, tokens * 150000::bigint, 'settled', true
FROM (
    SELECT n, CAST(:start AS timestamptz) + random() * :days * interval '1 day' AS started_at,
        (200000 + random() * 4000000)::bigint AS duration_us, (power(random(), 2) * 29)::int AS feature,
        1 + (random() * 1.99)::int AS tier, (50 + power(random(), 4) * 20000)::int AS tokens,
        (ARRAY['gpt-4o-mini', 'gpt-4o', 'gpt-4.1', 'gpt-4.1-mini'])[1 + (random() * 2.99)::int] AS model,
        (power(random(), 3) * 4999)::int AS person
    FROM generate_series(1, :rows) n OFFSET 0
) made
JOIN (SELECT key, row_number() OVER (ORDER BY key) - 1 AS at FROM user_name WHERE project_id = :project) u
    ON u.at = person
""")
_USERS = text(
    "INSERT INTO user_name (project_id, name) SELECT :project, 'user-' || n FROM generate_series(0, 4999) n"
)


class Cost(NamedTuple):
    wall_ms: float
    client_ms: float
    postgres_ms: float


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser("benchmarks.queries", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args(arguments)
    with place.database() as base:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
        with place.owner(base.owner_url) as owner:
            _fill(owner, base.project, start, chosen.rows)
        engine = open_engine(base.app_url)
        _print(engine, base, start, chosen.rows, chosen.runs)
        engine.dispose()


def _fill(owner: Engine, project: int, start: datetime, rows: int) -> None:
    ensure_days(owner, [(start + timedelta(days=day)).date() for day in range(DAYS + 1)])
    with transaction(owner) as connection:
        connection.execute(text("SELECT setseed(0.5)"))
        connection.execute(_USERS, {"project": project})
        connection.execute(_FILL, {"project": project, "start": start, "days": DAYS, "rows": rows})
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE request"))


def _questions(start: datetime) -> dict[str, CostQuestion]:
    month = Window(start, start + timedelta(days=DAYS))
    return {
        "cost by feature": check_question(window=month, group_by=["feature"], metrics=["requests", "cost"]),
        "feature × tier × model": check_question(
            window=month, group_by=["feature", "tier", "model"], metrics=["requests", "cost"]
        ),
        "one user's month": check_question(window=month, filters={"user": ["user-17"]}),
        "percentiles by feature × tier": check_question(
            window=month, group_by=["feature", "tier"], metrics=PERCENTILES
        ),
        "daily series": check_question(window=month, interval="day", metrics=["requests", "cost"]),
    }


def _print(engine: Engine, base: place.Database, start: datetime, rows: int, runs: int) -> None:
    lens, month = PostgresLens(engine), Window(start, start + timedelta(days=DAYS))

    def count() -> None:
        with tenant(engine, base.project) as connection:
            assert connection.execute(text("SELECT count(*) FROM request")).scalar_one() == rows

    def page() -> None:
        with tenant(engine, base.project) as connection:
            assert len(find_requests(connection, month, {}, limit=50).items) == 50

    def page_of_user() -> None:
        with tenant(engine, base.project) as connection:
            assert find_requests(connection, month, {"user": ["user-17"]}, limit=50).items

    asked: dict[str, Callable[[], object]] = {
        name: lambda question=question: lens.ask(base.project, question)  # type: ignore[misc]
        for name, question in _questions(start).items()
    }
    asked |= {"requests, first page of 50": page, "requests of one user, first 50": page_of_user}
    print(f"Questions over {rows:,} requests of {DAYS} days: ms, median of {runs} (PostgreSQL CPU: mean)")
    print(f"{'':32}{'wall':>9}{'client CPU':>12}{'PG CPU':>9}{'of count(*)':>13}")
    bare = _cost(count, base.postmaster, runs)
    for name, cost in {
        "SELECT count(*)": bare,
        **{n: _cost(a, base.postmaster, runs) for n, a in asked.items()},
    }.items():
        ratio = (cost.client_ms + cost.postgres_ms) / (bare.client_ms + bare.postgres_ms)
        print(f"{name:32}{cost.wall_ms:>9.1f}{cost.client_ms:>12.1f}{cost.postgres_ms:>9.1f}{ratio:>13.2f}")


def _cost(ask: Callable[[], object], postmaster: int, runs: int) -> Cost:
    ask()
    walls, clients = [], []
    before = place.cpu_s(postmaster)
    for _ in range(runs):
        wall, client = time.perf_counter(), time.process_time()
        ask()
        walls.append(time.perf_counter() - wall)
        clients.append(time.process_time() - client)
    # Parallel workers come and go, so their time is known for all runs together only.
    postgres = (place.cpu_s(postmaster) - before) / runs
    return Cost(median(walls) * 1e3, median(clients) * 1e3, postgres * 1e3)


if __name__ == "__main__":
    main(sys.argv[1:])
