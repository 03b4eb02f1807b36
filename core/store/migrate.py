"""Builds and changes the ledger's tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from core.store.session import transaction

_ROOT = Path(__file__).resolve().parents[2]
# One migration at a time, whoever starts it: any number, as long as it is always the same.
_LOCK = 7_404_511


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database up to `revision`; does nothing where it is there already."""
    with transaction(engine) as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to `revision` (`base` for none)."""
    with transaction(engine) as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        command.downgrade(_config(connection), revision)


def differences(engine: Engine) -> list[object]:
    """What autogenerate would change: empty when tables.py and the migrations agree."""
    from alembic.autogenerate import compare_metadata

    from core.store import (  # noqa: F401  their tables join the others
        drift_tables,
        judge_tables,
        review_tables,
    )
    from core.store.tables import Xid8, metadata

    with engine.connect() as connection:
        types: dict[str, object] = connection.dialect.ischema_names  # type: ignore[attr-defined]
        types["xid8"] = Xid8
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda o, n, k, r, c: (
                    not (k == "table" and r and c is None and "_p2" in (n or ""))
                ),
            },
        )
        return list(compare_metadata(context, metadata))


def pending(engine: Engine) -> bool:
    """True where the database is not at the newest revision."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current != ScriptDirectory(str(_ROOT / "migrations")).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config
