"""How judging stands: what it spends and when that hits the limit, what waits, what failed and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from core.question import JUDGE_SOURCE
from core.store.judge_tables import judge, judging, unsampled
from core.store.judges import Budget, budget
from core.store.tables import request

REASONS_MAX = 20
SCORERS = "(scorers, no judge)"
"""What the rules that ask nobody are called among the judges."""

_J = judging.c
_R = request.c


@dataclass(frozen=True, slots=True)
class JudgeState:
    """One judge over the days asked for: judgements by how they ended (`waiting` is as of now), replies that were
    unreadable, calls, failed ones, what they cost, how long answers took."""

    name: str
    scored: int
    failed: int
    waiting: int
    unreadable: int
    calls: int
    errors: int
    cost_pico: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    open_until: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What judging cost on a UTC day."""

    day: date
    cost_pico: int
    calls: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Judgements that failed for one reason. `example` is the trace and span of one of them, None where no stored
    request was judged."""

    reason: str
    count: int
    example: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Health:
    """`spent` has the UTC days on which judges were called, the oldest first. `hits_limit_at` is when today's budget
    ends at the pace of the last hour; None where it lasts."""

    budget: Budget
    hits_limit_at: datetime | None
    unsampled: int
    waiting: int
    asked: int
    judges: Sequence[JudgeState]
    failed: Sequence[Failed]
    spent: Sequence[Spent]
    since: datetime


def health(connection: Connection, now: datetime, days: int) -> Health:
    """The state now, and what happened over the last `days` UTC days with today; eight statements, whatever the number
    of judges."""
    day = now.astimezone(UTC).date()
    since = _midnight(day - timedelta(days=days - 1))
    today = budget(connection, day)
    states = {
        row.state: row.many
        for row in connection.execute(
            select(_J.state, func.count().label("many"))
            .where(_J.state.in_(["waiting", "asked"]))
            .group_by(_J.state)
        )
    }
    return Health(
        budget=today,
        hits_limit_at=_hits_limit(connection, today, now),
        unsampled=connection.execute(select(func.count()).select_from(unsampled)).scalar_one(),
        waiting=states.get("waiting", 0),
        asked=states.get("asked", 0),
        judges=_judges(connection, since),
        failed=_failed(connection, since),
        spent=_spent(connection, since),
        since=since,
    )


def _hits_limit(connection: Connection, today: Budget, now: datetime) -> datetime | None:
    if today.limit_pico is None:
        return None
    if today.left_pico <= 0:
        return now
    hour = timedelta(hours=1)
    spent = connection.execute(
        select(func.coalesce(func.sum(_R.cost_pico), 0)).where(*_calls(now - hour))
    ).scalar_one()
    if not spent:
        return None
    end = now + hour * (today.left_pico / int(spent))
    return end if end < _midnight(now.astimezone(UTC).date() + timedelta(days=1)) else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _calls(since: datetime) -> list[Any]:
    return [_R.source == JUDGE_SOURCE, _R.started_at >= since, _R.day >= since.astimezone(UTC).date()]


def _judges(connection: Connection, since: datetime) -> list[JudgeState]:
    ended = (
        select(
            _J.judge_id,
            func.count().filter(_J.state == "scored", _J.done_at >= since).label("scored"),
            func.count().filter(_J.state == "failed", _J.done_at >= since).label("failed"),
            func.count().filter(_J.state.in_(["waiting", "asked"])).label("waiting"),
            func.coalesce(func.sum(_J.unreadable).filter(_J.created_at >= since), 0).label("unreadable"),
        )
        .where((_J.done_at >= since) | _J.state.in_(["waiting", "asked"]))
        .group_by(_J.judge_id)
    )
    name = _R.tags.op("->>")("judge")
    percentile = func.percentile_disc
    called = (
        select(
            name.label("name"),
            func.count().label("calls"),
            func.count().filter(_R.status == "error").label("errors"),
            func.coalesce(func.sum(_R.cost_pico), 0).label("cost"),
            percentile(0.5).within_group(_R.duration_us).filter(_R.status == "ok").label("p50"),
            percentile(0.95).within_group(_R.duration_us).filter(_R.status == "ok").label("p95"),
        )
        .where(*_calls(since))
        .group_by(name)
    )
    by_id = {row.judge_id: row for row in connection.execute(ended)}
    by_name = {row.name: row for row in connection.execute(called)}
    found = [
        _state(row.name, row.open_until, row.last_error, by_id.get(row.id), by_name.get(row.name))
        for row in connection.execute(select(judge).order_by(judge.c.id.desc()))
        if row.retired_at is None or row.id in by_id or row.name in by_name
    ]
    if None in by_id:
        found.append(_state(SCORERS, None, None, by_id[None], None))
    return found


def _state(
    name: str, open_until: datetime | None, last_error: str | None, ended: Any, called: Any
) -> JudgeState:
    def ms(value: int | None) -> float | None:
        return None if value is None else value / 1000

    return JudgeState(
        name=name,
        scored=ended.scored if ended else 0,
        failed=ended.failed if ended else 0,
        waiting=ended.waiting if ended else 0,
        unreadable=int(ended.unreadable) if ended else 0,
        calls=called.calls if called else 0,
        errors=called.errors if called else 0,
        cost_pico=int(called.cost) if called else 0,
        latency_p50_ms=ms(called.p50) if called else None,
        latency_p95_ms=ms(called.p95) if called else None,
        open_until=open_until,
        last_error=last_error,
    )


def _failed(connection: Connection, since: datetime) -> list[Failed]:
    stored = func.max(func.concat(_J.trace_id, "-", _J.span_id)).filter(_J.material.is_(None))
    rows = connection.execute(
        select(
            func.coalesce(_J.reason, "").label("reason"), func.count().label("many"), stored.label("example")
        )
        .where(_J.state == "failed", _J.done_at >= since)
        .group_by("reason")
        .order_by(func.count().desc(), "reason")
        .limit(REASONS_MAX)
    )
    return [Failed(row.reason, row.many, _ids(row.example)) for row in rows]


def _ids(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    trace_id, _, span_id = text.partition("-")
    return trace_id, span_id


def _spent(connection: Connection, since: datetime) -> list[Spent]:
    rows = connection.execute(
        select(_R.day, func.coalesce(func.sum(_R.cost_pico), 0).label("cost"), func.count().label("calls"))
        .where(*_calls(since))
        .group_by(_R.day)
        .order_by(_R.day)
    )
    return [Spent(row.day, int(row.cost), row.calls) for row in rows]
