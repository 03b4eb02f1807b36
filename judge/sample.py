"""Draws what is judged from what has settled: every eligible request once, by a probability that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from math import inf
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine

from core.store import sampling
from core.store.judges import StoredPolicy, budget, list_policies
from core.store.judging import mean_cost
from core.store.session import in_every_project, tenant

log = structlog.get_logger()

_TRACES_AT_ONCE = 1000
_TURN_S = 5.0


def sample_all(engine: Engine, now: datetime) -> int:
    """Look at what settled in every project, in turns; what fails in one leaves the others alone. Returns how many
    judgements became owed."""
    return in_every_project(
        engine,
        lambda project_id: sample_project(engine, project_id, now, until=monotonic() + _TURN_S),
        partial(log.exception, "sample.failed"),
    )


def sample_project(engine: Engine, project_id: int, now: datetime, *, until: float = inf) -> int:
    """Look at what settled in one project; each round is one transaction."""
    total = 0
    while True:
        with tenant(engine, project_id) as connection:
            taken, new = _some(connection, project_id, now)
        total += new
        if not taken or monotonic() > until:
            return total


def _some(connection: Connection, project_id: int, now: datetime) -> tuple[bool, int]:
    policies = list_policies(connection, live=True)
    if not policies:
        sampling.drop_queue(connection)
        return False, 0
    if sampling.owed(connection) >= sampling.WAITING_MAX:
        return False, 0
    taken = sampling.take_traces(connection, _TRACES_AT_ONCE)
    if taken is None:
        return False, 0
    return True, sum(_draw(connection, project_id, of, *taken, now) for of in policies)


def _draw(
    connection: Connection,
    project_id: int,
    of: StoredPolicy,
    traces: Sequence[str],
    first: date,
    last: date,
    now: datetime,
) -> int:
    found = sampling.candidates(connection, of, traces, first, last)
    affordable = partial(_affordable, connection, of, now.astimezone(UTC).date())
    new = 0
    for day in sorted({one.day for one in found}):
        here = sampling.round_of(connection, project_id, of, day, now, affordable)
        drawn = sampling.draw_from(of, here, [one for one in found if one.day == day])
        new += sampling.put(connection, project_id, of, drawn, now)
    return new


def _affordable(connection: Connection, of: StoredPolicy, today: date) -> float | None:
    """How many requests the budget of a day pays for by what a judgement has cost so far; None where nothing is
    known, or the judge costs nothing."""
    if of.judge is None or (limit := budget(connection, today).limit_pico) is None:
        return None
    cost = mean_cost(connection, of.rubric_id)
    return None if not cost else limit / (cost * of.policy.repeats)
