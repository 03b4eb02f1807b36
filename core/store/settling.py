"""The settle's side of the ledger: which traces wait, what belongs to them, what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from core.pricing.price import Priced
from core.request import ContextSpan, RequestRecord
from core.settling import Settled
from core.store.intake import price_values
from core.store.locks import Lock, wait_or_take
from core.store.rows import as_sent, day_of, record_of, request_values, sent_record, span_of
from core.store.tables import request

# Two spans of one call in two traces are looked for this many days around the trace that waits.
_REACH = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Traces that wait to be settled, each with the generation of its mark, and the days they touch."""

    generations: Mapping[str, int]
    first_day: date
    last_day: date

    @property
    def traces(self) -> frozenset[str]:
        return frozenset(self.generations)

    def days(self) -> dict[str, date]:
        return {"first": self.first_day - _REACH, "last": self.last_day + _REACH}


@dataclass(frozen=True, slots=True)
class Stored:
    """A request as it was sent, and as its row stands now."""

    sent: RequestRecord
    now: RequestRecord
    state: str
    counted: bool
    duplicate_of: str | None


def lock(connection: Connection, project_id: int, wait: bool) -> bool:
    """True where no other worker settles this project, or none does any more; held to the end of the
    transaction."""
    return wait_or_take(connection, Lock.SETTLE, project_id, wait)


def waiting(
    connection: Connection, quiet_before: datetime, waited_before: datetime, limit: int
) -> Waiting | None:
    """Up to `limit` traces of the entered project whose last spans came before `quiet_before`, or that have
    waited since `waited_before` however busy they are; None where nothing waits."""
    rows = connection.execute(
        text("""
            SELECT trace_id, generation, first_day, last_day FROM unsettled
            WHERE last_at <= :quiet OR first_at <= :waited
            ORDER BY first_at LIMIT :limit
        """),
        {"quiet": quiet_before, "waited": waited_before, "limit": limit},
    ).all()
    if not rows:
        return None
    return Waiting(
        generations={row.trace_id: row.generation for row in rows},
        first_day=min(row.first_day for row in rows),
        last_day=max(row.last_day for row in rows),
    )


def with_twins(connection: Connection, found: Waiting) -> frozenset[str]:
    """The waiting traces, and those reached from them over spans of one call: a trace is only settled together
    with everything that may count in its place."""
    traces, fresh = found.traces, found.traces
    while fresh:
        wanted = {"traces": sorted(fresh), **found.days()}
        refused = {row.trace_id for row in connection.execute(_FAILED_TWINS, wanted)}
        fresh = frozenset(_same_ids(connection, wanted) | refused) - traces
        traces |= fresh
    return traces


# An id that more spans carry within two hours is a mock's and tells nothing: its traces would chain into one,
# and settling would never end.
_MOST_CARRIERS = 16


def _same_ids(connection: Connection, wanted: Mapping[str, Any]) -> set[str]:
    """The traces with a span that carries a response id of the wanted ones at about the same time."""
    ids = connection.execute(_RESPONSE_IDS, wanted).all()
    rows = connection.execute(
        _CARRIERS,
        {
            "ids": [row.response_id for row in ids],
            "firsts": [row.earliest for row in ids],
            "lasts": [row.latest for row in ids],
            "most": _MOST_CARRIERS + 1,
            "first": wanted["first"],
            "last": wanted["last"],
        },
    )
    carriers: dict[str, list[str]] = {}
    for row in rows:
        carriers.setdefault(row.response_id, []).append(row.trace_id)
    return {trace for found in carriers.values() if len(found) <= _MOST_CARRIERS for trace in found}


_RESPONSE_IDS = text("""
    SELECT response_id, min(started_at) AS earliest, max(started_at) AS latest FROM request
    WHERE trace_id = ANY(:traces) AND day BETWEEN :first AND :last AND response_id IS NOT NULL
    GROUP BY response_id
""")
# One bounded look into the index for each id, whatever the planner believes of their number.
_CARRIERS = text("""
    SELECT wanted.response_id, carrier.trace_id
    FROM unnest(CAST(:ids AS text[]), CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[]))
        AS wanted (response_id, earliest, latest)
    CROSS JOIN LATERAL (
        SELECT r.trace_id FROM request r
        WHERE r.response_id = wanted.response_id AND r.day BETWEEN :first AND :last
            AND r.started_at BETWEEN wanted.earliest - interval '1 hour' AND wanted.latest + interval '1 hour'
        LIMIT :most
    ) AS carrier
""")


