"""A trial: past requests judged by a rubric before it goes live, with the reasons that the judge gave."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from core.access import Access
from core.judging.material import Material
from core.judging.rubric import Dimension, Rubric
from core.question import JUDGE_SOURCE
from core.store.session import tenant
from core.store.trials import Trialled, find_trial, start_trial, trial_material
from web.address import Address
from web.judging_page import show
from web.parts import Parts

_SHORT = 240
_LONG = 6000


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may be long: its head, and as much of it as a page shows."""

    head: str
    rest: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge said on one dimension."""

    name: str
    value: float
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One request of a trial. `calls` leads to what was asked about it."""

    judged: Trialled
    question: Text | None
    answer: Text | None
    verdicts: Sequence[Verdict]
    calls: str


def add_trials(routes: APIRouter, parts: Parts) -> None:
    """The page of a trial."""
    reader = parts.reader()

    @routes.get("/judging/trials/{trial}")
    def show_trial(request: Request, trial: str, access: Access = reader) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            rubric, rows = find_trial(connection, trial[:40])
            material = trial_material(connection, rows)
        return show(
            request,
            parts,
            "judging_trial.html",
            "rubrics",
            rubric=rubric,
            tried=[_tried(one, rubric, material.get(one.id)) for one in rows],
            ended=sum(one.state in ("scored", "failed") for one in rows),
            cost_pico=sum(one.cost_pico for one in rows),
            judge=next((one.judge for one in rows if one.judge), None),
        )


def begin_trial(
    connection: Connection, access: Access, rubric: Rubric, judge: str, now: datetime
) -> tuple[str, str]:
    """Start a trial on the newest requests; the way to its page, and what was done."""
    trial = f"trial-{secrets.token_hex(6)}"
    start_trial(connection, access.project_id, rubric, judge or None, None, trial, access.who, now)
    return f"/judging/trials/{trial}", "The trial has begun."


def _tried(one: Trialled, rubric: Rubric, material: Material | None) -> Tried:
    return Tried(
        one,
        _text(material.question if material else None),
        _text(material.answer if material else None),
        [
            _verdict(dimension, one.scores[dimension.name], (one.said or {}).get(dimension.name, ""))
            for dimension in rubric.dimensions
            if one.scores and dimension.name in one.scores
        ],
        Address(
            last="all",
            filters={"source": (JUDGE_SOURCE,), "tag.judged": (f"{one.trace_id}-{one.span_id}",)},
        ).to("/requests"),
    )


def _verdict(dimension: Dimension, value: float, reason: str) -> Verdict:
    level = min(dimension.levels, key=lambda level: abs(level.score - value))
    return Verdict(dimension.name, value, level.words, reason)


def _text(text: str | None) -> Text | None:
    if not text:
        return None
    if len(text) <= _SHORT:
        return Text(text, "")
    return Text(f"{text[:_SHORT].rstrip()}…", text if len(text) <= _LONG else f"{text[:_LONG]}…")
