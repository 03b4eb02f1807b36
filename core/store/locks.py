"""Locks between processes, one thing at a time for one project or judge; held to the end of the transaction."""

from __future__ import annotations

from enum import IntEnum, unique

from sqlalchemy import Connection


@unique
class Lock(IntEnum):
    """What is done by one at a time. Each has a number of its own, or two would wait for each other."""

    SETTLE = 7_404_512
    ASK = 7_404_513
    REVIEW = 7_404_514
    WATCH = 7_404_531


def wait_for(connection: Connection, what: Lock, number: int) -> None:
    """Wait until nobody else does this for the project or judge of this number."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({what.value}, {int(number)})")


def take(connection: Connection, what: Lock, number: int) -> bool:
    """True where nobody else does this just now, so that we may."""
    return bool(
        connection.exec_driver_sql(
            f"SELECT pg_try_advisory_xact_lock({what.value}, {int(number)})"
        ).scalar_one()
    )


def wait_or_take(connection: Connection, what: Lock, number: int, wait: bool) -> bool:
    """True at once or after a `wait`; False where somebody else is at it and nobody wants to wait."""
    if not wait:
        return take(connection, what, number)
    wait_for(connection, what, number)
    return True
