"""The migrations, from nothing and back."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, make_url, text

import launch
from core.store import migrate
from core.store.keys import list_keys
from core.store.partitions import make_ahead
from core.store.session import open_engine, project_ids, tenant, transaction
from tests.conftest import make_project, on
from tests.store.rows import NOON


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url, role=None)
    yield engine
    engine.dispose()


def objects(engine: Engine) -> set[str]:
    """Everything of the schema that a migration could have made."""
    with engine.connect() as connection:
        found = connection.execute(
            text("""
                SELECT 'table ' || relname FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S', 'i')
                UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                UNION ALL SELECT 'policy ' || policyname FROM pg_policies
                UNION ALL SELECT 'type ' || typname FROM pg_type
                    WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
            """)
        ).scalars()
        return {name for name in found if "alembic_version" not in name}


def test_up_and_down_and_up_again_leaves_nothing_behind(empty_database: str) -> None:
    with opened(empty_database) as engine:
        assert migrate.pending(engine)
        migrate.upgrade(engine)
        assert not migrate.pending(engine)
        built = objects(engine)
        make_ahead(engine, NOON.date())
        migrate.downgrade(engine, "base")
        assert objects(engine) == set()
        migrate.upgrade(engine)
        assert objects(engine) == built


def test_an_upgrade_of_what_is_new_changes_nothing(empty_database: str) -> None:
    with opened(empty_database) as engine:
        migrate.upgrade(engine)
        built = objects(engine)
        migrate.upgrade(engine)
        assert objects(engine) == built


def test_the_tables_of_the_code_are_those_of_the_migrations(owner: Engine) -> None:
    assert migrate.differences(owner) == []


def test_two_migrations_at_once_make_one_ledger(empty_database: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(launch.migrate, [empty_database] * 3))
    with opened(empty_database) as engine, engine.connect() as connection:
        twice = connection.execute(
            text("""
                SELECT count(*) FROM (
                    SELECT provider, model, layer, valid_from, body FROM price_version
                    GROUP BY provider, model, layer, valid_from, body HAVING count(*) > 1
                ) AS twice
            """)
        ).scalar_one()
        assert twice == 0
        assert connection.execute(text("SELECT count(*) FROM price_matching")).scalar_one() == 1


@pytest.fixture
def plain_owner(cluster: tuple[str, str]) -> Iterator[str]:
    """The URL of a database whose owner is no superuser and may only make roles."""
    name, password = f"plain_{uuid4().hex[:12]}", uuid4().hex
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        role, database = sql.Identifier(name), sql.Identifier(name)
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(role, sql.Literal(password))
        )
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        url = make_url(on(cluster[0], name)).set(username=name, password=password)
        kept = {key: value for key, value in url.query.items() if key != "passfile"}
        yield url.set(query=kept).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_an_owner_without_the_role_is_told_what_to_grant(plain_owner: str) -> None:
    with opened(plain_owner) as engine, pytest.raises(Exception, match="GRANT tripoint_app TO plain_"):
        migrate.upgrade(engine)


def test_an_owner_that_was_granted_the_role_needs_no_more(plain_owner: str, cluster: tuple[str, str]) -> None:
    _grant(plain_owner, cluster)
    _works(plain_owner)


def test_an_owner_needs_not_even_the_right_to_make_roles(plain_owner: str, cluster: tuple[str, str]) -> None:
    login = make_url(plain_owner).username
    _grant(plain_owner, cluster)
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(sql.Identifier(login)))
    _works(plain_owner)


def _grant(url: str, cluster: tuple[str, str]) -> None:
    with psycopg.connect(on(cluster[0], "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("GRANT tripoint_app TO {}").format(sql.Identifier(make_url(url).username)))


def _works(url: str) -> None:
    """Migrations, prices, projects, keys and partitions, all under this login; and down again."""
    launch.migrate(url)
    with opened(url) as engine:
        project = make_project(engine)
        other = make_project(engine)
        assert migrate.differences(engine) == []
    app = open_engine(url)
    make_ahead(app, NOON.date())
    assert project_ids(app) == [project.id, other.id]
    with tenant(app, project.id) as connection:
        assert len(list_keys(connection)) == 3
    with transaction(app) as connection:
        assert connection.execute(text("SELECT count(*) FROM api_key")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM price_version")).scalar_one() > 0
    app.dispose()
    with opened(url) as engine:
        migrate.downgrade(engine, "base")


def test_a_login_that_makes_the_role_itself_may_use_it(
    plain_owner: str,
) -> None:
    """As on a fresh server: the role is not there yet, and its maker is no superuser."""
    name = f"app_{uuid4().hex[:8]}"
    with psycopg.connect(plain_owner, autocommit=True) as connection:
        version = _version()
        connection.execute(version.TABLES)
        connection.execute(version.ROLE.replace("tripoint_app", name))
        connection.execute(f"SET ROLE {name}")
        assert connection.execute("SELECT current_user, count(*) FROM request").fetchone() == (name, 0)
        connection.execute("RESET ROLE")
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


def _version() -> Any:
    """The migration as a module; its name is none that an import statement could say."""
    path = Path(migrate.__file__).parents[2] / "migrations" / "versions" / "0001_ledger.py"
    spec = importlib.util.spec_from_file_location("ledger_0001", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
