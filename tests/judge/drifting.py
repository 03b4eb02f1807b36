"""Requests that were judged, written as the judging worker leaves them: for tests of what watches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Engine, text

from core.judging.rubric import rubric_from_json, rubric_to_json
from core.pricing.price import PriceBook
from core.request import RequestRecord
from core.stats.stream import Stream
from core.store.rows import day_of, instant
from core.store.session import tenant
from core.store.watches import Watched, watched
from tests.conftest import Project
from tests.store.rows import NOON, a_request, store

LEVELS = ["useless", "weak", "fair", "good", "excellent"]
RUBRIC = rubric_from_json(
    {
        "name": "answer",
        "title": "Is the answer good?",
        "dimensions": [
            {"name": name, "question": f"How {name} is it?", "levels": LEVELS}
            for name in ("helpful", "correct")
        ],
    }
)
BEGUN = NOON - timedelta(days=2)


@dataclass(frozen=True)
class Desk:
    """A project with a rubric, a judge, a policy and one round of it."""

    engine: Engine
    project: Project
    book: PriceBook
    rubric: int
    judge: int
    policy: int
    round: int

    def judged(
        self,
        scores: Sequence[float],
        *,
        at: datetime = BEGUN,
        apart_s: float = 60,
        chance: float = 0.2,
        stratum: str | None = None,
        correct: Sequence[float] | None = None,
        **fields: Any,
    ) -> list[RequestRecord]:
        """Requests in order of time, each with a scored judgement; the second dimension is as good as the first
        unless `correct` says otherwise."""
        fields = {"feature": "chat", "tier": "standard", "response_model": "gpt-4o-mini", **fields}
        records = [a_request(at + timedelta(seconds=apart_s * n), **fields) for n in range(len(scores))]
        store(self.engine, self.project, self.book, records)
        second = scores if correct is None else correct
        self.judge_again(
            records,
            [{"helpful": a, "correct": b} for a, b in zip(scores, second, strict=True)],
            chance=chance,
            stratum=stratum,
        )
        return records

    def judge_again(
        self,
        records: Sequence[RequestRecord],
        scores: Sequence[dict[str, float] | None],
        *,
        purpose: str = "sample",
        state: str = "scored",
        repeat: int = 0,
        chance: float = 0.2,
        stratum: str | None = None,
        judge: int | None = None,
        occasion: str = "",
        done_at: datetime | None = None,
    ) -> None:
        """Further judgements of these requests."""
        rows = [
            {
                "project": self.project.id,
                "rubric": self.rubric,
                "judge": judge or self.judge,
                "policy": self.policy,
                "round": self.round,
                "purpose": purpose,
                "occasion": occasion or ("" if purpose == "sample" else purpose),
                "repeat": repeat,
                "day": day_of(one.started_ns),
                "trace": one.trace_id,
                "span": one.span_id,
                "started": instant(one.started_ns),
                "stratum": stratum,
                "chance": chance,
                "state": state,
                "scores": orjson.dumps(given).decode() if given is not None else None,
                "said": orjson.dumps(_said(given)).decode() if given is not None else None,
                "done": done_at or instant(one.started_ns) + timedelta(minutes=5),
            }
            for one, given in zip(records, scores, strict=True)
        ]
        with tenant(self.engine, self.project.id) as connection:
            connection.execute(_JUDGING, rows)

    def finish(self, records: Sequence[RequestRecord], purpose: str, scores: dict[str, float]) -> None:
        """Let judgements that are owed be scored."""
        with tenant(self.engine, self.project.id) as connection:
            connection.execute(
                text(
                    "UPDATE judging SET state = 'scored', scores = CAST(:scores AS jsonb)"
                    " WHERE purpose = :purpose AND trace_id = ANY(:traces) AND state <> 'scored'"
                ),
                {
                    "scores": orjson.dumps(scores).decode(),
                    "purpose": purpose,
                    "traces": [one.trace_id for one in records],
                },
            )

    def watches(self, dimension: str = "helpful") -> list[Watched]:
        with tenant(self.engine, self.project.id) as connection:
            return [one for one in watched(connection) if one.dimension == dimension]

    def state(self, dimension: str = "helpful") -> Stream:
        (found,) = self.watches(dimension)
        return found.state

    def rows(self, columns: str = "*", where: str = "true") -> list[Any]:
        with tenant(self.engine, self.project.id) as connection:
            return list(
                connection.execute(
                    text(f"SELECT {columns} FROM judging WHERE {where} ORDER BY started_at, id")
                )
            )


def _said(scores: dict[str, float]) -> dict[str, str]:
    return {name: f"It is {LEVELS[round(score * 4)]}." for name, score in scores.items()}


_JUDGING = text("""
INSERT INTO judging (project_id, rubric_id, judge_id, policy_id, round_id, purpose, occasion, repeat, day, trace_id,
    span_id, started_at, stratum, chance, turn, state, scores, said, done_at)
VALUES (:project, :rubric, :judge, :policy, :round, :purpose, :occasion, :repeat, :day, :trace, :span, :started,
    :stratum, :chance, 0, :state, CAST(:scores AS jsonb), CAST(:said AS jsonb), :done)
""")


def a_desk(engine: Engine, project: Project, book: PriceBook, strata: dict[str, float] | None = None) -> Desk:
    """A project in which judging has begun."""
    named = {"project": project.id, "body": orjson.dumps(rubric_to_json(RUBRIC)).decode(), "at": BEGUN}
    with tenant(engine, project.id) as connection:

        def made(statement: str, **more: Any) -> int:
            return int(connection.execute(text(statement), named | more).scalar_one())

        rubric = made(
            "INSERT INTO rubric (project_id, name, version, body)"
            " VALUES (:project, 'answer', :version, CAST(:body AS jsonb)) RETURNING id",
            version=RUBRIC.version,
        )
        judge = a_judge(connection, project, "careful")
        policy = made(
            "INSERT INTO judge_policy (project_id, rubric_id, rubric_name, judge_id, body, salt, starts_at)"
            " VALUES (:project, :rubric, 'answer', :judge, '{}', 's', :at) RETURNING id",
            rubric=rubric,
            judge=judge,
        )
        turn = made(
            "INSERT INTO judge_round (project_id, policy_id, day, wanted, base)"
            " VALUES (:project, :policy, :day, 100, 0.2) RETURNING id",
            policy=policy,
            day=BEGUN.date(),
        )
        for key, chance in (strata or {}).items():
            connection.execute(
                text(
                    "INSERT INTO judge_stratum (project_id, round_id, key, size, pilot, chance)"
                    " VALUES (:project, :round, :key, 100, 0, :chance)"
                ),
                {"project": project.id, "round": turn, "key": key, "chance": chance},
            )
    return Desk(engine, project, book, rubric, judge, policy, turn)


def a_judge(connection: Any, project: Project, name: str) -> int:
    statement = "INSERT INTO judge (project_id, name, body) VALUES (:project, :name, '{}') RETURNING id"
    return int(connection.execute(text(statement), {"project": project.id, "name": name}).scalar_one())


def levels(seed: int, many: int, mean: float) -> list[float]:
    """Scores of five levels around a mean."""
    return [float(one) for one in np.random.default_rng(seed).binomial(4, mean, many) / 4]
