"""The sampler's side of the ledger: which settled requests no policy has looked at, the probabilities of each day,
and what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, cast, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or

from core.judging.policy import LATENCY_EDGES_MS, Plan, Seen, latency_bucket, plan, stratum_key
from core.question import JUDGE_SOURCE
from core.stats.sampling import draw
from core.store.judge_tables import judge_round, judge_stratum, judging, unsampled
from core.store.judges import StoredPolicy
from core.store.statements import answered, conditions, dimension, has_content
from core.store.tables import request
from core.window import Window

PILOT_DAYS = 7
POLICIES_MAX = 20
"""Policies that one request is explained by; each takes up to four statements."""
# The share of a day from which on its requests so far tell how many it will have.
_TELLS_FROM = 0.25
WAITING_MAX = 100_000
"""Judgements of a project that may wait; the sampler pauses above it, and nothing is lost."""

_R = request.c


@dataclass(frozen=True, slots=True)
class Candidate:
    """A settled request that a policy may draw."""

    trace_id: str
    span_id: str
    day: date
    started_at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class Round:
    """The probabilities of a policy for the requests of one UTC day."""

    id: int
    base: float
    chances: Mapping[str, float]

    def chance(self, key: str) -> float:
        return self.chances.get(key, self.base)


def take_traces(connection: Connection, limit: int) -> tuple[list[str], date, date] | None:
    """Up to `limit` traces that wait, taken out of the queue for good where this transaction commits; their days."""
    rows = connection.execute(
        text("""
            DELETE FROM unsampled WHERE (project_id, trace_id) IN (
                SELECT project_id, trace_id FROM unsampled ORDER BY queued_at LIMIT :limit FOR UPDATE SKIP LOCKED
            ) RETURNING trace_id, first_day, last_day
        """),
        {"limit": limit},
    ).all()
    if not rows:
        return None
    return (
        [row.trace_id for row in rows],
        min(row.first_day for row in rows),
        max(row.last_day for row in rows),
    )


def drop_queue(connection: Connection) -> None:
    """Forget the traces that wait: no policy is in force that could draw from them."""
    connection.execute(unsampled.delete())


def owed(connection: Connection) -> int:
    """Judgements that wait or are under way."""
    counted = select(func.count()).select_from(judging).where(judging.c.state.in_(["waiting", "asked"]))
    return int(connection.execute(counted).scalar_one())


def candidates(
    connection: Connection, of: StoredPolicy, traces: Sequence[str], first: date, last: date
) -> list[Candidate]:
    """The eligible requests of these traces: settled, counted, answered without an error, with stored content, not
    calls to a judge, and passing the policy's filters."""
    statement = select(_R.trace_id, _R.span_id, _R.day, _R.started_at, *_key_columns(of)).where(
        _R.trace_id.in_(traces),
        _R.day >= first,
        _R.day <= last,
        _R.started_at >= of.starts_at,
        *_eligible(),
        *conditions(Window(), of.policy.filters or {}),
    )
    return [
        Candidate(row.trace_id, row.span_id, row.day, row.started_at, _key(of, row))
        for row in connection.execute(statement)
    ]


def _eligible() -> list[Any]:
    return [_R.state == "settled", *answered(), has_content()]


def round_of(
    connection: Connection,
    project_id: int,
    of: StoredPolicy,
    day: date,
    now: datetime,
    affordable: Callable[[], float | None],
) -> Round:
    """The round of a day: the one there is, or a new one from what the last days tell and the budget pays for, which is
    asked then alone."""
    known = select(judge_round).where(judge_round.c.policy_id == of.id, judge_round.c.day == day)
    row = connection.execute(known).one_or_none()
    if row is None:
        seen, most = _seen(connection, of, day, now), affordable()
        _open(connection, project_id, of, day, plan(of.policy, seen, most), seen, most)
        row = connection.execute(known).one()
    strata = connection.execute(
        select(judge_stratum.c.key, judge_stratum.c.chance).where(judge_stratum.c.round_id == row.id)
    ).all()
    return Round(row.id, row.base, {one.key: one.chance for one in strata})


def _open(
    connection: Connection,
    project_id: int,
    of: StoredPolicy,
    day: date,
    planned: Plan,
    seen: Mapping[str, Seen],
    affordable: float | None,
) -> None:
    poor = affordable is not None and affordable < of.policy.wanted_a_day
    made = connection.execute(
        insert_or(judge_round)
        .values(
            project_id=project_id,
            policy_id=of.id,
            day=day,
            wanted=min(of.policy.wanted_a_day, affordable)
            if affordable is not None
            else of.policy.wanted_a_day,
            base=planned.base,
            note="fewer than wanted: the budget pays for no more" if poor else "",
        )
        .on_conflict_do_nothing()
        .returning(judge_round.c.id)
    ).scalar()
    if made is None or not planned.chances:
        return
    connection.execute(
        insert(judge_stratum),
        [
            dict(
                project_id=project_id,
                round_id=made,
                key=key,
                size=seen[key].size,
                spread=seen[key].spread,
                pilot=seen[key].pilot,
                chance=chance,
            )
            for key, chance in planned.chances.items()
        ],
    )


