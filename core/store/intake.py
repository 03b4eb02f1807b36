"""Ingest: what one body brought becomes rows, all of it or none, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import orjson
import psycopg
import zstandard
from sqlalchemy import Connection, Engine, Integer, Table, Text
from sqlalchemy.dialects.postgresql import dialect

from core.pricing.price import Priced
from core.request import Content, ContextSpan, RequestRecord
from core.score import Score
from core.store.partitions import ensure_days, unknown_days
from core.store.rows import day_of, first_as_sent, request_values, span_values
from core.store.session import enter, transaction
from core.store.tables import content, context_span, request, score

_FILLED_BY_SERVER = {"project_id", "user_key", "author_key", "state", "duplicate_of", "received_at", "xid"}
REQUEST_COLUMNS = [c.name for c in request.columns if c.name not in _FILLED_BY_SERVER]
SPAN_COLUMNS = [c.name for c in context_span.columns if c.name not in _FILLED_BY_SERVER]
CONTENT_COLUMNS = [c.name for c in content.columns if c.name not in _FILLED_BY_SERVER]
SCORE_COLUMNS = [c.name for c in score.columns if c.name not in _FILLED_BY_SERVER]
_request_cells: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*REQUEST_COLUMNS, "user_name")
_span_cells: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*SPAN_COLUMNS, "user_name")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one body brought for one project."""

    project_id: int
    requests: Sequence[tuple[RequestRecord, Priced]]
    spans: Sequence[ContextSpan] = ()
    contents: Sequence[Content] = ()
    scores: Sequence[Score] = ()

    def __len__(self) -> int:
        return len(self.requests) + len(self.spans)


def append(engine: Engine, batches: Sequence[Batch]) -> int:
    """Write the batches in one transaction and return how many rows are new.

    When this returns the rows are committed; when it raises none of them is there. Rows that exist
    already (same project, trace, span and start day; of scores the same project, trace and id) are left as
    they are.
    """
    ensure_days(engine, _days(batches))
    with transaction(engine) as connection:
        _stage(connection, batches)
        return sum(
            _move(connection, project_id, {s.recorded_at.date() for b in batches for s in b.scores})
            for project_id in sorted({b.project_id for b in batches})
        )


def days_to_make(engine: Engine, batch: Batch) -> list[date]:
    """The days of a batch whose partitions this process does not know to exist; no query."""
    return unknown_days(engine, _days([batch]))


def _days(batches: Sequence[Batch]) -> set[date]:
    return (
        {day_of(record.started_ns) for b in batches for record, _ in b.requests}
        | {day_of(span.started_ns) for b in batches for span in b.spans}
        | {given.recorded_at.date() for b in batches for given in b.scores}
    )


_DIALECT = dialect()  # type: ignore[no-untyped-call]


def _types(table: Table, columns: Sequence[str]) -> dict[str, str]:
    """Column → type of a stage. The user's name, which no table has, is text; whole numbers are as wide as can
    be, because the binary form of a smaller type would cut a large number off without a word."""
    kinds = {name: table.columns[name].type if name in table.columns else Text() for name in columns}
    return {
        name: "bigint" if isinstance(kind, Integer) else kind.compile(dialect=_DIALECT).lower()
        for name, kind in kinds.items()
    }


# Row security allows no COPY into its tables, so rows go through temporary ones.
_STAGES = {
    "stage_request": _types(request, ["project_id", *REQUEST_COLUMNS, "user_name"]),
    "stage_context_span": _types(context_span, ["project_id", *SPAN_COLUMNS, "user_name"]),
    "stage_content": _types(content, ["project_id", *CONTENT_COLUMNS]),
    "stage_score": _types(score, ["project_id", *SCORE_COLUMNS, "user_name"]),
}
_MAKE_STAGES = "; ".join(
    f"CREATE TEMP TABLE {stage} ({', '.join(f'{name} {kind}' for name, kind in types.items())})"
    " ON COMMIT DELETE ROWS"
    for stage, types in _STAGES.items()
)


