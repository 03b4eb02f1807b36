"""Day partitions of the hot tables: made ahead by the worker, and on demand for what is sent late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from core.store.session import transaction

_AHEAD = 7
_known: WeakKeyDictionary[Engine, set[date]] = WeakKeyDictionary()


def unknown_days(engine: Engine, days: Iterable[date]) -> list[date]:
    """Those of the days that `ensure_days` would have to ask the database for, in order."""
    return sorted(set(days) - _known.get(engine, set()))


def ensure_days(engine: Engine, days: Iterable[date]) -> None:
    """See to it that the partitions of these days exist; a day known to exist costs nothing.

    Each in a transaction of its own: a day noted as known must not vanish with somebody's rollback, and a
    backfill of years would need more locks at once than PostgreSQL has.
    """
    known = _known.setdefault(engine, set())
    for day in unknown_days(engine, days):
        with transaction(engine) as connection:
            connection.exec_driver_sql(f"SELECT tripoint_ensure_day('{day.isoformat()}')")
        known.add(day)


def make_ahead(engine: Engine, today: date) -> None:
    """The partitions from yesterday to a week ahead, so that no request has to wait for one."""
    _known.pop(engine, None)
    ensure_days(engine, [today + timedelta(days=n) for n in range(-1, _AHEAD + 1)])
