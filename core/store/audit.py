"""The audit log: what was changed in a project, by whom. Nobody changes what stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select

from core.errors import BadQuestion
from core.store.tables import audit

Action = Literal[
    "project.create",
    "key.create",
    "key.revoke",
    "account.create",
    "account.disable",
    "account.enable",
    "membership.add",
    "membership.role",
    "membership.remove",
    "password.change",
    "password.link",
    "sign_in",
    "sign_in.failed",
    "sign_out",
    "sign_out.everywhere",
    "settle",
    "alert.acknowledge",
    "alert.resolve",
    "anchors.freeze",
    "anchors.run",
    "anchors.retire",
    "channel.create",
    "channel.remove",
    "drift.set",
    "rubric.create",
    "judge.create",
    "judge.retire",
    "policy.start",
    "policy.end",
    "comparison.start",
    "judge_budget.set",
    "review.plan",
    "label.import",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `next` is the cursor of the older ones, None where there are none."""

    items: list[Entry]
    next: str | None


def note(
    connection: Connection, project_id: int, actor: str, action: Action, target: str = "", **details: Any
) -> None:
    """Add to the log of the project that the transaction entered, in the transaction of the change itself."""
    connection.execute(
        insert(audit).values(
            project_id=project_id, actor=actor, action=action, target=target, details=details
        )
    )


def entries(connection: Connection, cursor: str | None = None, limit: int = 50) -> Page:
    """A page of the entered project's log."""
    statement = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
    if cursor:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadQuestion("The cursor is not one that this log gave. Start without it.")
        statement = statement.where(audit.c.id < int(cursor))
    rows = connection.execute(statement).all()
    items = [Entry(row.id, row.at, row.actor, row.action, row.target, row.details) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)
