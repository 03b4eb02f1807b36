"""A project with an alert about a stream, one about a judge, channels and messages, for tests of the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Engine, text

from core.pricing.price import PriceBook
from core.request import Content
from core.store import anchors, deliveries
from core.store.session import tenant
from judge.drift import check_project
from tests.conftest import Project
from tests.judge.drifting import RUBRIC, Desk, a_desk, levels
from tests.store.rows import NOON, a_request, a_score, store

SIZE = 40


def alarmed(engine: Engine, owner: Engine, project: Project, book: PriceBook, **fields: Any) -> Desk:
    """A stream that fell with a release, and by less the judge: verdict both; other streams steady or learning."""
    desk = a_desk(engine, project, book)
    _anchors(desk, owner)
    fair = levels(9, 900, 0.7)
    named = {"release": "2026.10", **fields}
    began = NOON - timedelta(hours=14)
    desk.judged(levels(1, 600, 0.85), correct=fair[:600], at=began, apart_s=84, **named)
    desk.judged(
        levels(5, 400, 0.8),
        correct=levels(6, 400, 0.75),
        at=began,
        apart_s=120,
        feature="search",
        tier="premium",
        release="2026.10",
    )
    desk.judged(levels(7, 40, 0.8), feature="summaries", at=began)
    check_project(engine, project.id, NOON)
    for day in range(1, 9):
        _round(desk, day, -0.15)
    desk.judged(
        levels(2, 260, 0.5),
        correct=fair[600:860],
        at=NOON + timedelta(minutes=5),
        apart_s=84,
        **named | {"release": "2026.11"},
    )
    with tenant(engine, project.id) as connection:
        deliveries.add_channel(
            connection,
            project.id,
            "on call",
            "webhook",
            {"url": "https://hooks.example.com/x", "secret_variable": "TRIPOINT_WEBHOOK_SECRET_A"},
            "ann",
        )
        deliveries.add_channel(
            connection, project.id, "quality team", "email", {"to": ["a@example.com"]}, "ann"
        )
    check_project(engine, project.id, NOON + timedelta(hours=7))
    with tenant(engine, project.id) as connection:
        for at, one in enumerate(
            deliveries.claim(connection, NOON + timedelta(days=1), timedelta(minutes=5), 9)
        ):
            if at % 2:
                deliveries.failed(
                    connection, one.id, "ConnectError: connection refused", NOON + timedelta(days=1)
                )
            else:
                deliveries.sent(connection, one.id, NOON + timedelta(hours=7))
    return desk


def _anchors(desk: Desk, owner: Engine) -> None:
    records = [a_request(NOON - timedelta(days=1, seconds=at)) for at in range(SIZE)]
    said = [orjson.dumps([{"role": role, "content": "words"}]).decode() for role in ("user", "assistant")]
    contents = [Content(one.trace_id, one.span_id, one.started_ns, *said) for one in records]
    scores = [a_score(one, "answer.helpful", 0.5, source="api", author="ann") for one in records]
    store(desk.engine, desk.project, desk.book, records, contents=contents, scores=scores)
    with owner.begin() as connection:
        connection.execute(
            text("UPDATE score SET source = 'label' WHERE project_id = :id"), {"id": desk.project.id}
        )
    with tenant(desk.engine, desk.project.id) as connection:
        found = anchors.labelled(connection, RUBRIC, SIZE)
        anchors.freeze(connection, desk.project.id, "November", desk.rubric, found, "day", "ann", NOON)
    for day in range(-5, 1):
        _round(desk, day)


def _round(desk: Desk, day: int, shift: float = 0.0) -> None:
    """The judge scores the anchors again."""
    chance = np.random.default_rng(100 + day)
    with tenant(desk.engine, desk.project.id) as connection:
        anchors.schedule(connection, NOON + timedelta(days=day, hours=-1))
        owed = connection.execute(
            text("SELECT id FROM judging WHERE purpose = 'anchor' AND state = 'waiting' ORDER BY turn")
        )
        scores = np.clip(np.linspace(0.4, 0.9, SIZE) + shift + chance.normal(0, 0.04, SIZE), 0, 1)
        connection.execute(
            text(
                "UPDATE judging SET state = 'scored', scores = CAST(:scores AS jsonb), done_at = :at WHERE id = :id"
            ),
            [
                {
                    "id": number,
                    "scores": orjson.dumps({"helpful": float(score)}).decode(),
                    "at": NOON + timedelta(days=day, hours=-1),
                }
                for number, score in zip(owed.scalars().all(), scores, strict=True)
            ],
        )
