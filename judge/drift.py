"""Feed the watches what was judged, and open an alert where a stream has moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine

from core.stats.sampling import draw
from core.stats.stream import Stream, changed, equal_chance, feed
from core.store import anchors, watches
from core.store.alerts import anchors_key, clear_up, key_of, open_about, open_alert, unclear
from core.store.session import in_every_project, tenant
from core.store.watches import Judged, Source
from judge.alarm import investigate, look_again
from judge.anchors import watch_project
from judge.witness import judge_moved

log = structlog.get_logger()

_AT_ONCE = 2000
_TURN_S = 20.0
_STRATA_MAX = 200
_ALERTS_AT_ONCE = 20
_LOOKED_AT_AGAIN = 50


def check_all(engine: Engine, now: datetime) -> int:
    """Look at what was judged since the last time, in every project; what fails in one is logged and leaves the others
    alone. Returns the number of judged requests that were looked at."""
    return in_every_project(
        engine,
        lambda project_id: check_project(engine, project_id, now),
        partial(log.exception, "drift.failed"),
    )


def check_project(engine: Engine, project_id: int, now: datetime) -> int:
    """The same for one project, in rounds of one transaction each; where another process is at it, nothing."""
    # The anchors first: what they say is asked when a stream has moved.
    watch_project(engine, project_id, now)
    total, until = 0, monotonic() + _TURN_S
    while True:
        with tenant(engine, project_id) as connection:
            done = watch_some(connection, project_id, now)
        total += done
        if not done or monotonic() > until:
            break
    with tenant(engine, project_id) as connection:
        open_alerts(connection, project_id, now)
    return total


def open_alerts(connection: Connection, project_id: int, now: datetime) -> int:
    """Open an alert for each stream, and each judge, that has moved and of which none is open yet; returns how many
    were opened. What a killed process left undone is done the next time."""
    evidence = watches.evidence(connection)
    terms = watches.terms_of(connection)
    moved = changed({str(number): value for number, value in evidence.items()}, terms.alpha)
    known = open_about(connection)
    fresh = sorted(
        (int(name) for name in moved if key_of(int(name)) not in known), key=lambda at: -evidence[at]
    )
    opened = 0
    # The strongest first, so many at a time: whatever moved two hundred streams is one event.
    for watch in watches.watched(connection, fresh[:_ALERTS_AT_ONCE]) if fresh else []:
        found = investigate(connection, watch, len(evidence), now)
        number = open_alert(connection, project_id, found, now)
        opened += number is not None
        if number is not None and found.verdict == "undetermined":
            # The next scheduled round may be a day away, and somebody wants to know tonight.
            anchors.schedule(connection, now, occasion=f"alert {number}", rubric_id=watch.rubric_id)
    for one in anchors.watched(connection):
        if one.alarms and anchors_key(one.id) not in known:
            rubric_id = anchors.one_set(connection, one.set_id).rubric_id
            found = judge_moved(connection, one, rubric_id, now)
            opened += open_alert(connection, project_id, found, now) is not None
    _clear_up(connection, now)
    return opened


def _clear_up(connection: Connection, now: datetime) -> None:
    """Look again at alerts of which it was not clear who moved: anchors may have been judged since."""
    waiting = {int(one.key.partition(" ")[2]): one for one in unclear(connection, _LOOKED_AT_AGAIN)}
    for watch in watches.watched(connection, waiting) if waiting else []:
        alert = waiting[watch.id]
        if later := look_again(connection, watch, alert.body, now):
            clear_up(connection, alert.id, later)


def watch_some(connection: Connection, project_id: int, now: datetime, most: int = _AT_ONCE) -> int:
    """One round: each judgement that is ready moves its watches on and is marked as seen, both or neither."""
    if not watches.lock(connection, project_id):
        return 0
    judged = watches.unwatched(connection, most)
    if not judged:
        return 0
    fed = [one for one in judged if one.scores]
    places = watches.sources(connection, project_id, [one.place for one in fed]) if fed else {}
    kept, learnt = _thinned(
        fed, places, watches.chances(connection, {one.round_id for one in fed if one.round_id})
    )
    queues: dict[tuple[int, str], list[float]] = defaultdict(list)
    for one in kept:
        for dimension, score in one.scores.items():
            queues[places[one.place].id, dimension].append(score)
    before = watches.states(connection, {at for at, _ in queues})
    terms = watches.terms_of(connection)
    moved = {key: feed(before.get(key, Stream()), scores, terms) for key, scores in queues.items()}
    counted = {row: places[one.place].id for one in kept for row in one.rows}
    seen = {row: counted.get(row) for one in judged for row in one.rows}
    watches.save(
        connection, project_id, now, moved, learnt, seen, sum(one.place not in places for one in fed)
    )
    return len(judged)


def _thinned(
    judged: Sequence[Judged],
    places: Mapping[watches.Place, Source],
    rounds: Mapping[int, tuple[float, Mapping[str, float]]],
) -> tuple[list[Judged], list[Source]]:
    """The requests that stay when all of a stream have the same chance within their round, and the streams that learnt
    of a stratum by it.

    The chance is the least of the strata that the stream has had requests of: those of other streams do not thin it.
    It is known before a request is looked at, so it cannot depend on how good its answer is.
    """
    now = {place: source for place, source in places.items()}
    kept = []
    for one in judged:
        source = now.get(one.place)
        if source is None:
            continue
        if one.round_id is None:
            source = replace(source, least=min(source.least, one.chance))
            known = [source.least]
        else:
            if one.stratum and one.stratum not in source.strata and len(source.strata) < _STRATA_MAX:
                source = replace(source, strata=(*source.strata, one.stratum))
            base, strata = rounds.get(one.round_id, (1.0, {}))
            known = [strata.get(name, base) for name in source.strata]
        now[one.place] = source
        if equal_chance(one.chance, known, draw(one.trace_id, one.span_id, f"watch {source.id}")):
            kept.append(one)
    return kept, [source for place, source in now.items() if source != places[place]]
