"""Comparisons: pairs of answers frozen with their texts, owed to a judge in both orders, and what it said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text

from core.errors import BadQuestion, NotFound
from core.judging.judge import Judge
from core.judging.material import Material, material_of, material_to_json
from core.judging.pairing import PAIRS_MAX, RequestId, Wanted, check_pair, of_texts, side_by_side
from core.judging.pairs import Pair
from core.judging.rubric import Rubric, rubric_from_json
from core.judging.storable import check_storable
from core.store import audit, judges
from core.store.judge_tables import comparison, judging
from core.store.judging import Stored, contents

TEXTS_MAX = 16 * 1024 * 1024
"""Characters of all texts of a comparison."""
OWED_MAX = 10_000
"""Judgements of comparisons that a project may be owed at once."""
REASONS_MAX = 20
_AT_ONCE = 50
# After trials and anchors, before all that is drawn: they are few, and somebody waits for them.
_TURN = 2.0
_NOWHERE = "0" * 32


@dataclass(frozen=True, slots=True)
class Line:
    """A comparison as a list shows it: whose answers by what, and how many of its judgements are how far."""

    id: int
    name: str
    rubric: str
    version: str
    judge: str
    first_label: str
    second_label: str
    pairs: int
    waiting: int
    scored: int
    failed: int
    cost_pico: int
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Page:
    """Comparisons, newest first; `next` is the cursor of the older ones, None where there are none."""

    items: list[Line]
    next: str | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why judgements failed, or wait for longer; `pair` is the place of one of theirs."""

    state: str
    reason: str
    judgements: int
    pair: int


@dataclass(frozen=True, slots=True)
class Found:
    """A comparison with what its judge said: the scores by place of the pair and order, and the reasons for those that
    it did not give, the most frequent first, `REASONS_MAX` at most."""

    line: Line
    rubric: Rubric
    frozen: Sequence[Mapping[str, Any]]
    said: Mapping[tuple[int, int], Mapping[str, float]]
    reasons: Sequence[Reason]

    def on(self, dimension: str) -> list[Pair]:
        """The pairs that were judged in both orders: half a pair would let count what the judge reads first."""
        found = []
        for place, one in enumerate(self.frozen):
            forward, backward = (self.said.get((place, order), {}).get(dimension) for order in (0, 1))
            if forward is not None and backward is not None:
                length, other = one["lengths"]
                found.append(Pair(forward, backward, length, other, one["session"]))
        return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair that may be compared. `stored` are the requests that it is of, and where the first one lies."""

    material: Material
    other: str
    session: str
    stored: tuple[_Stored, _Stored] | None = None

    @property
    def size(self) -> int:
        return len(self.other) + sum(map(len, self.material.texts()))


@dataclass(frozen=True, slots=True)
class _Stored:
    id: RequestId
    day: date
    started_at: datetime
    session: str


def start(
    connection: Connection,
    project_id: int,
    name: str,
    rubric: Rubric,
    judge_name: str,
    labels: tuple[str, str],
    pairs: Sequence[Wanted],
    who: str,
    now: datetime,
) -> int:
    """Owe a judgement of each pair in both orders, of texts as they are now; all of them, or none where one cannot be
    compared. Returns the comparison's number."""
    asked = _judge(connection, rubric, judge_name, now)
    for what, said, most in (("name", name, 100), ("label", labels[0], 60), ("label", labels[1], 60)):
        if not 0 < len(said.strip()) <= most:
            raise BadQuestion(f"A comparison's {what} is 1 to {most} characters.")
    check_storable([name, *labels], "The comparison")
    if not 0 < len(pairs) <= PAIRS_MAX:
        raise BadQuestion(f"A comparison has 1 to {PAIRS_MAX} pairs.")
    _check_owed(connection, len(pairs))
    frozen = _frozen(connection, rubric, pairs)
    rubric_id = judges.save_rubric(connection, project_id, rubric, who)
    number = int(
        connection.execute(
            insert(comparison)
            .values(
                project_id=project_id,
                rubric_id=rubric_id,
                judge_id=asked.id,
                name=name.strip(),
                first_label=labels[0].strip(),
                second_label=labels[1].strip(),
                size=len(frozen),
                pairs=[_kept(one) for one in frozen],
                created_at=now,
                created_by=who,
            )
            .returning(comparison.c.id)
        ).scalar_one()
    )
    same = dict(
        project_id=project_id,
        rubric_id=rubric_id,
        judge_id=asked.id,
        comparison_id=number,
        purpose="pair",
        chance=1.0,
        not_before=now,
        created_at=now,
    )
    for begin in range(0, len(frozen), _AT_ONCE):
        part = enumerate(frozen[begin : begin + _AT_ONCE], begin)
        rows = [same | _row(one, number, place, order, now) for place, one in part for order in (0, 1)]
        connection.execute(insert(judging), rows)
    audit.note(
        connection, project_id, who, "comparison.start", name.strip(), pairs=len(frozen), judge=judge_name
    )
    return number


