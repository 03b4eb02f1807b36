"""The lens over PostgreSQL: `CostQuestion` → a few statements at one moment → `Answer`.

All sums are over integers, so parts add up to their total to the last digit; percentiles are exact
(nearest rank, `percentile_disc`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError

from core.errors import BadQuestion
from core.question import METRICS, Answer, CostQuestion, Coverage, Judging, Row
from core.store import shared, statements
from core.store.session import tenant
from core.store.statements import COVERAGE, OTHERS, first_moment

# A hash or a sort stays in memory up to this (a hash up to twice of it), for each step of a statement and each
# of its workers. A page runs at most two statements at once.
_WORK_MEM = "64MB"

_Rows = list[dict[str, Any]]
_Values = Mapping[tuple[Any, ...], Mapping[str, Any]]
# A statement → what waits for its rows.
_Beside = Callable[[Executable], Callable[[], _Rows]]


class PostgresLens:
    """Answers from the rows themselves, provisional ones included: what was acknowledged is in the answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Who holds it may take a second connection while he has one. One at a time, so that callers with a
        # first can never wait for each other's second.
        self._second = threading.Lock()

    def ask(self, project_id: int, question: CostQuestion) -> Answer:
        """Rows, total and coverage at one moment."""
        with self._snapshot(project_id) as connection:
            return _ask(_Moment(connection), question)

    def ask_all(self, project_id: int, questions: Sequence[CostQuestion]) -> list[Answer]:
        """The answers of `ask` to each of the questions, all at one moment; those about the same requests cost
        little more than one of them."""
        found: dict[int, Answer] = {}
        with self._snapshot(project_id) as connection, self._beside(project_id, connection) as beside:
            moment = _Moment(connection)
            for places in shared.together(questions):
                found |= dict(
                    zip(places, _ask_together(moment, [questions[at] for at in places], beside), strict=True)
                )
            return [
                found[at] if at in found else _ask(moment, question) for at, question in enumerate(questions)
            ]

    def pages(self, project_id: int, question: CostQuestion, rows: int) -> Iterator[Answer]:
        """All rows of a question from its offset on, so many at a time, at one moment: the answers to the same
        question with growing offsets. Nothing is held but one of them."""
        with self._snapshot(project_id) as connection:
            moment, at = _Moment(connection), question.offset
            while True:
                answer = _ask(moment, replace(question, offset=at, limit=rows))
                yield answer
                at += rows
                if at >= answer.groups:
                    return

    @contextmanager
    def _snapshot(self, project_id: int, of: str | None = None) -> Iterator[Connection]:
        """A transaction that sees one moment: now, or that of an exported snapshot."""
        with tenant(self._engine, project_id) as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if of is not None:
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{of}'")
            connection.exec_driver_sql(f"SET LOCAL work_mem = '{_WORK_MEM}'")
            yield connection

    @contextmanager
    def _beside(self, project_id: int, connection: Connection) -> Iterator[_Beside]:
        """A way to have a statement's rows later, from the moment that `connection` sees: out of a second
        connection, or of this one where another caller has the second."""
        if not self._second.acquire(blocking=False):
            yield lambda statement: lambda: _rows(connection, statement)
            return
        try:
            snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()

            def rows(statement: Executable) -> _Rows:
                with self._snapshot(project_id, snapshot) as other:
                    return _rows(other, statement)

            with ThreadPoolExecutor(1) as thread:
                yield lambda statement: thread.submit(rows, statement).result
        finally:
            self._second.release()


