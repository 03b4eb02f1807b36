"""Price versions in the ledger: recorded, never changed, read into a book.

A model's prices are recorded as one set: the set recorded last speaks, older ones stay for the requests
that were priced by them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text

from core.errors import SetupError
from core.ledger import LedgerRequest
from core.pricing.book import PriceVersion, version_from_json, version_to_json
from core.pricing.explain import Explanation, explain
from core.pricing.match import (
    ModelMatch,
    ProviderMatch,
    model_from_json,
    model_to_json,
    provider_from_json,
    provider_to_json,
)
from core.pricing.price import PriceBook, Priced, price_request
from core.store.session import transaction
from core.store.tables import price_matching, price_version

_IMPORT_LOCK = 7_404_513
_Model = tuple[str, str, str]


def record_prices(
    connection: Connection,
    versions: Sequence[PriceVersion],
    models: Sequence[ModelMatch],
    providers: Sequence[ProviderMatch],
    source: str,
) -> int:
    """Record the catalogue's prices that differ from the recorded ones; returns how many versions are new.
    Needs the owner's connection. Recording the same catalogue again changes nothing."""
    # One import at a time: two at once would each record what neither sees of the other.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_IMPORT_LOCK})")
    known = _speaking_digests(connection)
    offered: dict[_Model, list[PriceVersion]] = {}
    for version in versions:
        offered.setdefault((version.layer, version.provider, version.model), []).append(version)
    fresh = [
        version
        for model, group in offered.items()
        if known.get(model) != {v.source_digest for v in group}
        for version in group
    ]
    if fresh:
        connection.execute(insert(price_version), [_version_row(version) for version in fresh])
    _record_matching(connection, models, providers, source)
    return len(fresh)


def recorded_source(connection: Connection) -> str | None:
    """The catalogue that was recorded last."""
    newest = select(price_matching.c.source).order_by(price_matching.c.id.desc()).limit(1)
    return connection.execute(newest).scalar()


def _speaking_digests(connection: Connection) -> dict[_Model, set[str]]:
    found: dict[_Model, set[str]] = {}
    for row in connection.execute(text(_SPEAKING.format(columns="layer, provider, model, digest"))):
        found.setdefault((row.layer, row.provider, row.model), set()).add(row.digest)
    return found


# Of each model the set recorded last.
_SPEAKING = """
SELECT {columns} FROM (
    SELECT *, rank() OVER (PARTITION BY project_id, layer, provider, model ORDER BY recorded_at DESC) AS age
    FROM price_version
) AS recorded WHERE age = 1
"""


def _version_row(version: PriceVersion) -> dict[str, Any]:
    return {
        "digest": version.source_digest,
        "provider": version.provider,
        "model": version.model,
        "layer": version.layer,
        "valid_from": version.valid_from,
        "valid_to": version.valid_to,
        "source": version.source,
        "body": version_to_json(version),
        "recorded_at": version.recorded_at,
    }


def _record_matching(
    connection: Connection, models: Sequence[ModelMatch], providers: Sequence[ProviderMatch], source: str
) -> None:
    body = {
        "models": [model_to_json(m) for m in models],
        "providers": [provider_to_json(p) for p in providers],
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    newest = (
        select(price_matching.c.digest, price_matching.c.source).order_by(price_matching.c.id.desc()).limit(1)
    )
    if connection.execute(newest).one_or_none() != (digest, source):
        connection.execute(insert(price_matching).values(digest=digest, source=source, body=body))


def load_book(connection: Connection) -> PriceBook:
    """The book of all prices that speak now."""
    matching = connection.execute(
        select(price_matching.c.body).order_by(price_matching.c.id.desc()).limit(1)
    ).scalar()
    if matching is None:
        raise SetupError(
            "There are no prices in the database yet. Run `tripoint migrate`, which imports them."
        )
    rows = connection.execute(text(_SPEAKING.format(columns="id, body")))
    return PriceBook(
        versions=tuple(replace(version_from_json(row.body), id=row.id) for row in rows),
        models=tuple(model_from_json(value) for value in matching["models"]),
        providers=tuple(provider_from_json(value) for value in matching["providers"]),
    )


def load_version(connection: Connection, version_id: int) -> PriceVersion | None:
    """One price version, speaking or not; None where this project may not see it."""
    body = connection.execute(select(price_version.c.body).where(price_version.c.id == version_id)).scalar()
    return None if body is None else replace(version_from_json(body), id=version_id)


def explain_request(connection: Connection, item: LedgerRequest, book: PriceBook) -> Explanation:
    """Why the ledger holds this cost: by the price version that the row names, not by today's."""
    if item.price_version_id is None:
        now = price_request(item.record, book)
        stored = now._replace(
            status="unpriced", reason=item.pricing_reason, cost_pico=None, list_pico=None, lines=()
        )
        same = now.status == item.pricing_status and now.cost_pico == item.cost_pico
        return explain(item.record, now if same else stored, None)
    priced, version = _priced_by(connection, item, book)
    if priced.cost_pico != item.cost_pico:
        raise AssertionError(f"request {item.id} does not cost what its price version says")
    return explain(item.record, priced, version)


def _priced_by(
    connection: Connection, item: LedgerRequest, book: PriceBook
) -> tuple[Priced, PriceVersion | None]:
    assert item.price_version_id is not None
    version = load_version(connection, item.price_version_id)
    priced = price_request(item.record, book)
    if version is not None and priced.price_version_id != item.price_version_id:
        priced = price_request(item.record, replace(book, versions=(version,)))
    return priced, version


class Shelf:
    """The book that this process prices by. `book` costs nothing once it is read; `refresh` looks whether
    the ledger has newer prices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._book: PriceBook | None = None
        self._edition: tuple[int, int] | None = None

    def book(self) -> PriceBook:
        """The book as last read; the first call reads it."""
        return self._book or self.refresh()

    def refresh(self) -> PriceBook:
        """The book as the ledger has it now."""
        with self._lock, transaction(self._engine) as connection:
            newest = connection.exec_driver_sql(
                "SELECT coalesce((SELECT max(id) FROM price_version), 0),"
                " coalesce((SELECT max(id) FROM price_matching), 0)"
            ).one()
            edition = (newest[0], newest[1])
            if self._book is None or edition != self._edition:
                self._book = load_book(connection)
                self._edition = edition
            return self._book
