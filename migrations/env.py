"""Runs the versions on a connection that the caller opened (`core.store.migrate`)."""

from __future__ import annotations

from alembic import context
from sqlalchemy.schema import SchemaItem

from core.store.tables import metadata


def keep(item: SchemaItem, name: str | None, kind: str, reflected: bool, other: SchemaItem | None) -> bool:
    """Day partitions are made as data comes and belong to no version."""
    return not (kind == "table" and reflected and other is None and "_p2" in (name or ""))


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=keep,
    compare_type=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