def _judge(connection: Connection, rubric: Rubric, name: str, now: datetime) -> Judge:
    if rubric.scorer is not None:
        raise BadQuestion(
            f"The rubric {rubric.name} is a scorer, which compares nothing. Name one that a judge reads."
        )
    asked = judges.judge_for(connection, rubric, name, now)
    assert asked is not None  # a rubric without a scorer has a judge
    return asked


def _check_owed(connection: Connection, pairs: int) -> None:
    owed = select(func.count()).where(
        judging.c.comparison_id.is_not(None), judging.c.state.in_(["waiting", "asked"])
    )
    waiting = connection.execute(owed).scalar_one()
    if waiting + 2 * pairs > OWED_MAX:
        raise BadQuestion(
            f"{waiting} judgements of comparisons wait already, and {OWED_MAX} may at most. Let them end first, or"
            " compare fewer pairs."
        )


def _frozen(connection: Connection, rubric: Rubric, wanted: Sequence[Wanted]) -> list[_Pair]:
    """The pairs with their texts, or the first that cannot be compared as a `BadQuestion` that names it."""
    checked = []
    for place, one in enumerate(wanted):
        with _named(place):
            check_storable([one.question, one.context, one.reference, one.cluster], "The pair")
            check_storable([side for side in (one.first, one.second) if isinstance(side, str)], "The pair")
            checked.append(check_pair(one))
    stored = _stored(connection, checked)
    frozen: list[_Pair] = []
    room = TEXTS_MAX
    for begin in range(0, len(checked), _AT_ONCE):
        part = checked[begin : begin + _AT_ONCE]
        bodies = contents(connection, [_key(stored[one]) for one in _ids(part) if one in stored])
        for place, one in enumerate(part, begin):
            with _named(place):
                pair = _pair(one, place, rubric, stored, bodies)
                room -= pair.size
                if room < 0:
                    raise BadQuestion(
                        f"Up to here the texts have more than {TEXTS_MAX:,} characters. Compare the rest apart."
                    )
            frozen.append(pair)
    return frozen


@contextmanager
def _named(place: int) -> Iterator[None]:
    """Says which pair it was, counted from 0 as in the body."""
    try:
        yield
    except BadQuestion as error:
        raise BadQuestion(f"pairs.{place}: {error} None of these pairs is compared.") from None


def _ids(pairs: Sequence[Wanted]) -> list[RequestId]:
    """The stored requests of these pairs, each once."""
    sides = [side for one in pairs for side in (one.first, one.second)]
    return list(dict.fromkeys(side for side in sides if isinstance(side, RequestId)))


_FIND = text("""
SELECT DISTINCT ON (w.trace_id, w.span_id) r.trace_id, r.span_id, r.day, r.started_at,
    coalesce(r.session, r.trace_id) AS session
FROM unnest(CAST(:traces AS text[]), CAST(:spans AS text[])) AS w (trace_id, span_id)
JOIN request r ON r.trace_id = w.trace_id AND r.span_id = w.span_id
ORDER BY w.trace_id, w.span_id, r.counted DESC, r.started_at
""")


def _stored(connection: Connection, pairs: Sequence[Wanted]) -> dict[RequestId, _Stored]:
    ids = _ids(pairs)
    if not ids:
        return {}
    rows = connection.execute(
        _FIND, {"traces": [one.trace_id for one in ids], "spans": [one.span_id for one in ids]}
    )
    found = [
        _Stored(RequestId(row.trace_id, row.span_id), row.day, row.started_at, row.session) for row in rows
    ]
    return {one.id: one for one in found}


def _key(one: _Stored) -> tuple[str, str, date]:
    return one.id.trace_id, one.id.span_id, one.day


def _pair(
    one: Wanted,
    place: int,
    rubric: Rubric,
    stored: Mapping[RequestId, _Stored],
    bodies: Mapping[tuple[str, str, date], Stored],
) -> _Pair:
    if isinstance(one.first, str) or isinstance(one.second, str):
        return _Pair(*of_texts(one, rubric), one.cluster or f"pair {place}")
    first, second = (
        _read(one, name, side, stored, bodies)
        for name, side in (("first", one.first), ("second", one.second))
    )
    material, other = side_by_side(first[1], second[1], rubric)
    return _Pair(material, other, one.cluster or first[0].session, (first[0], second[0]))