def _seen(connection: Connection, of: StoredPolicy, day: date, now: datetime) -> dict[str, Seen]:
    """Eligible requests a day by stratum over the last days before `day` that had any, or by what came on `day` itself
    where that is more; and how the scores of these days varied. A round begins with the day's first request, when the
    day tells nothing yet: then the days before speak alone. Content is not asked for here: it would cost a look-up a
    request, and sizes are estimates."""
    first = day - timedelta(days=PILOT_DAYS)
    keys = _key_columns(of)
    sizes = connection.execute(
        select(*keys, _R.day, func.count().label("many"))
        .where(
            _R.day >= first,
            _R.day <= day,
            *answered(),
            *conditions(Window(), of.policy.filters or {}),
        )
        .group_by(*keys, _R.day)
    ).all()
    before = {row.day for row in sizes if row.day < day}
    # So far today stands for the whole day by the share of it that has passed.
    passed = min(1.0, max((now.date() - day).days + (now.hour * 60 + now.minute + 1) / 1440, 1 / 1440))
    many: dict[str, list[float]] = {}
    for row in sizes:
        here = many.setdefault(_key(of, row), [0.0, 0.0])
        here[row.day == day] += row.many
    tells = not before or passed >= _TELLS_FROM
    spreads = _spreads(connection, of, first, day)
    found = {}
    for key, (earlier, today) in many.items():
        size = max(earlier / len(before) if before else 0.0, today / passed if tells or not earlier else 0.0)
        spread, pilot = spreads.get(key, (None, 0))
        found[key] = Seen(size, spread, pilot)
    return found


def _spreads(
    connection: Connection, of: StoredPolicy, first: date, day: date
) -> dict[str, tuple[float, int]]:
    """The widest spread of a stratum's scores on any dimension, and how many there were."""
    each = func.jsonb_each_text(judging.c.scores).table_valued("key", "value").render_derived()
    value = cast(each.c.value, JSONB).op("#>>")(text("'{}'")).op("::")(text("double precision"))
    rows = connection.execute(
        select(judging.c.stratum, func.stddev_samp(value).label("spread"), func.count().label("many"))
        .select_from(judging.join(each, literal(True)))
        .where(
            judging.c.rubric_id == of.rubric_id,
            judging.c.purpose == "sample",
            judging.c.state == "scored",
            judging.c.started_at >= first,
            judging.c.started_at < day,
        )
        .group_by(judging.c.stratum, each.c.key)
    ).all()
    found: dict[str, tuple[float, int]] = {}
    for row in rows:
        if row.stratum is not None and row.spread is not None:
            spread, pilot = found.get(row.stratum, (0.0, 0))
            found[row.stratum] = (max(spread, row.spread), max(pilot, row.many))
    return found


def _key_columns(of: StoredPolicy) -> list[Any]:
    def column(name: str) -> Any:
        if name != "latency":
            return dimension(name).label(f"s_{name}")
        edges = [
            (_R.duration_us < edge * 1000, literal(latency_bucket(edge - 1))) for edge in LATENCY_EDGES_MS
        ]
        return case(*edges, else_=literal(latency_bucket(LATENCY_EDGES_MS[-1]))).label("s_latency")

    return [column(name) for name in of.policy.strata]


def _key(of: StoredPolicy, row: Any) -> str:
    return stratum_key(of.policy, {name: getattr(row, f"s_{name}") for name in of.policy.strata})


def put(
    connection: Connection,
    project_id: int,
    of: StoredPolicy,
    drawn: Iterable[dict[str, Any]],
    now: datetime,
) -> int:
    """Owe these judgements; what is owed or done already is left as it is. Returns how many are new."""
    rows = [
        dict(
            project_id=project_id,
            policy_id=of.id,
            rubric_id=of.rubric_id,
            judge_id=of.judge and of.judge.id,
            purpose="sample",
            repeat=repeat,
            not_before=now,
            **one,
        )
        for one in drawn
        for repeat in range(of.policy.repeats if of.judge else 1)
    ]
    if not rows:
        return 0
    made = insert_or(judging).on_conflict_do_nothing().returning(judging.c.id)
    return len(connection.execute(made, rows).all())


