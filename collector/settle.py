"""After a quiet window: inherit context, drop double counts, bill orphans. Provisional → settled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine

from collector import metrics
from collector.read import in_range
from core.pricing.price import PriceBook, price_request
from core.settling import Settled, settle
from core.store import settling
from core.store.rows import request_values
from core.store.session import in_every_project, tenant

log = structlog.get_logger()

_TRACES_AT_ONCE = 500
_TURN_S = 10.0


def settle_all(engine: Engine, book: PriceBook, now: datetime, quiet: timedelta, longest: timedelta) -> int:
    """Settle what waits in every project, in turns of `_TURN_S` at most, so that a busy project holds up
    nobody else's; what fails in one is logged and leaves the others alone. Returns the number of traces."""

    def settle_one(project_id: int) -> int:
        until = monotonic() + _TURN_S
        return settle_project(engine, project_id, book, now, quiet, longest, wait=False, until=until)

    return in_every_project(engine, settle_one, partial(log.exception, "settle.failed"))


def settle_project(
    engine: Engine,
    project_id: int,
    book: PriceBook,
    now: datetime,
    quiet: timedelta,
    longest: timedelta,
    *,
    wait: bool = True,
    until: float = math.inf,
) -> int:
    """Settle the traces of one project that have been quiet for `quiet`, or have waited for `longest`;
    returns their number. Each round is one transaction; spans that come later settle their trace again.

    One settles a project at a time. With `wait`, what another settles just now is settled too when this
    returns; without it the work is left to the other. No round is begun after `until` (monotonic seconds)."""
    total = 0
    while True:
        with tenant(engine, project_id) as connection:
            done = settle_traces(connection, project_id, book, now - quiet, now - longest, wait)
        total += done
        if done < _TRACES_AT_ONCE or monotonic() > until:
            metrics.SETTLED.inc(total)
            return total


def settle_traces(
    connection: Connection,
    project_id: int,
    book: PriceBook,
    quiet_before: datetime,
    waited_before: datetime,
    wait: bool,
) -> int:
    """One round: load the waiting traces as they were sent, settle them anew, write what changed."""
    if not settling.lock(connection, project_id, wait):
        return 0
    found = settling.waiting(connection, quiet_before, waited_before, _TRACES_AT_ONCE)
    if found is None:
        return 0
    traces = settling.with_twins(connection, found)
    found = settling.with_marks(connection, found, traces)
    stored, spans = settling.load(connection, traces)
    settled = settle([row.sent for row in stored], spans)
    settling.write(connection, changes(stored, settled, book))
    settling.finish(connection, found, stored)
    return len(found.traces)


def changes(
    stored: Sequence[settling.Stored], settled: Sequence[Settled], book: PriceBook
) -> list[settling.Change]:
    """The rows that say something else now than they should."""
    verdicts = {(item.record.trace_id, item.record.span_id): item for item in settled}
    changed = []
    for row in stored:
        key = row.sent.trace_id, row.sent.span_id
        item = verdicts[key]
        if item.record.started_ns != row.sent.started_ns:
            # The same span sent again with another start day is another row, and still the same span.
            item = Settled(row.sent, counted=False, duplicate_of=item.duplicate_of or key)
        if (
            request_values(item.record) != request_values(row.now)
            or item.counted != row.counted
            or settling.duplicate_of(item) != row.duplicate_of
        ):
            changed.append(settling.Change(row.sent, item, in_range(price_request(item.record, book))))
    return changed