# A refused call has no response id; the provider's own span of it lies inside the instrumentation's.
_FAILED_TWINS = text("""
    SELECT DISTINCT twin.trace_id FROM request own
    JOIN request twin ON twin.project_id = own.project_id AND twin.native <> own.native
        AND twin.status = 'error' AND twin.response_id IS NULL
        AND twin.started_at BETWEEN own.started_at - interval '1 hour'
            AND own.started_at + least(own.duration_us * interval '1 microsecond', interval '1 hour')
        AND twin.started_at + twin.duration_us * interval '1 microsecond' >= own.started_at
        AND twin.service IS NOT DISTINCT FROM own.service
        AND twin.day BETWEEN :first AND :last
    WHERE own.trace_id = ANY(:traces) AND own.day BETWEEN :first AND :last
        AND own.status = 'error' AND own.response_id IS NULL
""")


def with_marks(connection: Connection, found: Waiting, traces: Iterable[str]) -> Waiting:
    """The same, waiting for all of `traces`: what is settled together is done together."""
    rows = connection.execute(
        text("SELECT trace_id, generation FROM unsettled WHERE trace_id = ANY(:traces)"),
        {"traces": sorted(set(traces) - found.traces)},
    )
    more = {row.trace_id: row.generation for row in rows}
    return replace(found, generations={**found.generations, **more})


def load(connection: Connection, traces: Iterable[str]) -> tuple[list[Stored], list[ContextSpan]]:
    """Everything that the ledger holds of these traces, on whatever days: a trace may last for weeks."""
    wanted = {"traces": sorted(traces)}
    requests = [
        Stored(sent_record(row), record_of(row), row["state"], row["counted"], row["duplicate_of"])
        for row in connection.execute(_LOAD_REQUESTS, wanted).mappings()
    ]
    spans = [span_of(row) for row in connection.execute(_LOAD_SPANS, wanted).mappings()]
    return requests, spans


_LOAD_REQUESTS = text("""
    SELECT r.*, u.name AS user_name FROM request r LEFT JOIN user_name u ON u.key = r.user_key
    WHERE r.trace_id = ANY(:traces)
""")
_LOAD_SPANS = text("""
    SELECT s.*, u.name AS user_name FROM context_span s LEFT JOIN user_name u ON u.key = s.user_key
    WHERE s.trace_id = ANY(:traces)
""")


@dataclass(frozen=True, slots=True)
class Change:
    """What a row shall say from now on."""

    sent: RequestRecord
    settled: Settled
    priced: Priced


def duplicate_of(settled: Settled) -> str | None:
    """How a row names the request that is counted in its place."""
    return "-".join(settled.duplicate_of) if settled.duplicate_of else None


def write(connection: Connection, changes: Sequence[Change]) -> None:
    """Rewrite the rows that the settle changed."""
    if not changes:
        return
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy(f"COPY stage_settle ({', '.join(_COPIED)}) FROM STDIN") as copy:
            for change in changes:
                copy.write_row(list(_cells(change)))
        cursor.execute(_NEW_NAMES)
        cursor.execute(_UPDATE)


