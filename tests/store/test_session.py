"""What the database cannot do just now is told apart from what it will never do."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from core.errors import SetupError, Unavailable
from core.store import session
from core.store.session import check, open_engine, tenant, transaction
from tests.conftest import Database, Project


@pytest.fixture
def impatient(database: Database) -> Iterator[Engine]:
    """Statements may take a second, and there is one connection."""
    engine = open_engine(database.app_url, pool_size=1, statement_timeout_s=1)
    yield engine
    engine.dispose()


def test_a_statement_that_takes_too_long_is_unavailable_in_words(impatient: Engine) -> None:
    with pytest.raises(Unavailable, match="took longer than it may"), transaction(impatient) as connection:
        connection.execute(text("SELECT pg_sleep(5)"))


def test_a_database_that_nobody_serves_is_unavailable() -> None:
    with pytest.raises(Unavailable), transaction(open_engine("postgresql://nobody@127.0.0.1:1/x")):
        pass


def test_the_check_of_a_database_that_nobody_serves_hides_the_password() -> None:
    with pytest.raises(SetupError) as caught:
        check(open_engine("postgresql://nobody:s3cret@127.0.0.1:1/x"))
    assert "s3cret" not in str(caught.value)


def test_a_pool_without_a_free_connection_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_patience(*args: object, **options: object) -> Engine:
        return create_engine(*args, **options | {"pool_timeout": 0.1})  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(session, "create_engine", without_patience)
    engine = open_engine(database.app_url, pool_size=1)
    with (
        transaction(engine),
        transaction(engine),
        pytest.raises(Unavailable, match="busy"),
        transaction(engine),
    ):
        pass
    engine.dispose()


def test_a_connection_that_is_cut_in_the_middle_is_unavailable_and_replaced(
    impatient: Engine, owner: Engine
) -> None:
    with pytest.raises(Unavailable), transaction(impatient) as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with owner.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
        connection.exec_driver_sql("SELECT 1")
    with transaction(impatient) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM nowhere",
        "SELECT 1 / 0",
        "SELECT repeat('(', 100000)::tsquery",
        "INSERT INTO user_name (project_id, name) SELECT current_setting('app.project')::integer,"
        " string_agg(md5(n::text), '') FROM generate_series(1, 5000) n",
    ],
)
def test_what_will_never_work_is_not_called_unavailable(
    engine: Engine, project: Project, statement: str
) -> None:
    with pytest.raises(DBAPIError), tenant(engine, project.id) as connection:
        connection.exec_driver_sql(statement)


def test_an_error_of_a_copy_looks_like_any_other(engine: Engine, project: Project) -> None:
    with pytest.raises(DBAPIError), tenant(engine, project.id) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute("CREATE TEMP TABLE t (x integer) ON COMMIT DROP")
        with driver.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row(["no number"])


def test_a_deadlock_is_unavailable_for_one_and_nothing_for_the_other(database: Database) -> None:
    engine = open_engine(database.app_url)
    both = threading.Barrier(2)
    fates: list[str] = []

    def run(first: int, second: int) -> None:
        try:
            with transaction(engine) as connection:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({first})")
                both.wait()
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({second})")
            fates.append("done")
        except Unavailable:
            fates.append("unavailable")

    threads = [threading.Thread(target=run, args=pair) for pair in ((91, 92), (92, 91))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    engine.dispose()
    assert sorted(fates) == ["done", "unavailable"]
