"""Anchors, round by round: owe their judgements, and watch what comes of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine

from core.stats.anchors import AnchorWatch, feed_anchors
from core.store import anchors, watches
from core.store.session import in_every_project, tenant

log = structlog.get_logger()

_AT_ONCE = 2000
_TURN_S = 10.0


def schedule_all(engine: Engine, now: datetime) -> int:
    """Owe this day's (or hour's) judgements of every project's anchors, once however often it is called; what fails in
    one project is logged and leaves the others alone. Returns how many judgements are new."""

    def schedule(project_id: int) -> int:
        with tenant(engine, project_id) as connection:
            return anchors.schedule(connection, now)

    return in_every_project(engine, schedule, partial(log.exception, "anchors.failed"))


def watch_project(engine: Engine, project_id: int, now: datetime) -> int:
    """Look at what was judged of a project's anchors since the last time; returns how many judgements it were."""
    total, until = 0, monotonic() + _TURN_S
    while True:
        with tenant(engine, project_id) as connection:
            done = watch_some(connection, project_id, now)
        total += done
        if not done or monotonic() > until:
            return total


def watch_some(connection: Connection, project_id: int, now: datetime, most: int = _AT_ONCE) -> int:
    """One round: each judgement becomes the judge's first of its anchor, or moves its watches on, and is marked as
    seen, all or nothing."""
    if not watches.lock(connection, project_id):
        return 0
    found = anchors.rejudged(connection, most)
    if not found:
        return 0
    terms = watches.terms_of(connection)
    first: dict[tuple[int, int, int], anchors.Rejudged] = {}
    queues: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    sizes: dict[int, int] = {}
    for one in found:
        if one.set_id is None:
            continue
        sizes[one.set_id] = one.size
        place = (one.set_id, one.judge_id, one.place)
        before = one.first if one.first is not None else place in first and first[place].scores
        if not before:
            first[place] = one
            continue
        for dimension in one.scores.keys() & before.keys():
            queues[one.set_id, one.judge_id, dimension].append(one.scores[dimension] - before[dimension])
    known, alphas = anchors.states(connection, sizes), anchors.alphas(connection, sizes)
    moved = {
        key: feed_anchors(
            known.get(key, AnchorWatch()),
            differences,
            alphas.get(key, terms.alpha),
            terms.least_effect,
            sizes[key[0]],
        )
        for key, differences in queues.items()
    }
    anchors.save(
        connection, project_id, now, list(first.values()), moved, terms.alpha, [one.id for one in found]
    )
    return len(found)
