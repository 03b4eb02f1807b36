"""The door that every room keeps: a key is looked up, remembered for a moment, and noted as used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.access import Access, Kind, hash_key
from core.errors import Unauthenticated
from core.store import keys, sessions
from core.store.session import tenant, transaction

# A revoked key may still open for this long; a lookup a request would cost small senders their speed.
_REMEMBERED = timedelta(seconds=1)
_NOTED_EVERY = timedelta(minutes=1)
_AT_MOST = 10_000


class Door:
    """Turns a secret into an `Access`, at most one query a second and key."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._seen: OrderedDict[tuple[bytes, Kind], tuple[datetime, Access]] = OrderedDict()
        self._noted: OrderedDict[int, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, secret: str, kind: Kind = "key") -> Access | None:
        """The access of a key seen within the last second; no query, so the event loop may ask."""
        with self._lock:
            found = self._seen.get((hash_key(secret), kind))
        return found[1] if found and found[0] > self._clock() else None

    def open(self, secret: str | None, kind: Kind = "key") -> Access:
        """Whose key this is; raises `Unauthenticated` with what to do. May query the database."""
        if not secret:
            raise Unauthenticated("Send a key as `Authorization: Bearer KEY`.")
        if access := self.recall(secret, kind):
            return access
        now = self._clock()
        with transaction(self._engine) as connection:
            access = keys.authenticate(connection, secret, now, kind)
            if kind == "session":
                access = sessions.complete(connection, access)
        self._remember(secret, kind, access, now)
        self._note(access, now)
        return access

    def forget(self, key_id: int) -> None:
        """Let a revoked key not open here for even a second more."""
        with self._lock:
            for known in [known for known, (_, access) in self._seen.items() if access.key_id == key_id]:
                del self._seen[known]

    def _remember(self, secret: str, kind: Kind, access: Access, now: datetime) -> None:
        with self._lock:
            self._seen[hash_key(secret), kind] = (now + _REMEMBERED, access)
            while len(self._seen) > _AT_MOST:
                self._seen.popitem(last=False)

    def _note(self, access: Access, now: datetime) -> None:
        with self._lock:
            last = self._noted.get(access.key_id)
            if last is not None and now - last < _NOTED_EVERY:
                return
            self._noted[access.key_id] = now
            while len(self._noted) > _AT_MOST:
                self._noted.popitem(last=False)
        with tenant(self._engine, access.project_id) as connection:
            keys.touch(connection, [access.key_id], now)