def _read(
    one: Wanted,
    name: str,
    side: RequestId,
    stored: Mapping[RequestId, _Stored],
    bodies: Mapping[tuple[str, str, date], Stored],
) -> tuple[_Stored, Material]:
    if side not in stored:
        raise BadQuestion(f"There is no request {side} in this project, which is {name}.")
    if _key(stored[side]) not in bodies:
        raise BadQuestion(f"The prompt and answer of {name}, {side}, are not stored.")
    asked, answered, reference = bodies[_key(stored[side])]
    return stored[side], material_of(asked, answered, one.reference or reference)


def _kept(one: _Pair) -> dict[str, Any]:
    first, second = (str(side.id) for side in one.stored) if one.stored else (None, None)
    lengths = [len(one.material.answer or ""), len(one.other)]
    return {"first": first, "second": second, "session": one.session, "lengths": lengths}


def _row(one: _Pair, number: int, place: int, order: int, now: datetime) -> dict[str, Any]:
    """One order of a pair. It stands at its first request, and texts that are no request's stand at none."""
    at = one.stored[0] if one.stored else None
    return dict(
        occasion=f"comparison-{number}-{place}",
        repeat=order,
        day=at.day if at else now.astimezone(UTC).date(),
        trace_id=at.id.trace_id if at else _NOWHERE,
        span_id=at.id.span_id if at else f"{place:016x}",
        started_at=at.started_at if at else now,
        turn=_TURN + place / 1e6,
        material=material_to_json(one.material) | {"other": one.other},
    )


_LINES = """
SELECT c.id, c.name, c.first_label, c.second_label, c.size AS pairs, c.created_at, c.created_by, r.name AS rubric,
    r.version, j.name AS judge, n.waiting, n.scored, n.failed, n.cost_pico
FROM (SELECT * FROM comparison WHERE {where} ORDER BY id DESC LIMIT :most) c
JOIN rubric r ON r.id = c.rubric_id
JOIN judge j ON j.id = c.judge_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state IN ('waiting', 'asked')) AS waiting,
        count(*) FILTER (WHERE state = 'scored') AS scored, count(*) FILTER (WHERE state = 'failed') AS failed,
        coalesce(sum(cost_pico), 0) AS cost_pico
    FROM judging g WHERE g.comparison_id = c.id
) n
ORDER BY c.id DESC
"""
_PAGE = text(_LINES.format(where="CAST(:before AS bigint) IS NULL OR id < :before"))
_ONE = text(_LINES.format(where="id = :id"))
_REASONS = text("""
SELECT state, reason, count(*) AS judgements, min(CAST(split_part(occasion, '-', 3) AS integer)) AS pair
FROM judging WHERE comparison_id = :id AND state IN ('waiting', 'failed') AND reason IS NOT NULL
GROUP BY state, reason ORDER BY state, judgements DESC, reason LIMIT :most
""")


def list_comparisons(connection: Connection, cursor: str | None = None, limit: int = 50) -> Page:
    """A page of the entered project's comparisons."""
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadQuestion("The cursor is not one that this list gave. Start without it.")
    rows = connection.execute(_PAGE, {"before": int(cursor) if cursor else None, "most": limit + 1}).all()
    items = [_line(row) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def one_comparison(connection: Connection, number: int) -> Found:
    """One comparison of the entered project, with what its judge said so far."""
    row = connection.execute(_ONE, {"id": number, "most": 1}).one_or_none()
    if row is None:
        raise NotFound(f"There is no comparison {number} in this project.")
    frozen, body = connection.execute(
        text("SELECT c.pairs, r.body FROM comparison c JOIN rubric r ON r.id = c.rubric_id WHERE c.id = :id"),
        {"id": number},
    ).one()
    said = connection.execute(
        select(judging.c.occasion, judging.c.repeat, judging.c.scores).where(
            judging.c.comparison_id == number, judging.c.state == "scored"
        )
    )
    reasons = connection.execute(_REASONS, {"id": number, "most": REASONS_MAX})
    return Found(
        line=_line(row),
        rubric=rubric_from_json(body),
        frozen=frozen,
        said={(int(one.occasion.rpartition("-")[2]), one.repeat): one.scores for one in said},
        reasons=[Reason(one.state, one.reason, one.judgements, one.pair) for one in reasons],
    )


def _line(row: Row[Any]) -> Line:
    names = Line.__dataclass_fields__
    return Line(**{name: getattr(row, name) for name in names} | {"cost_pico": int(row.cost_pico)})
