"""Accounts, and what they are in which project. Each change is noted in the audit log of its project."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.access import Access, Role
from core.account import Account, Membership, Person, check_name, fold
from core.errors import BadInput, Forbidden, NotFound, Unauthenticated
from core.store import audit, keys, sessions
from core.store.session import enter, enter_account, present_name
from core.store.tables import account, account_password, api_key, membership, project

LINK_LENGTH = timedelta(days=3)


def find(connection: Connection, name: str) -> Account | None:
    """The account of this name, in any case of its letters; the rest of the transaction may read its hash."""
    try:
        folded = fold(check_name(name))
    except BadInput:
        return None
    present_name(connection, folded)
    row = connection.execute(select(account).where(account.c.folded == folded)).one_or_none()
    if row is None:
        return None
    return Account(row.id, row.name, row.disabled_at is not None, row.password_set_at is not None)


def existing(connection: Connection, name: str) -> Account:
    """The account of this name, or `NotFound`."""
    found = find(connection, name)
    if found is None:
        raise NotFound(f"There is no account {name[:200]!r}.")
    return found


def hash_of(connection: Connection, found: Account) -> str | None:
    """The hash of the account whose name was presented; None where no password was set."""
    statement = select(account_password.c.hash).where(account_password.c.account_id == found.id)
    return connection.execute(statement).scalar()


def has_given_password(connection: Connection, found: Account) -> bool:
    """Whether the password of the account whose name was presented was given to it, and not yet changed."""
    statement = select(account_password.c.given).where(account_password.c.account_id == found.id)
    return bool(connection.execute(statement).scalar())


def memberships(connection: Connection, account_id: int) -> list[Membership]:
    """The projects that an account belongs to, by name."""
    enter_account(connection, account_id)
    rows = connection.execute(
        select(project.c.id, project.c.name, membership.c.role)
        .join(membership, membership.c.project_id == project.c.id)
        .where(membership.c.account_id == account_id)
        .order_by(project.c.name)
    )
    return [Membership(row.id, row.name, row.role) for row in rows]


def people(connection: Connection, project_id: int) -> list[Person]:
    """The members of the entered project, by name."""
    seen = (
        select(func.max(api_key.c.last_used_at))
        .where(api_key.c.account_id == account.c.id, api_key.c.project_id == project_id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(account, membership.c.role, membership.c.created_at.label("added_at"), seen.label("seen"))
        .join(membership, membership.c.account_id == account.c.id)
        .where(membership.c.project_id == project_id)
        .order_by(account.c.folded)
    )
    return [
        Person(
            account_id=row.id,
            name=row.name,
            role=row.role,
            added_at=row.added_at,
            disabled=row.disabled_at is not None,
            has_password=row.password_set_at is not None,
            last_seen_at=row.seen,
        )
        for row in rows
    ]


def invite(connection: Connection, project_id: int, name: str, role: Role, by: str, now: datetime) -> Account:
    """A new account, without a password, in the entered project.

    `BadInput` where the name is taken. An account that belongs to no project any more is taken up again, and
    loses the password that it had.
    """
    name = check_name(name)
    found = find(connection, name)
    if found is None:
        # Two who add the same name at one moment: the second finds it taken.
        made = upsert(account).values(name=name, folded=fold(name)).on_conflict_do_nothing()
        number = connection.execute(made.returning(account.c.id)).scalar()
        if number is None:
            raise BadInput(f"The name {name!r} is taken.")
        found = Account(int(number), name, disabled=False, has_password=False)
        audit.note(connection, project_id, by, "account.create", name)
    elif _role(connection, project_id, found.id) is not None:
        raise BadInput(f"{found.name} is a member of this project already.")
    elif found.disabled or _belongs_elsewhere(connection, found.id):
        raise BadInput(
            f"The name {name!r} is taken by an account that this project does not manage. Choose another name,"
            " or ask who runs this server to add that account here with `tripoint account role`."
        )
    else:
        _clear_password(connection, found, now)
    _add(connection, project_id, found, role, by)
    return found


def join(connection: Connection, project_id: int, found: Account, role: Role, by: str, now: datetime) -> None:
    """Add an account of another project to the entered one, for who runs the server.

    An administrator of the other project may know the password that he gave, so that one must be changed
    first; links to set a password end.
    """
    if has_given_password(connection, found) and _belongs_elsewhere(connection, found.id):
        raise BadInput(
            f"{found.name} still has the password that somebody gave him. Let him change it first, or set"
            " another with `tripoint account password`."
        )
    _end_links(connection, found.id, now)
    _add(connection, project_id, found, role, by)


def set_role(
    connection: Connection, project_id: int, account_id: int, role: Role, by: str, keep_admin: bool = True
) -> None:
    """Change what a member of the entered project may do, from his next request on."""
    person = member(connection, project_id, account_id)
    if person.role == role:
        return
    if keep_admin and person.role == "admin":
        _keep_an_admin(connection, project_id, person)
    here = (membership.c.project_id == project_id) & (membership.c.account_id == account_id)
    connection.execute(update(membership).where(here).values(role=role))
    audit.note(
        connection, project_id, by, "membership.role", person.name, **{"from": person.role, "to": role}
    )


def remove(
    connection: Connection, project_id: int, account_id: int, by: str, now: datetime, keep_admin: bool = True
) -> None:
    """Take a member out of the entered project; his sessions there end."""
    person = member(connection, project_id, account_id)
    if keep_admin and person.role == "admin":
        _keep_an_admin(connection, project_id, person)
    here = (membership.c.project_id == project_id) & (membership.c.account_id == account_id)
    connection.execute(delete(membership).where(here))
    ends = update(api_key).where(
        api_key.c.project_id == project_id, api_key.c.account_id == account_id, api_key.c.revoked_at.is_(None)
    )
    connection.execute(ends.values(revoked_at=now))
    audit.note(connection, project_id, by, "membership.remove", person.name, role=person.role)


def member(connection: Connection, project_id: int, account_id: int) -> Person:
    """One member of the entered project, or `NotFound`."""
    for person in people(connection, project_id):
        if person.account_id == account_id:
            return person
    raise NotFound(f"There is no member {account_id} in this project.")


def set_password(
    connection: Connection,
    found: Account,
    hashed: str,
    by: str,
    now: datetime,
    *,
    given: bool = False,
    keep: int | None = None,
) -> None:
    """The password of the account whose name was presented. Its sessions end, but for the one to `keep`, and
    so do links to set a password. `given` says that another person knows it."""
    row = {"account_id": found.id, "hash": hashed, "given": given}
    connection.execute(
        upsert(account_password).values(row).on_conflict_do_update(index_elements=["account_id"], set_=row)
    )
    connection.execute(update(account).where(account.c.id == found.id).values(password_set_at=now))
    sessions.end_sessions(connection, found.id, now, keep)
    _end_links(connection, found.id, now)
    _note_everywhere(connection, found, by, "password.change")


def renew_hash(connection: Connection, found: Account, hashed: str) -> None:
    """The same password, hashed with today's effort."""
    connection.execute(
        update(account_password).where(account_password.c.account_id == found.id).values(hash=hashed)
    )