def finish(connection: Connection, found: Waiting, stored: Sequence[Stored]) -> None:
    """Mark the loaded requests of the traces that waited as settled and take their marks away. A request that
    was committed in the meantime stays provisional, for its own mark's sake."""
    fresh = [s.sent for s in stored if s.state == "provisional" and s.sent.trace_id in found.traces]
    connection.execute(
        text("""
            UPDATE request r SET state = 'settled', xid = pg_current_xact_id()
            FROM unnest(CAST(:traces AS text[]), CAST(:spans AS text[]), CAST(:days AS date[]))
                AS loaded (trace_id, span_id, day)
            WHERE r.trace_id = loaded.trace_id AND r.span_id = loaded.span_id AND r.day = loaded.day
                AND r.state = 'provisional'
        """),
        {
            "traces": [r.trace_id for r in fresh],
            "spans": [r.span_id for r in fresh],
            "days": [day_of(r.started_ns) for r in fresh],
        },
    )
    _offer(connection, found, stored)
    marks = sorted(found.generations.items())
    connection.execute(
        _REMOVE_MARKS,
        {"traces": [trace for trace, _ in marks], "generations": [number for _, number in marks]},
    )


def _offer(connection: Connection, found: Waiting, stored: Sequence[Stored]) -> None:
    """Let the sampler look at what has settled, where there is a policy that may want it."""
    days: dict[str, list[date]] = {}
    for one in stored:
        if one.sent.trace_id in found.traces:
            days.setdefault(one.sent.trace_id, []).append(day_of(one.sent.started_ns))
    if days:
        traces = sorted(days)
        firsts, lasts = ([of(days[trace]) for trace in traces] for of in (min, max))
        connection.execute(_OFFER, {"traces": traces, "firsts": firsts, "lasts": lasts})


_OFFER = text("""
    INSERT INTO unsampled (project_id, trace_id, first_day, last_day)
    SELECT nullif(current_setting('app.project', true), '')::integer, trace_id, first_day, last_day
    FROM unnest(CAST(:traces AS text[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
        AS settled (trace_id, first_day, last_day)
    WHERE EXISTS (SELECT FROM judge_policy WHERE ended_at IS NULL)
    ON CONFLICT DO NOTHING
""")


# A mark that a body is just adding to is left: it will be settled again, and nobody waits for anybody.
_REMOVE_MARKS = text("""
    DELETE FROM unsettled WHERE (project_id, trace_id) IN (
        SELECT u.project_id, u.trace_id FROM unsettled u
        JOIN unnest(CAST(:traces AS text[]), CAST(:generations AS bigint[])) AS done (trace_id, generation)
            ON u.trace_id = done.trace_id AND u.generation = done.generation
        FOR UPDATE OF u SKIP LOCKED
    )
""")


_KEPT = {"project_id", "day", "trace_id", "span_id", "started_at", "received_at", "xid", "state", "user_key"}
_SET = [c.name for c in request.columns if c.name not in _KEPT]
_JSON = {"tags", "usage_raw", "as_sent"}
_COPIED = ["day", "trace_id", "span_id", "user_name", *_SET]
_STAGE = (
    "CREATE TEMP TABLE IF NOT EXISTS stage_settle ON COMMIT DELETE ROWS AS"
    f" SELECT day, trace_id, span_id, NULL::text AS user_name, {', '.join(_SET)} FROM request WITH NO DATA"
)
_TENANT = "nullif(current_setting('app.project', true), '')::integer"
_NEW_NAMES = f"""
INSERT INTO user_name (project_id, name)
SELECT DISTINCT {_TENANT}, s.user_name FROM stage_settle s WHERE s.user_name IS NOT NULL
ON CONFLICT DO NOTHING
"""
_UPDATE = f"""
UPDATE request r SET {", ".join(f"{c} = s.{c}" for c in _SET)}, user_key = u.key, xid = pg_current_xact_id()
FROM stage_settle s LEFT JOIN user_name u ON u.name = s.user_name
WHERE r.project_id = {_TENANT} AND r.day = s.day AND r.trace_id = s.trace_id AND r.span_id = s.span_id
"""


def _cells(change: Change) -> Iterable[Any]:
    values: Mapping[str, Any] = {
        **request_values(change.settled.record),
        **price_values(change.priced),
        "as_sent": as_sent(change.sent, change.settled.record),
        "counted": change.settled.counted,
        "duplicate_of": duplicate_of(change.settled),
    }
    for name in _COPIED:
        value = values[name]
        yield json.dumps(value, ensure_ascii=False) if name in _JSON and value is not None else value
