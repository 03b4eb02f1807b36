"""Signing in with a name and a password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.account import Account, Membership
from core.errors import Forbidden
from core.password import hash_password, is_outdated, verify
from core.store import accounts, attempts, audit, sessions
from core.store.session import transaction


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a name and a password. `known` is the account of that name, `right` whether it may come in,
    `wait` how long the next attempt has to wait after a wrong one."""

    known: Account | None
    right: bool
    wait: timedelta


def attempt(engine: Engine, name: str, password: str, address: str, now: datetime, salt: bytes) -> Attempt:
    """Check a password. A name that is not known and a wrong password take the same work.

    `salt` is `core.password.SALT_BYTES` random bytes, for a hash that has to be made anew. Raises `TooManyAttempts`.
    """
    counted = attempts.buckets(name, address)
    with transaction(engine) as connection:
        wait = attempts.take(connection, counted, now)
    with transaction(engine) as connection:
        known = accounts.find(connection, name)
        hashed = accounts.hash_of(connection, known) if known else None
    # No connection is held while this takes its time.
    right = verify(hashed, password)
    if known is None or hashed is None or known.disabled or not right:
        return Attempt(known, False, wait)
    with transaction(engine) as connection:
        attempts.forgive(connection, counted)
        if is_outdated(hashed):
            accounts.find(connection, name)
            accounts.renew_hash(connection, known, hash_password(password, salt))
    return Attempt(known, True, timedelta(0))


def enter_project(
    engine: Engine, account: Account, secret: str, now: datetime, project_id: int | None = None
) -> list[Membership]:
    """A session of the account in one of its projects, the named or else the one used last, with a note that it
    signed in. Returns all its projects; `Forbidden` where there are none."""
    with transaction(engine) as connection:
        found = accounts.memberships(connection, account.id)
        if not found:
            raise Forbidden("This account belongs to no project any more. Ask an administrator to add it.")
        last = sessions.last_project(connection, account.id)
        wanted = project_id if project_id is not None else last
        chosen = next((one for one in found if one.project_id == wanted), found[0])
        if project_id is not None and chosen.project_id != project_id:
            raise Forbidden("This account does not belong to that project.")
        sessions.open_session(connection, chosen.project_id, secret, chosen.role, now, account.id)
        audit.note(connection, chosen.project_id, account.name, "sign_in", account.name, how="password")
    return found