class _Moment:
    """A connection that sees one moment, and what is asked of it more than once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.as_of: datetime = connection.exec_driver_sql("SELECT now()").scalar_one()
        self._reasons: list[tuple[CostQuestion, Mapping[str, int]]] = []
        self._judging: list[tuple[CostQuestion, Judging]] = []

    def sums(self, statement: Executable, question: CostQuestion) -> _Rows:
        """The rows of a statement that adds up, in hashes whatever the planner thinks of their number: it takes
        every expression of a time for as many groups as there are rows, and would sort them all."""
        self.connection.exec_driver_sql("SET LOCAL enable_sort = off")
        try:
            found = _rows(self.connection, statement)
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.InvalidParameterValue):
                raise BadQuestion(f"The database knows no time zone {question.zone!r}.") from error
            raise
        self.connection.exec_driver_sql("SET LOCAL enable_sort = on")
        return found

    def reasons(self, question: CostQuestion) -> Mapping[str, int]:
        """Why requests of a question have no price, counted."""
        for asked, found in self._reasons:
            if (asked.window, asked.filters) == (question.window, question.filters):
                return found
        rows = self.connection.execute(statements.reasons(question))
        found = {row.reason: row.requests for row in rows}
        self._reasons.append((question, found))
        return found

    def judging(self, question: CostQuestion) -> Judging:
        """What judging came to among the requests that a question lets pass."""
        for asked, known in self._judging:
            if (asked.window, asked.filters) == (question.window, question.filters):
                return known
        row = self.connection.execute(statements.judging(question.window, question.filters)).mappings().one()
        found = statements.judging_of(row, question.filters)
        self._judging.append((question, found))
        return found


def _ask(moment: _Moment, question: CostQuestion) -> Answer:
    by_key = "user" in question.group_by
    found = moment.sums(statements.grouped(question, by_key), question)
    if by_key and found[0]["erased"]:
        # Whose names were erased are one group, which their keys would keep apart.
        by_key = False
        found = moment.sums(statements.grouped(question, by_key), question)
    of_all, of_rows = _values(moment, question, found, by_key)
    return _answer(moment, question, found, of_all, of_rows)


def _ask_together(moment: _Moment, questions: Sequence[CostQuestion], beside: _Beside) -> list[Answer]:
    """Answers to questions that `shared.together` put together; one by one where there are too many groups."""
    valued = [question for question in questions if _valued(question)]
    waiting = beside(shared.values(valued)) if valued else list
    found = moment.sums(shared.sums(questions), questions[0])
    if found[0]["cells"] > shared.CELLS:
        return [_ask(moment, question) for question in questions]
    values = waiting()
    of = shared.by_level(valued, values) if len(values) <= shared.GROUPS else {}
    answers = []
    for at, question in enumerate(questions):
        rows = [row for row in found if row["question"] == at]
        if not _valued(question):
            answers.append(_answer(moment, question, rows, {}, {}))
        elif of:
            answers.append(_answer(moment, question, rows, of[()][()], _of_rows(question, of)))
        else:
            answers.append(_answer(moment, question, rows, *_values(moment, question, rows, by_key=False)))
    return answers


def _valued(question: CostQuestion) -> list[str]:
    return [name for name in question.metrics if name in OTHERS]


def _values(
    moment: _Moment, question: CostQuestion, found: _Rows, by_key: bool
) -> tuple[Mapping[str, Any], _Values]:
    """The metrics that do not add up: of all, and of the rows by their keys."""
    total, *rows = found
    names = _valued(question)
    if not names or not total["c_requests"]:
        return {}, {}
    if len(rows) == total["groups"] <= shared.GROUPS and "user" not in question.group_by:
        of = shared.by_level([question], _rows(moment.connection, shared.values([question])))
        return of[()][()], _of_rows(question, of)
    (of_all,) = _rows(moment.connection, statements.rest(question, names, None, by_key, narrow=False))
    if not rows:
        return of_all, {}
    narrow = len(rows) < total["groups"]
    part = _rows(moment.connection, statements.rest(question, names, rows, by_key, narrow=narrow))
    return of_all, {_key(question, row): row for row in part}


def _of_rows(question: CostQuestion, of: Mapping[shared.Level, _Values]) -> _Values:
    metrics = [f"m_{name}" for name in _valued(question)]
    return {key: {name: row[name] for name in metrics} for key, row in of[shared.level(question)].items()}


def _answer(
    moment: _Moment, question: CostQuestion, found: _Rows, of_all: Mapping[str, Any], of_rows: _Values
) -> Answer:
    total, *rows = found
    metrics = {f"m_{name}" for name in _valued(question)}
    whole = _row(
        question, {**total, **{name: of_all[name] for name in metrics if name in of_all}}, is_total=True
    )
    split = bool(question.group_by or question.interval)
    return Answer(
        question=question,
        as_of=moment.as_of,
        rows=[_row(question, {**row, **of_rows.get(_key(question, row), {})}) for row in rows]
        if split
        else [whole],
        total=whole,
        coverage=_coverage(total, moment.reasons(question) if total["c_unpriced"] else {}),
        groups=int(total["groups"]) if split else 1,
        judging=moment.judging(question),
    )


def _rows(connection: Connection, statement: Executable) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def _key(question: CostQuestion, row: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = tuple(row[f"k{at}"] for at in range(len(question.group_by)))
    return (*keys, row["start"]) if question.interval else keys


def _coverage(total: Mapping[str, Any], reasons: Mapping[str, int]) -> Coverage:
    counted = {name: int(total[f"c_{name}"]) for name in COVERAGE}
    return Coverage(
        requests=counted["requests"],
        priced=counted["requests"] - counted["unpriced"],
        unpriced=counted["unpriced"],
        unpriced_reasons=reasons,
        usage_known=counted["usage_known"],
        ttft_known=counted["ttft_known"],
        provisional=counted["provisional"],
    )


def _row(question: CostQuestion, row: Mapping[str, Any], is_total: bool = False) -> Row:
    requests = int(row["c_requests"])
    values: dict[str, Any] = {name: row.get(f"m_{name}") for name in question.metrics}
    if values.get("latency_avg") is not None:
        values["latency_avg"] /= requests
    return Row(
        group=() if is_total else tuple(row[f"g{i}"] for i in range(len(question.group_by))),
        start=None if is_total or not question.interval else first_moment(question, row["start"]),
        metrics={name: _value(name, value, requests) for name, value in values.items()},
        unpriced=int(row["c_unpriced"]),
    )


def _value(name: str, value: Any, requests: int) -> int | float | None:
    """A metric in its unit: milliseconds for times, whole numbers for the rest. No requests cost nothing;
    requests of which nothing is known cost None."""
    if value is None:
        return 0 if requests == 0 and METRICS[name] != "ms" else None
    return float(value) / 1000 if METRICS[name] == "ms" else int(value)
