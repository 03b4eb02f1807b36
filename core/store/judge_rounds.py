"""A day's rounds as a person looks at them: the strata with their probabilities, and what was drawn of each so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select

from core.question import Value
from core.store.judge_tables import judge_round, judge_stratum, judging

_J = judging.c


@dataclass(frozen=True, slots=True)
class StratumState:
    """One stratum: its `values` in the order of the policy's strata, how many requests a day were expected, how their
    scores varied (`spread`, of `pilot` scores), and of those that came how many were `drawn` with this `chance`."""

    values: tuple[Value, ...]
    size: float
    spread: float | None
    pilot: int
    chance: float
    drawn: int


@dataclass(frozen=True, slots=True)
class RoundState:
    """A policy's round of one UTC day. `strata` are the largest first; `rest_drawn` were in none of them, each drawn
    with the chance `base`."""

    day: date
    wanted: float
    base: float
    note: str
    strata: Sequence[StratumState]
    drawn: int
    rest_drawn: int


def rounds_on(connection: Connection, policies: Sequence[int], day: date) -> Mapping[int, RoundState]:
    """The rounds of these policies on a UTC day; three statements, whatever their number. A policy that looked at no
    request of the day has none."""
    rounds = connection.execute(
        select(judge_round).where(judge_round.c.policy_id.in_(policies), judge_round.c.day == day)
    ).all()
    ids = [row.id for row in rounds]
    if not ids:
        return {}
    drawn: dict[int, dict[str | None, int]] = {number: {} for number in ids}
    for row in connection.execute(
        select(_J.round_id, _J.stratum, func.count().label("many"))
        .where(_J.round_id.in_(ids), _J.purpose == "sample", _J.repeat == 0)
        .group_by(_J.round_id, _J.stratum)
    ):
        drawn[row.round_id][row.stratum] = row.many
    strata: dict[int, list[StratumState]] = {number: [] for number in ids}
    for row in connection.execute(
        select(judge_stratum)
        .where(judge_stratum.c.round_id.in_(ids))
        .order_by(judge_stratum.c.size.desc(), judge_stratum.c.key)
    ):
        strata[row.round_id].append(
            StratumState(
                tuple(json.loads(row.key)),
                row.size,
                row.spread,
                row.pilot,
                row.chance,
                drawn[row.round_id].pop(row.key, 0),
            )
        )
    return {row.policy_id: _round(row, strata[row.id], sum(drawn[row.id].values())) for row in rounds}


def _round(row: object, strata: Sequence[StratumState], rest: int) -> RoundState:
    known = {name: getattr(row, name) for name in ("day", "wanted", "base", "note")}
    return RoundState(**known, strata=strata, drawn=sum(one.drawn for one in strata) + rest, rest_drawn=rest)