def _stage(connection: Connection, batches: Sequence[Batch]) -> None:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    if not connection.info.get("staged"):
        driver.execute(_MAKE_STAGES)
        # At once: the tables must not vanish with the rollback of a batch that was refused.
        driver.commit()
        connection.info["staged"] = True
    with driver.cursor() as cursor:
        _copy(cursor, "stage_request", request_rows(batches))
        _copy(cursor, "stage_context_span", _span_rows(batches))
        _copy(cursor, "stage_content", content_rows(batches))
        _copy(cursor, "stage_score", _score_rows(batches))


def _copy(cursor: psycopg.Cursor[Any], stage: str, rows: Iterable[tuple[Any, ...]]) -> None:
    types = _STAGES[stage]
    try:
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        with cursor.copy(f"COPY {stage} ({', '.join(types)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(list(types.values()))
            copy.write_row(first)
            for row in rows:
                copy.write_row(row)
    except (OverflowError, TypeError, ValueError) as error:
        # The binary form is checked on this side of the wire; a bad row shall look the same from both.
        raise psycopg.DataError(f"a value does not fit its column: {error}") from error


def request_rows(batches: Sequence[Batch]) -> Iterable[tuple[Any, ...]]:
    """The rows that the requests become, in the order of the columns."""
    for batch in batches:
        for record, priced in batch.requests:
            values = request_values(record) | price_values(priced)
            values["as_sent"] = first_as_sent(record)
            values["counted"] = not record.aggregate
            yield (batch.project_id, *_request_cells(values))


def _span_rows(batches: Sequence[Batch]) -> Iterable[tuple[Any, ...]]:
    for batch in batches:
        for span in batch.spans:
            yield (batch.project_id, *_span_cells(span_values(span)))


def content_rows(batches: Sequence[Batch]) -> Iterable[tuple[Any, ...]]:
    """The rows that the contents become, compressed."""
    compress = _compressor().compress
    for batch in batches:
        for item in batch.contents:
            body = orjson.dumps({"input": item.input, "output": item.output})
            day = day_of(item.started_ns)
            yield (batch.project_id, day, item.trace_id, item.span_id, compress(body))


def _score_rows(batches: Sequence[Batch]) -> Iterable[tuple[Any, ...]]:
    for batch in batches:
        for given in batch.scores:
            values = {name: getattr(given, name) for name in SCORE_COLUMNS if name != "day"}
            values["day"] = given.recorded_at.date()
            yield (batch.project_id, *(values[name] for name in SCORE_COLUMNS), given.author)


_of_thread = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    """The thread's own: making one costs as much as compressing five contents, and none may be shared."""
    compressor: zstandard.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = zstandard.ZstdCompressor(level=1)
    return compressor


def price_values(priced: Priced) -> dict[str, Any]:
    """The columns that a price fills."""
    return {
        "price_version_id": priced.price_version_id,
        "pricing_status": priced.status,
        "pricing_reason": priced.reason,
        "cost_pico": priced.cost_pico,
        "list_pico": priced.list_pico,
    }


_REQUEST_LIST = ", ".join(REQUEST_COLUMNS)
_SPAN_LIST = ", ".join(SPAN_COLUMNS)
_CONTENT_LIST = ", ".join(CONTENT_COLUMNS)
_SCORE_LIST = ", ".join(SCORE_COLUMNS)

_NAMES = """
INSERT INTO user_name (project_id, name)
SELECT DISTINCT s.project_id, s.user_name
FROM (SELECT project_id, user_name FROM stage_request
      UNION SELECT project_id, user_name FROM stage_context_span
      UNION SELECT project_id, user_name FROM stage_score) s
WHERE s.project_id = {project} AND s.user_name IS NOT NULL
  AND NOT EXISTS (SELECT FROM user_name u WHERE u.project_id = {project} AND u.name = s.user_name)
ORDER BY s.user_name
ON CONFLICT DO NOTHING
"""

# Inserted rows are counted from RETURNING. A trace that got new rows is marked for the settle in the same
# statement, so that a mark and its rows become visible together. Rows go in by id, so that two writers
# with the same rows wait for each other instead of deadlocking.
_MOVE = f"""
WITH r AS (
    INSERT INTO request (project_id, user_key, {_REQUEST_LIST})
    SELECT s.project_id, u.key, {", ".join("s." + c for c in REQUEST_COLUMNS)}
    FROM stage_request s
    LEFT JOIN user_name u ON u.project_id = s.project_id AND u.name = s.user_name
    WHERE s.project_id = {{project}} ORDER BY s.trace_id, s.span_id
    ON CONFLICT DO NOTHING RETURNING trace_id, day
), c AS (
    INSERT INTO context_span (project_id, user_key, {_SPAN_LIST})
    SELECT s.project_id, u.key, {", ".join("s." + c for c in SPAN_COLUMNS)}
    FROM stage_context_span s
    LEFT JOIN user_name u ON u.project_id = s.project_id AND u.name = s.user_name
    WHERE s.project_id = {{project}} ORDER BY s.trace_id, s.span_id
    ON CONFLICT DO NOTHING RETURNING trace_id, day
), b AS (
    INSERT INTO content (project_id, {_CONTENT_LIST})
    SELECT project_id, {_CONTENT_LIST} FROM stage_content
    WHERE project_id = {{project}} ORDER BY trace_id, span_id
    ON CONFLICT DO NOTHING
), m AS (
    INSERT INTO unsettled AS mark (project_id, trace_id, first_day, last_day)
    SELECT {{project}}, trace_id, min(day), max(day)
    FROM (SELECT trace_id, day FROM r UNION ALL SELECT trace_id, day FROM c) AS fresh
    GROUP BY trace_id ORDER BY trace_id
    ON CONFLICT (project_id, trace_id) DO UPDATE SET generation = mark.generation + 1, last_at = now(),
        first_day = least(mark.first_day, excluded.first_day),
        last_day = greatest(mark.last_day, excluded.last_day)
)
SELECT (SELECT count(*) FROM r) + (SELECT count(*) FROM c)
"""


# A score that came without a time got that of its arrival, so a retry may fall on the next day.
_MOVE_SCORES = f"""
WITH s AS (
    INSERT INTO score (project_id, author_key, {_SCORE_LIST})
    SELECT s.project_id, u.key, {", ".join("s." + c for c in SCORE_COLUMNS)}
    FROM stage_score s
    LEFT JOIN user_name u ON u.project_id = s.project_id AND u.name = s.user_name
    WHERE s.project_id = {{project}} AND NOT EXISTS (
        SELECT FROM score o WHERE o.project_id = {{project}} AND o.trace_id = s.trace_id AND o.id = s.id
            AND o.day IN ({{days}}) AND o.day BETWEEN s.day - 1 AND s.day + 1)
    ORDER BY s.trace_id, s.id
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT count(*) FROM s
"""


def _move(connection: Connection, project_id: int, days: Set[date]) -> int:
    """Stage → tables for one project; returns the number of rows that are new. `days` are those of the scores."""
    enter(connection, project_id)
    connection.exec_driver_sql(_NAMES.format(project=int(project_id)))
    new = int(connection.exec_driver_sql(_MOVE.format(project=int(project_id))).scalar_one())
    if days:
        # Apart, because most bodies bring none, and planning over all days of a table costs time.
        near = {day + timedelta(days=n) for day in days for n in (-1, 0, 1)}
        listed = ", ".join(f"date '{day.isoformat()}'" for day in sorted(near))
        moved = connection.exec_driver_sql(_MOVE_SCORES.format(project=int(project_id), days=listed))
        new += int(moved.scalar_one())
    return new
