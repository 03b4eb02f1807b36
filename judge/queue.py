"""Fills the review queue: every day, as many judged answers as people planned to label."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Engine

from core.store.reviews import draw_reviews, fill_due, plans
from core.store.session import in_every_project, tenant

log = structlog.get_logger()


def fill_all(engine: Engine, now: datetime) -> int:
    """Draw what every project's plans want of today; what fails in one leaves the others alone. Returns how many
    items are new."""
    return in_every_project(
        engine,
        lambda project_id: fill_queue(engine, project_id, None, now),
        partial(log.exception, "queue.failed"),
    )


def fill_queue(engine: Engine, project_id: int, wanted: float | None, now: datetime) -> int:
    """Draw `wanted` items by each plan of a project, or where it is None what the plans want of today and was not
    drawn today; so it may be called as often as one likes. Returns how many are new."""
    with tenant(engine, project_id) as connection:
        if wanted is None:
            return sum(drawn.new for drawn in fill_due(connection, project_id, now))
        return sum(
            draw_reviews(connection, project_id, plan.rubric_name, wanted, now).new
            for plan in plans(connection)
        )
