"""Channels, and the messages that are owed to them: task, lease and result in one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from core.channel import Kind
from core.errors import BadQuestion, NotFound
from core.store import audit
from core.store.drift_tables import channel, delivery

CHANNELS_MAX = 20
ATTEMPTS_MAX = 8
"""A message is given up after so many attempts, the last about two hours after the first."""
_ERROR_MAX = 500


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts are sent. `body` has a webhook's `url` and `secret_variable`, or an e-mail's list `to`."""

    id: int
    name: str
    kind: Kind
    body: Mapping[str, Any]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message about an alert, and what became of it."""

    id: int
    channel: str
    kind: Kind
    event: str
    state: str
    attempts: int
    last_error: str | None
    sent_at: datetime | None
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Owed:
    """A claimed message with all that is sent."""

    id: int
    event: str
    attempts: int
    kind: Kind
    channel: Mapping[str, Any]
    project: str
    alert: Mapping[str, Any]


def channels(connection: Connection) -> list[Channel]:
    """The channels of the entered project, by name."""
    rows = connection.execute(
        select(channel).where(channel.c.removed_at.is_(None)).order_by(channel.c.name, channel.c.id)
    )
    return [Channel(row.id, row.name, row.kind, row.body, row.created_at, row.created_by) for row in rows]


def add_channel(
    connection: Connection, project_id: int, name: str, kind: Kind, body: Mapping[str, Any], who: str
) -> int:
    """A new channel; alerts that are opened from now on are sent to it too."""
    many = connection.execute(
        select(func.count()).select_from(channel).where(channel.c.removed_at.is_(None))
    ).scalar_one()
    if many >= CHANNELS_MAX:
        raise BadQuestion(f"A project has {CHANNELS_MAX} channels at most. Remove one first.")
    try:
        with connection.begin_nested():
            made = connection.execute(
                insert(channel)
                .values(project_id=project_id, name=name, kind=kind, body=dict(body), created_by=who)
                .returning(channel.c.id)
            ).scalar_one()
    except IntegrityError:
        raise BadQuestion(f"There is a channel {name[:100]!r} already. Choose another name.") from None
    audit.note(connection, project_id, who, "channel.create", name, kind=kind)
    return int(made)


def remove_channel(connection: Connection, project_id: int, channel_id: int, who: str, now: datetime) -> None:
    """Send nothing more to a channel; what waited for it is given up."""
    name = connection.execute(
        update(channel)
        .where(channel.c.id == channel_id, channel.c.removed_at.is_(None))
        .values(removed_at=now)
        .returning(channel.c.name)
    ).scalar()
    if name is None:
        raise NotFound(f"There is no channel {channel_id} in this project.")
    connection.execute(
        update(delivery)
        .where(delivery.c.channel_id == channel_id, delivery.c.state == "waiting")
        .values(state="failed", last_error="the channel was removed")
    )
    audit.note(connection, project_id, who, "channel.remove", name)


def of_alert(connection: Connection, alert_id: int) -> list[Delivery]:
    """What was sent about an alert, or is owed."""
    rows = connection.execute(
        select(delivery, channel.c.name.label("channel"), channel.c.kind)
        .join(channel, channel.c.id == delivery.c.channel_id)
        .where(delivery.c.alert_id == alert_id)
        .order_by(delivery.c.id)
    )
    return [
        Delivery(
            row.id,
            row.channel,
            row.kind,
            row.event,
            row.state,
            row.attempts,
            row.last_error,
            row.sent_at,
            row.not_before,
        )
        for row in rows
    ]


def last_of_channels(connection: Connection) -> dict[int, Delivery]:
    """Channel → the newest message to it."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (d.channel_id) d.*, c.name AS channel, c.kind
            FROM delivery d JOIN channel c ON c.id = d.channel_id WHERE c.removed_at IS NULL
            ORDER BY d.channel_id, d.id DESC
        """)
    )
    return {
        row.channel_id: Delivery(
            row.id,
            row.channel,
            row.kind,
            row.event,
            row.state,
            row.attempts,
            row.last_error,
            row.sent_at,
            row.not_before,
        )
        for row in rows
    }


def claim(connection: Connection, now: datetime, lease: timedelta, most: int) -> list[Owed]:
    """Up to `most` messages that are due, leased to the caller: nobody else sends them meanwhile. One whose lease has
    run out, since its sender died, is claimed again: it may arrive twice, under the same number."""
    rows = connection.execute(
        text("""
            UPDATE delivery d SET state = 'sending', attempts = d.attempts + 1, leased_until = :until
            FROM (
                SELECT id FROM delivery
                WHERE (state = 'waiting' AND not_before <= :now) OR (state = 'sending' AND leased_until < :now)
                ORDER BY not_before, id LIMIT :most FOR UPDATE SKIP LOCKED
            ) due
            WHERE d.id = due.id
            RETURNING d.id, d.event, d.attempts, d.channel_id, d.alert_id
        """),
        {"now": now, "until": now + lease, "most": most},
    ).all()
    if not rows:
        return []
    more = connection.execute(
        text("""
            SELECT d.id, c.kind, c.body AS channel, p.name AS project, to_jsonb(a) AS alert
            FROM delivery d
            JOIN channel c ON c.id = d.channel_id
            JOIN alert a ON a.id = d.alert_id
            JOIN project p ON p.id = d.project_id
            WHERE d.id = ANY(:ids)
        """),
        {"ids": [row.id for row in rows]},
    )
    known = {row.id: row for row in more}
    return [
        Owed(
            row.id,
            row.event,
            row.attempts,
            known[row.id].kind,
            known[row.id].channel,
            known[row.id].project,
            known[row.id].alert,
        )
        for row in sorted(rows, key=lambda row: row.id)
    ]


def sent(connection: Connection, number: int, now: datetime, but: str | None = None) -> None:
    """The message arrived, perhaps not with everybody: it is never sent again."""
    connection.execute(
        update(delivery)
        .where(delivery.c.id == number)
        .values(state="sent", sent_at=now, leased_until=None, last_error=but and but[:_ERROR_MAX])
    )


def failed(connection: Connection, number: int, error: str, again_at: datetime | None) -> None:
    """The message did not arrive; it is tried again at a time, or given up."""
    values: dict[str, Any] = {"last_error": error[:_ERROR_MAX], "leased_until": None}
    values |= {"state": "failed"} if again_at is None else {"state": "waiting", "not_before": again_at}
    connection.execute(
        update(delivery).where(delivery.c.id == number, delivery.c.state == "sending").values(values)
    )
