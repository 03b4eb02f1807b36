"""Alerts: what was found, who looked at it, whether it is over. What one says is written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.errors import BadQuestion, NotFound
from core.store import anchors, audit, watches
from core.store.drift_tables import alert, channel, delivery

Severity = Literal["page", "notice"]
State = Literal["open", "acknowledged", "resolved"]
Event = Literal["opened", "resolved"]
STATES: tuple[State, ...] = ("open", "acknowledged", "resolved")


@dataclass(frozen=True, slots=True)
class Found:
    """An alert that is to be opened. `key` names what it is about: of one thing there is one open alert at most."""

    key: str
    severity: Severity
    title: str
    verdict: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands."""

    id: int
    kind: str
    key: str
    severity: Severity
    title: str
    verdict: str
    body: Mapping[str, Any]
    opened_at: datetime
    later: Mapping[str, Any] | None
    state: State
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None

    @property
    def who(self) -> str:
        """Who moved, as far as is known by now."""
        return str(self.later["verdict"]["who"]) if self.later else self.verdict


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts, newest first; `next` is the cursor of the older ones, None where there are none."""

    items: list[Alert]
    next: str | None


def key_of(watch_id: int) -> str:
    """What an alert about a stream's watch is filed under."""
    return f"watch {watch_id}"


def anchors_key(watch_id: int) -> str:
    """What an alert about a judge's anchors is filed under."""
    return f"anchors {watch_id}"


def open_about(connection: Connection) -> dict[str, int]:
    """What the entered project has an open or acknowledged alert about → its number."""
    rows = connection.execute(select(alert.c.key, alert.c.id).where(alert.c.state != "resolved"))
    return {row.key: row.id for row in rows}


def open_alert(connection: Connection, project_id: int, found: Found, now: datetime) -> int | None:
    """The number of a new alert, with a delivery for each channel; None where one about the same is open."""
    statement = (
        upsert(alert)
        .values(
            project_id=project_id,
            kind="drift",
            key=found.key,
            severity=found.severity,
            title=found.title,
            verdict=found.verdict,
            body=dict(found.body),
            opened_at=now,
        )
        .on_conflict_do_nothing()
        .returning(alert.c.id)
    )
    made = connection.execute(statement).scalar()
    if made is not None:
        _deliver(connection, project_id, int(made), "opened", now)
    return made


def _deliver(connection: Connection, project_id: int, alert_id: int, event: Event, now: datetime) -> None:
    live = select(channel.c.id).where(channel.c.removed_at.is_(None))
    rows = [
        {
            "project_id": project_id,
            "alert_id": alert_id,
            "channel_id": number,
            "event": event,
            "not_before": now,
            "created_at": now,
        }
        for number in connection.execute(live).scalars()
    ]
    if rows:
        connection.execute(insert(delivery), rows)


def list_alerts(
    connection: Connection, state: str | None = None, cursor: str | None = None, limit: int = 50
) -> Page:
    """A page of the entered project's alerts."""
    if state is not None and state not in STATES:
        raise BadQuestion(f"There is no state {state[:40]!r}. Use one of {', '.join(STATES)}.")
    statement = select(alert).order_by(alert.c.id.desc()).limit(limit + 1)
    if state:
        statement = statement.where(alert.c.state == state)
    if cursor:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadQuestion("The cursor is not one that this list gave. Start without it.")
        statement = statement.where(alert.c.id < int(cursor))
    rows = connection.execute(statement).all()
    items = [_alert(row) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def open_count(connection: Connection) -> int:
    """How many alerts nobody has acknowledged."""
    return int(connection.execute(text("SELECT count(*) FROM alert WHERE state = 'open'")).scalar_one())


def one_alert(connection: Connection, alert_id: int) -> Alert:
    """One alert of the entered project."""
    row = connection.execute(select(alert).where(alert.c.id == alert_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no alert {alert_id} in this project.")
    return _alert(row)


def unclear(connection: Connection, most: int) -> list[Alert]:
    """The newest alerts about streams that are not over, of which it is not clear who moved."""
    rows = connection.execute(
        select(alert)
        .where(
            alert.c.state != "resolved",
            alert.c.verdict == "undetermined",
            alert.c.later.is_(None),
            alert.c.key.like("watch %"),
        )
        .order_by(alert.c.id.desc())
        .limit(most)
    )
    return [_alert(row) for row in rows]


def clear_up(connection: Connection, alert_id: int, later: Mapping[str, Any]) -> None:
    """Say who moved, once; what was said when the alert opened stays beside it."""
    connection.execute(
        update(alert).where(alert.c.id == alert_id, alert.c.later.is_(None)).values(later=dict(later))
    )


def acknowledge(connection: Connection, project_id: int, alert_id: int, who: str, now: datetime) -> Alert:
    """Note that somebody is looking at it; a second time, or after it was resolved, changes nothing."""
    found = _locked(connection, alert_id)
    if found.state != "open":
        return found
    connection.execute(
        update(alert)
        .where(alert.c.id == alert_id)
        .values(state="acknowledged", acknowledged_at=now, acknowledged_by=who)
    )
    audit.note(connection, project_id, who, "alert.acknowledge", f"alert {alert_id}", title=found.title)
    return one_alert(connection, alert_id)


def resolve(connection: Connection, project_id: int, alert_id: int, who: str, now: datetime) -> Alert:
    """It is over: what comes from now on is the new normal, and the stream's watch learns a reference from it; where
    it is about a judge, its next scores of the anchors are their first. A second time changes nothing."""
    watches.lock(connection, project_id, wait=True)
    found = _locked(connection, alert_id)
    if found.state == "resolved":
        return found
    connection.execute(
        update(alert).where(alert.c.id == alert_id).values(state="resolved", resolved_at=now, resolved_by=who)
    )
    kind, _, number = found.key.partition(" ")
    if kind == "watch":
        watches.renew(connection, int(number), now)
    elif kind == "anchors":
        anchors.renew(connection, int(number), now)
    audit.note(connection, project_id, who, "alert.resolve", f"alert {alert_id}", title=found.title)
    _deliver(connection, project_id, alert_id, "resolved", now)
    return one_alert(connection, alert_id)


def _locked(connection: Connection, alert_id: int) -> Alert:
    row = connection.execute(select(alert).where(alert.c.id == alert_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is no alert {alert_id} in this project.")
    return _alert(row)


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        kind=row.kind,
        key=row.key,
        severity=row.severity,
        title=row.title,
        verdict=row.verdict,
        body=row.body,
        opened_at=row.opened_at,
        later=row.later,
        state=row.state,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
    )
