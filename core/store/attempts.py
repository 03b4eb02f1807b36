"""Failed attempts to sign in, counted where all processes see them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from core.account import FREE_BY_ACCOUNT, FREE_BY_ADDRESS, fold, wait_after, wait_words
from core.errors import TooManyAttempts
from core.store.tables import sign_in_attempt as attempt

_FORGOTTEN_AFTER = timedelta(hours=1)
_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where failures are counted; `free` of them cost no wait."""

    kind: Literal["account", "address"]
    key: str
    free: int


def buckets(name: str, address: str) -> tuple[Bucket, Bucket]:
    """Of the account's name, known or not, and of the client's address (of IPv6 the network, since each client
    has a whole one)."""
    return (
        Bucket("account", _hash("account", fold(name)), FREE_BY_ACCOUNT),
        Bucket("address", _hash("address", _network(address)), FREE_BY_ADDRESS),
    )


def take(
    connection: Connection, counted: Iterable[Bucket], now: datetime, at_most: int = _AT_MOST
) -> timedelta:
    """Count an attempt as failed before it is made, so that many at once are no way around the count.

    Returns how long the next one will have to wait if this one fails; raises `TooManyAttempts` where this one
    has to.
    """
    wait = timedelta(0)
    # Always in one order, so that two attempts cannot wait for each other.
    for bucket in sorted(counted, key=lambda one: one.key):
        wait = max(wait, _take(connection, bucket, now))
    _tidy(connection, now, at_most)
    return wait


def forgive(connection: Connection, counted: Iterable[Bucket]) -> None:
    """The attempt succeeded: it was no failure of its address, and its account starts anew."""
    for bucket in sorted(counted, key=lambda one: one.key):
        here = attempt.c.bucket == bucket.key
        if bucket.kind == "account":
            connection.execute(delete(attempt).where(here))
        else:
            less = func.greatest(attempt.c.failures - 1, 0)
            connection.execute(update(attempt).where(here).values(failures=less, blocked_until=None))


def _take(connection: Connection, bucket: Bucket, now: datetime) -> timedelta:
    # Makes the row or locks it, so that attempts on one bucket queue here.
    locked = insert(attempt).values(bucket=bucket.key, failures=0, last_at=now)
    row = connection.execute(
        locked.on_conflict_do_update(index_elements=["bucket"], set_={"bucket": bucket.key}).returning(
            attempt
        )
    ).one()
    if row.blocked_until is not None and row.blocked_until > now:
        seconds = -(-(row.blocked_until - now) // timedelta(seconds=1))
        raise TooManyAttempts(f"Too many attempts. Wait {wait_words(seconds)}, then try again.", seconds)
    failures = 1 if row.last_at < now - _FORGOTTEN_AFTER else row.failures + 1
    wait = wait_after(failures, bucket.free)
    connection.execute(
        update(attempt)
        .where(attempt.c.bucket == bucket.key)
        .values(failures=failures, last_at=now, blocked_until=now + wait if wait else None)
    )
    return wait


def _tidy(connection: Connection, now: datetime, at_most: int) -> None:
    """Forget what is old, and the oldest of too many."""
    old = select(attempt.c.bucket).where(attempt.c.last_at < now - _FORGOTTEN_AFTER)
    # By bucket too: of many at one moment no more go than are too many.
    newest_first = select(attempt.c.bucket).order_by(attempt.c.last_at.desc(), attempt.c.bucket)
    many = select(attempt.c.bucket).where(attempt.c.bucket.in_(newest_first.offset(at_most).limit(1000)))
    for found in (old, many):
        unlocked = found.with_for_update(skip_locked=True).limit(1000)
        connection.execute(delete(attempt).where(attempt.c.bucket.in_(unlocked)))


def _hash(kind: str, of: str) -> str:
    return hashlib.sha256(f"{kind}:{of}".encode("utf-8", "surrogatepass")).hexdigest()


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)
