"""The catalogue's prices into the ledger, once a version of the catalogue."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

from sqlalchemy import Engine

from core.store.prices import record_prices, recorded_source
from core.store.session import transaction


def import_catalogue(engine: Engine, now: datetime) -> int:
    """Record what the installed catalogue says and the ledger does not; returns the number of new versions.
    `engine` is the owner's."""
    source = f"genai-prices {version('genai-prices')}"
    with transaction(engine) as connection:
        if recorded_source(connection) == source:
            return 0
    # Loading the catalogue takes a good part of a second, so only a start that needs it pays.
    from billing.catalogue import read_catalogue

    catalogue = read_catalogue(now)
    with transaction(engine) as connection:
        return record_prices(connection, catalogue.versions, catalogue.models, catalogue.providers, source)