def draw_from(of: StoredPolicy, here: Round, found: Sequence[Candidate]) -> list[dict[str, Any]]:
    """The candidates whose own number lies below their probability."""
    drawn = []
    for one in found:
        number, chance = draw(one.trace_id, one.span_id, of.salt), here.chance(one.key)
        if number < chance:
            drawn.append(
                dict(
                    trace_id=one.trace_id,
                    span_id=one.span_id,
                    day=one.day,
                    started_at=one.started_at,
                    stratum=one.key,
                    chance=chance,
                    round_id=here.id,
                    # Within a day in an order of chance, so that what the budget leaves out is left out at random.
                    turn=one.started_at.toordinal() + number / chance,
                )
            )
    return drawn


@dataclass(frozen=True, slots=True)
class Why:
    """Why a request was judged by a policy or not, in words; `state` is that of the judgement where there is one."""

    rubric: str
    policy_id: int
    words: str
    state: str | None = None
    chance: float | None = None
    number: float | None = None


def concerning(policies: Sequence[StoredPolicy], started_at: datetime) -> list[StoredPolicy]:
    """The policies in force, and those that were when a request started; `POLICIES_MAX` of them, the newest first."""
    found = [
        one
        for one in policies
        if one.ended_at is None or (one.starts_at <= started_at and started_at <= one.ended_at)
    ]
    return sorted(found, key=lambda one: one.ended_at is not None)[:POLICIES_MAX]


def why(connection: Connection, policies: Sequence[StoredPolicy], trace_id: str, span_id: str) -> list[Why]:
    """What each policy made of a request of the entered project; nothing where there is no such request."""
    row = connection.execute(
        select(request, and_(*_eligible()).label("eligible")).where(
            _R.trace_id == trace_id, _R.span_id == span_id
        )
    ).first()
    if row is None:
        return []
    waits = connection.execute(
        select(literal(1)).select_from(unsampled).where(unsampled.c.trace_id == trace_id)
    ).first()
    return [_why(connection, of, row, waits is not None) for of in policies]


def _why(connection: Connection, of: StoredPolicy, row: Any, waits: bool) -> Why:
    def because(words: str, **known: Any) -> Why:
        return Why(of.rubric.name, of.id, words, **known)

    task = connection.execute(
        select(judging)
        .where(
            judging.c.trace_id == row.trace_id,
            judging.c.span_id == row.span_id,
            judging.c.rubric_id == of.rubric_id,
            judging.c.purpose == "sample",
        )
        .order_by(judging.c.id)
    ).first()
    number = draw(row.trace_id, row.span_id, of.salt)
    if task is not None:
        words = {
            "waiting": f"It was drawn and waits for its judge{f': {task.reason}' if task.reason else ''}.",
            "asked": "It was drawn, and its judge is being asked.",
            "scored": "It was drawn and judged.",
            "failed": f"It was drawn, and could not be judged: {task.reason}.",
        }[task.state]
        if task.policy_id != of.id:
            return because(f"{words} Another policy for this rubric drew it.", state=task.state)
        return because(words, state=task.state, chance=task.chance, number=number)
    if reason := _ineligible(of, row):
        return because(reason)
    if waits:
        return because("It has settled and was not looked at yet.")
    found = candidates(connection, of, [row.trace_id], row.day, row.day)
    key = next((one.key for one in found if one.span_id == row.span_id), None)
    if key is None:
        return because("It does not pass the filters of the policy.")
    known = connection.execute(
        select(judge_round).where(judge_round.c.policy_id == of.id, judge_round.c.day == row.day)
    ).first()
    if known is None:
        return because("No probabilities were set for its day: the policy was not in force then.")
    chance = connection.execute(
        select(judge_stratum.c.chance).where(judge_stratum.c.round_id == known.id, judge_stratum.c.key == key)
    ).scalar()
    chance = known.base if chance is None else chance
    if number < chance:
        return because("It should have been drawn: the policy ended before it was looked at.", chance=chance)
    note = f" ({known.note})" if known.note else ""
    return because(
        f"It was not drawn: its number is {number:.4f}, and only numbers below {chance:.4f}, the probability of"
        f" its stratum {key} on that day, are{note}.",
        chance=chance,
        number=number,
    )


def _ineligible(of: StoredPolicy, row: Any) -> str | None:
    if row.source == JUDGE_SOURCE:
        return "It is itself a call to a judge."
    if row.started_at < of.starts_at:
        return "It started before the policy came into force."
    if not row.counted:
        return "It is counted elsewhere: the same call was reported twice, or this is a sum of others."
    if row.status != "ok":
        return "It ended with an error, so there is no answer to judge."
    if row.state != "settled":
        return "It has not settled yet: spans of its trace may still come."
    if not row.eligible:
        return "Its prompt and answer were not stored, so there is nothing to judge."
    return None
