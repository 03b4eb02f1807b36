"""Projects, and the keys that open them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from core.access import SESSION_IDLE, Access, Key, Kind, Role, hash_key, hint_of
from core.errors import BadInput, NotFound, Unauthenticated
from core.store import audit
from core.store.session import enter
from core.store.tables import api_key, project


def create_project(connection: Connection, name: str, by: str = "command line") -> int:
    """A new project's id; an existing one's where the name is taken. Needs the owner's connection."""
    if not name.strip() or len(name) > 200:
        raise BadInput("A project needs a name of 1 to 200 characters.")
    found = connection.execute(select(project.c.id).where(project.c.name == name)).scalar()
    if found is not None:
        return int(found)
    made = int(connection.execute(insert(project).values(name=name).returning(project.c.id)).scalar_one())
    audit.note(connection, made, by, "project.create", name)
    return made


def projects(connection: Connection) -> list[tuple[int, str]]:
    """Id and name of the projects that this connection may see."""
    return [(row.id, row.name) for row in connection.execute(select(project).order_by(project.c.id))]


def add_key(
    connection: Connection,
    project_id: int,
    secret: str,
    role: Role,
    *,
    kind: Kind = "key",
    name: str = "",
    expires_at: datetime | None = None,
    account_id: int | None = None,
    last_used_at: datetime | None = None,
) -> int:
    """Store a key's hash in the project that the transaction entered; returns the key's id."""
    if "\0" in name:
        raise BadInput("A key's name cannot hold the character NUL.")
    statement = insert(api_key).values(
        project_id=project_id,
        kind=kind,
        role=role,
        name=name[:200],
        hash=hash_key(secret),
        hint=hint_of(secret),
        expires_at=expires_at,
        account_id=account_id,
        last_used_at=last_used_at,
    )
    return int(connection.execute(statement.returning(api_key.c.id)).scalar_one())


def make_key(
    connection: Connection,
    project_id: int,
    secret: str,
    role: Role,
    by: str,
    *,
    name: str = "",
    expires_at: datetime | None = None,
) -> int:
    """Store a key for a program, and note who made it."""
    made = add_key(connection, project_id, secret, role, name=name, expires_at=expires_at)
    expires = expires_at.isoformat() if expires_at else None
    audit.note(
        connection,
        project_id,
        by,
        "key.create",
        _said(hint_of(secret), name[:200]),
        role=role,
        expires=expires,
    )
    return made


def authenticate(connection: Connection, secret: str, now: datetime, kind: Kind = "key") -> Access:
    """Whose key this is, in a transaction that named no project yet. Unknown, expired and revoked keys are
    told apart only in words; all are `Unauthenticated`."""
    digest = hash_key(secret)
    connection.exec_driver_sql(f"SET LOCAL app.key = '{digest.hex()}'")
    row = connection.execute(
        select(api_key).where(api_key.c.hash == digest, api_key.c.kind == kind)
    ).one_or_none()
    if row is None:
        raise Unauthenticated(
            "This key is not known here. Check the key, or make one with `tripoint key create`."
        )
    if row.revoked_at is not None:
        raise Unauthenticated("This key was revoked. Make a new one with `tripoint key create`.")
    if row.expires_at is not None and row.expires_at <= now:
        raise Unauthenticated(
            f"This key expired on {row.expires_at:%Y-%m-%d %H:%M} UTC. Make a new one with `tripoint key create`."
        )
    if kind == "session" and (row.last_used_at or row.created_at) + SESSION_IDLE <= now:
        raise Unauthenticated(f"Nobody used this session for {SESSION_IDLE.days} days.")
    return Access(
        project_id=row.project_id,
        role=row.role,
        key_id=row.id,
        account_id=row.account_id,
        who=f"key {_said(row.hint, row.name)}",
    )


def is_in_force(connection: Connection, secret: str) -> bool:
    """Whether this key of the entered project is known and was not revoked."""
    statement = select(api_key.c.id).where(api_key.c.hash == hash_key(secret), api_key.c.revoked_at.is_(None))
    return connection.execute(statement).scalar() is not None


def consume(connection: Connection, access: Access, now: datetime) -> None:
    """Use up a one-time key; a second use, even at the same moment, is `Unauthenticated`."""
    enter(connection, access.project_id)
    statement = (
        update(api_key)
        .where(api_key.c.id == access.key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now, last_used_at=now)
        .returning(api_key.c.id)
    )
    if connection.execute(statement).scalar() is None:
        raise Unauthenticated(
            "This link was used before. Start again from the address that `tripoint up` prints."
        )


def touch(connection: Connection, key_ids: list[int], now: datetime) -> None:
    """Note when keys of the entered project were last used."""
    connection.execute(update(api_key).where(api_key.c.id.in_(key_ids)).values(last_used_at=now))


def list_keys(connection: Connection) -> list[Key]:
    """The keys of the entered project, newest first."""
    rows = connection.execute(
        select(api_key)
        .where(api_key.c.kind == "key")
        .order_by(api_key.c.created_at.desc(), api_key.c.id.desc())
    )
    return [
        Key(
            id=row.id,
            kind=row.kind,
            role=row.role,
            name=row.name,
            hint=row.hint,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]


def revoke(connection: Connection, project_id: int, key_id: int, by: str) -> None:
    """End a key of the entered project, and note who did; revoking twice keeps the first moment."""
    here = (api_key.c.id == key_id) & (api_key.c.kind == "key")
    row = connection.execute(select(api_key).where(here).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is no key {key_id} in this project.")
    if row.revoked_at is None:
        connection.execute(update(api_key).where(here).values(revoked_at=func.now()))
        audit.note(connection, project_id, by, "key.revoke", _said(row.hint, row.name), role=row.role)


def _said(hint: str, name: str) -> str:
    return f"{hint} ({name})" if name else hint