def make_link(
    connection: Connection, project_id: int, found: Account, secret: str, role: Role, by: str, now: datetime
) -> None:
    """Store a token of the entered project with which the account's owner sets a password, once."""
    keys.add_key(
        connection,
        project_id,
        secret,
        role,
        kind="set_password",
        expires_at=now + LINK_LENGTH,
        account_id=found.id,
    )
    audit.note(connection, project_id, by, "password.link", found.name)


def check_manages(connection: Connection, person: Person) -> None:
    """`Forbidden` where the entered project may not give this member a password: he belongs to others too."""
    if _belongs_elsewhere(connection, person.account_id):
        raise Forbidden(
            f"{person.name} belongs to another project too, so only he and who runs this server can change his"
            " password."
        )


def of_link(connection: Connection, token: str, now: datetime) -> tuple[Account, Access]:
    """Whose password a token may set, and the token's own access; the account's name is presented with that."""
    access = keys.authenticate(connection, token, now, "set_password")
    enter(connection, access.project_id)
    if access.account_id is None:
        raise Unauthenticated("This link belongs to no account.")
    person = member(connection, access.project_id, access.account_id)
    if person.disabled:
        raise Unauthenticated("This account is disabled.")
    return existing(connection, person.name), access


def disable(connection: Connection, found: Account, by: str, now: datetime) -> None:
    """Let an account sign in nowhere; its sessions end."""
    connection.execute(update(account).where(account.c.id == found.id).values(disabled_at=now))
    sessions.end_sessions(connection, found.id, now)
    _end_links(connection, found.id, now)
    _note_everywhere(connection, found, by, "account.disable")


