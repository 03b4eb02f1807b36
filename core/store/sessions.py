"""Sessions of browsers: of an account, or of a sign-in link that somebody with the server's database made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from core.access import SESSION_LENGTH, Access, Role
from core.account import Session
from core.errors import Unauthenticated
from core.store import keys
from core.store.session import enter, enter_account
from core.store.tables import account, api_key, membership, project

LINK = "sign-in link"
"""How the audit log names whoever signed in with one."""


def open_session(
    connection: Connection,
    project_id: int,
    secret: str,
    role: Role,
    now: datetime,
    account_id: int | None = None,
) -> int:
    """Store a session in a project, which the rest of the transaction sees; returns its id."""
    enter(connection, project_id)
    return keys.add_key(
        connection,
        project_id,
        secret,
        role,
        kind="session",
        expires_at=now + SESSION_LENGTH,
        account_id=account_id,
        last_used_at=now,
    )


def complete(connection: Connection, access: Access) -> Access:
    """A session's access with its names, and with what its account is in the project at this moment.

    `Unauthenticated` where the account was disabled or does not belong to the project any more.
    """
    enter(connection, access.project_id)
    name = connection.execute(select(project.c.name).where(project.c.id == access.project_id)).scalar_one()
    if access.account_id is None:
        return replace(access, who=LINK, project=name)
    row = connection.execute(
        select(account.c.name, account.c.disabled_at, membership.c.role)
        .join(membership, membership.c.account_id == account.c.id)
        .where(account.c.id == access.account_id, membership.c.project_id == access.project_id)
    ).one_or_none()
    if row is None or row.disabled_at is not None:
        raise Unauthenticated("This account has no access any more.")
    return replace(access, role=row.role, who=row.name, project=name)


def own_sessions(connection: Connection, account_id: int, now: datetime) -> list[Session]:
    """Where an account is signed in, in all its projects, newest first."""
    enter_account(connection, account_id)
    rows = connection.execute(
        select(api_key.c.id, api_key.c.created_at, api_key.c.last_used_at, project.c.name)
        .join(project, project.c.id == api_key.c.project_id)
        .where(_open(account_id), api_key.c.expires_at > now)
        .order_by(api_key.c.created_at.desc(), api_key.c.id.desc())
        .limit(100)
    )
    return [Session(row.id, row.name, row.created_at, row.last_used_at) for row in rows]


def last_project(connection: Connection, account_id: int) -> int | None:
    """The project that an account was last signed in to."""
    enter_account(connection, account_id)
    statement = select(api_key.c.project_id).where(
        api_key.c.account_id == account_id, api_key.c.kind == "session"
    )
    return connection.execute(statement.order_by(api_key.c.id.desc()).limit(1)).scalar()


def end_sessions(connection: Connection, account_id: int, now: datetime, keep: int | None = None) -> int:
    """End an account's sessions in all its projects, but for one; returns how many."""
    enter_account(connection, account_id)
    ends = update(api_key).where(_open(account_id), api_key.c.id != (keep or 0))
    return connection.execute(ends.values(revoked_at=now)).rowcount


def end_session(connection: Connection, session_id: int, now: datetime) -> None:
    """End one session of the entered project."""
    here = (api_key.c.id == session_id) & (api_key.c.kind == "session") & api_key.c.revoked_at.is_(None)
    connection.execute(update(api_key).where(here).values(revoked_at=now))


def _open(account_id: int) -> ColumnElement[bool]:
    return (
        (api_key.c.account_id == account_id) & (api_key.c.kind == "session") & api_key.c.revoked_at.is_(None)
    )