def enable(connection: Connection, found: Account, by: str) -> None:
    """Let an account sign in again."""
    connection.execute(update(account).where(account.c.id == found.id).values(disabled_at=None))
    _note_everywhere(connection, found, by, "account.enable")


def note_failure(connection: Connection, found: Account, address: str) -> None:
    """Somebody gave a wrong password for the account."""
    _note_everywhere(connection, found, found.name, "sign_in.failed", address=address)


def role_in(connection: Connection, project_id: int, found: Account) -> Role | None:
    """What the account is in the entered project; None where it does not belong to it."""
    return _role(connection, project_id, found.id)


def _role(connection: Connection, project_id: int, account_id: int) -> Role | None:
    here = (membership.c.project_id == project_id) & (membership.c.account_id == account_id)
    return connection.execute(select(membership.c.role).where(here)).scalar()


def _add(connection: Connection, project_id: int, found: Account, role: Role, by: str) -> None:
    connection.execute(insert(membership).values(project_id=project_id, account_id=found.id, role=role))
    audit.note(connection, project_id, by, "membership.add", found.name, role=role)


def _belongs_elsewhere(connection: Connection, account_id: int) -> bool:
    return bool(connection.execute(select(func.tripoint_belongs_elsewhere(account_id))).scalar_one())


def _clear_password(connection: Connection, found: Account, now: datetime) -> None:
    connection.execute(delete(account_password).where(account_password.c.account_id == found.id))
    connection.execute(update(account).where(account.c.id == found.id).values(password_set_at=None))
    sessions.end_sessions(connection, found.id, now)
    _end_links(connection, found.id, now)


def _end_links(connection: Connection, account_id: int, now: datetime) -> None:
    enter_account(connection, account_id)
    connection.execute(
        update(api_key)
        .where(
            api_key.c.account_id == account_id,
            api_key.c.kind == "set_password",
            api_key.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )


def _keep_an_admin(connection: Connection, project_id: int, leaving: Person) -> None:
    """`BadInput` where nobody else would administer the project. Locks its administrators, so that two cannot
    take each other out at one moment."""
    rows = connection.execute(
        select(membership.c.account_id)
        .where(membership.c.project_id == project_id, membership.c.role == "admin")
        .order_by(membership.c.account_id)
        .with_for_update()
    ).scalars()
    able = {person.account_id for person in people(connection, project_id) if not person.disabled}
    if not (set(rows) & able) - {leaving.account_id}:
        raise BadInput(
            f"{leaving.name} is the last administrator of this project. Give somebody else the role admin first."
        )


def _note_everywhere(
    connection: Connection, found: Account, by: str, action: audit.Action, **details: str
) -> None:
    """A note in each project that the account belongs to; the transaction is in the last of them afterwards."""
    for one in memberships(connection, found.id):
        enter(connection, one.project_id)
        audit.note(connection, one.project_id, by, action, found.name, **details)
