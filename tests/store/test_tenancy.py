"""The wall between tenants, where it stands: in PostgreSQL, under the role that owns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from core.pricing.price import PriceBook
from core.request import Content
from core.store import accounts
from core.store.session import enter_account, present_name, tenant, transaction
from tests.conftest import Project
from tests.store.rows import a_request, a_score, a_span, store

NOW = datetime.now(UTC)
# Prices and how names lead to them are everybody's; of a project's own prices there are none here. Attempts to
# sign in are nobody's, and stand under hashes.
SHARED = {"price_version", "price_matching", "sign_in_attempt"}
# An account is seen from the projects that it belongs to; its hash is only seen by its name.
PEOPLE = {"account", "account_password"}
OWNED = {
    "project": "id",
    "api_key": "project_id",
    "user_name": "project_id",
    "request": "project_id",
    "context_span": "project_id",
    "content": "project_id",
    "unsettled": "project_id",
    "score": "project_id",
    "membership": "project_id",
    "audit": "project_id",
    "rubric": "project_id",
    "judge": "project_id",
    "judge_policy": "project_id",
    "judge_round": "project_id",
    "judge_stratum": "project_id",
    "unsampled": "project_id",
    "judging": "project_id",
    "comparison": "project_id",
    "judge_budget": "project_id",
    "judge_spend": "project_id",
    "review_plan": "project_id",
    "review": "project_id",
    "review_turn": "project_id",
    "drift_setting": "project_id",
    "stream": "project_id",
    "watch": "project_id",
    "anchor_set": "project_id",
    "anchor_item": "project_id",
    "anchor_reference": "project_id",
    "anchor_watch": "project_id",
    "alert": "project_id",
    "channel": "project_id",
    "delivery": "project_id",
}
_PLACE = "current_date, 'x', 'x', now()"
# In this order, each below what it points to.
JUDGED = (
    "INSERT INTO rubric (project_id, name, version, body) VALUES ({id}, 'x', 'x', '{{}}')",
    "INSERT INTO judge (project_id, name, body) VALUES ({id}, 'x', '{{}}')",
    "INSERT INTO judge_policy (project_id, rubric_id, rubric_name, body, salt, starts_at)"
    " SELECT {id}, id, 'x', '{{}}', 'x', now() FROM rubric",
    "INSERT INTO judge_round (project_id, policy_id, day, wanted, base)"
    " SELECT {id}, id, current_date, 1, 1 FROM judge_policy",
    "INSERT INTO judge_stratum (project_id, round_id, key, size, pilot, chance)"
    " SELECT {id}, id, 'x', 1, 1, 1 FROM judge_round",
    "INSERT INTO unsampled (project_id, trace_id, first_day, last_day)"
    " VALUES ({id}, 'x', current_date, current_date)",
    "INSERT INTO judging (project_id, rubric_id, purpose, day, trace_id, span_id, started_at, chance, turn)"
    f" SELECT {{id}}, id, 'sample', {_PLACE}, 1, 0 FROM rubric",
    "INSERT INTO comparison (project_id, rubric_id, judge_id, name, first_label, second_label, size, pairs)"
    " SELECT {id}, r.id, j.id, 'x', 'x', 'x', 1, '[]' FROM rubric r, judge j",
    "INSERT INTO judge_budget (project_id, day_pico) VALUES ({id}, 1)",
    "INSERT INTO judge_spend (project_id, day) VALUES ({id}, current_date)",
    "INSERT INTO review_plan (project_id, rubric_name, a_day, second_share, salt) VALUES ({id}, 'x', 1, 0, 'x')",
    "INSERT INTO review (project_id, rubric_id, rubric_name, purpose, day, trace_id, span_id, started_at, place)"
    f" SELECT {{id}}, id, 'x', 'drawn', {_PLACE}, 0 FROM rubric",
    "INSERT INTO review_turn (project_id, review_id, rater, leased_until) SELECT {id}, id, 'x', now() FROM review",
    "INSERT INTO drift_setting (project_id) VALUES ({id})",
    "INSERT INTO stream (project_id, rubric_id) SELECT {id}, id FROM rubric",
    "INSERT INTO watch (project_id, stream_id, dimension, state) SELECT {id}, id, 'x', '{{}}' FROM stream",
    "INSERT INTO anchor_set (project_id, rubric_id, name, size) SELECT {id}, id, 'x', 1 FROM rubric",
    "INSERT INTO anchor_item (project_id, set_id, place, trace_id, span_id, day, started_at, material, labels)"
    " SELECT {id}, id, 0, 'x', 'x', current_date, now(), '{{}}', '{{}}' FROM anchor_set",
    "INSERT INTO anchor_reference (project_id, set_id, judge_id, place, scores, scored_at)"
    " SELECT {id}, s.id, j.id, 0, '{{}}', now() FROM anchor_set s, judge j",
    "INSERT INTO anchor_watch (project_id, set_id, judge_id, dimension, alpha, state)"
    " SELECT {id}, s.id, j.id, 'x', 0.01, '{{}}' FROM anchor_set s, judge j",
    "INSERT INTO alert (project_id, kind, key, severity, title, verdict, body, opened_at)"
    " VALUES ({id}, 'drift', 'x', 'page', 'x', 'system', '{{}}', now())",
    "INSERT INTO channel (project_id, name, kind, body) VALUES ({id}, 'x', 'webhook', '{{}}')",
    "INSERT INTO delivery (project_id, alert_id, channel_id, event, not_before, created_at)"
    " SELECT {id}, a.id, c.id, 'opened', now(), now() FROM alert a, channel c",
)


def plant(engine: Engine, project: Project, book: PriceBook, name: str) -> None:
    """Rows of one tenant in every table."""
    record = a_request(user=name, feature=name)
    store(
        engine,
        project,
        book,
        [record],
        [a_span(user=name)],
        [Content(record.trace_id, record.span_id, record.started_ns, input=f'"{name}"')],
        [a_score(record, name, 0.5, author=name, comment=name)],
    )
    with tenant(engine, project.id) as connection:
        member = accounts.invite(connection, project.id, f"{name} {project.name}", "read", "test", NOW)
        accounts.set_password(connection, member, f"hash of {name}", "test", NOW)
        for statement in JUDGED:
            connection.exec_driver_sql(statement.format(id=project.id))


@pytest.fixture
def tenants(
    engine: Engine, project: Project, other_project: Project, book: PriceBook
) -> Iterator[tuple[Project, Project]]:
    plant(engine, project, book, "ours")
    plant(engine, other_project, book, "theirs")
    yield project, other_project


def tables(connection: Connection) -> list[str]:
    return list(
        connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'"
            )
        ).scalars()
    )


def refused(engine: Engine, project: Project | None, statement: str) -> str:
    """What the database says to the statement."""
    with pytest.raises(DBAPIError) as caught, transaction(engine) as connection:
        if project:
            connection.exec_driver_sql(f"SET LOCAL app.project = '{project.id}'")
        connection.exec_driver_sql(statement)
    return str(caught.value.orig)


def test_every_table_is_known_to_these_tests(owner: Engine) -> None:
    with owner.connect() as connection:
        assert set(tables(connection)) == SHARED | PEOPLE | set(OWNED)


def test_a_project_sees_its_own_rows_and_no_others(engine: Engine, tenants: tuple[Project, Project]) -> None:
    ours, theirs = tenants
    for project in (ours, theirs):
        with tenant(engine, project.id) as connection:
            for table, column in OWNED.items():
                seen = set(connection.execute(text(f"SELECT DISTINCT {column} FROM {table}")).scalars())
                assert seen == {project.id}, table


@pytest.mark.usefixtures("tenants")
def test_without_a_project_there_is_nothing_to_see(engine: Engine) -> None:
    for setting in (None, "", "0", "-1"):
        with transaction(engine) as connection:
            if setting is not None:
                connection.exec_driver_sql(f"SET LOCAL app.project = '{setting}'")
            for table in (*OWNED, *PEOPLE):
                assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0, table


@pytest.mark.parametrize("setting", ["x", "1 OR true", "1,2"])
def test_a_project_that_is_no_number_sees_an_error(engine: Engine, setting: str) -> None:
    with pytest.raises(DBAPIError, match="invalid input syntax"), transaction(engine) as connection:
        connection.exec_driver_sql(f"SET LOCAL app.project = '{setting}'")
        connection.execute(text("SELECT count(*) FROM request"))


def test_a_project_ends_with_its_transaction(engine: Engine, tenants: tuple[Project, Project]) -> None:
    with engine.connect() as connection:
        with connection.begin():
            connection.exec_driver_sql(f"SET LOCAL app.project = '{tenants[0].id}'")
            assert connection.execute(text("SELECT count(*) FROM request")).scalar_one() == 1
        with connection.begin():
            assert connection.execute(text("SELECT count(*) FROM request")).scalar_one() == 0


def test_a_key_opens_its_own_row_only(engine: Engine, tenants: tuple[Project, Project]) -> None:
    from core.access import hash_key

    with transaction(engine) as connection:
        connection.exec_driver_sql(f"SET LOCAL app.key = '{hash_key(tenants[1].read).hex()}'")
        assert connection.execute(text("SELECT project_id FROM api_key")).scalars().all() == [tenants[1].id]
        assert connection.execute(text("SELECT count(*) FROM project")).scalar_one() == 0


INSERTS = {
    "api_key": "(project_id, kind, role, hash, hint) VALUES ({id}, 'key', 'admin', 'x', 'x')",
    "user_name": "(project_id, name) VALUES ({id}, 'x')",
    "audit": "(project_id, actor, action, target, details) VALUES ({id}, 'x', 'x', 'x', '{{}}')",
    "content": "(project_id, day, trace_id, span_id, body) VALUES ({id}, current_date, 'x', 'x', 'x')",
    "score": (
        "(project_id, day, trace_id, id, name, value, source, recorded_at)"
        " VALUES ({id}, current_date, 'x', 'x', 'x', 1, 'api', now())"
    ),
    "unsettled": "(project_id, trace_id, first_day, last_day) VALUES ({id}, 'x', current_date, current_date)",
    "context_span": (
        "(project_id, day, trace_id, span_id, started_at, duration_us, name, source, kind, status)"
        " VALUES ({id}, current_date, 'x', 'x', now(), 0, 'x', 'x', 'x', 'ok')"
    ),
    "request": (
        "(project_id, day, trace_id, span_id, started_at, duration_us, name, source, source_version, native,"
        " aggregate, batch, status, pricing_status, pricing_reason, counted)"
        " VALUES ({id}, current_date, 'x', 'x', now(), 0, 'x', 'x', '', false, false, false, 'ok',"
        " 'unpriced', 'x', true)"
    ),
}


@pytest.mark.parametrize("statement", JUDGED)
def test_nothing_that_is_judged_or_labelled_can_be_put_into_another_project(
    engine: Engine, tenants: tuple[Project, Project], statement: str
) -> None:
    ours, theirs = tenants
    assert "row-level security" in refused(engine, ours, statement.format(id=theirs.id))


@pytest.mark.parametrize("table", INSERTS)
def test_a_row_cannot_be_put_into_another_project(
    engine: Engine, tenants: tuple[Project, Project], table: str
) -> None:
    ours, theirs = tenants
    said = refused(engine, ours, f"INSERT INTO {table} {INSERTS[table].format(id=theirs.id)}")
    assert "row-level security" in said
    assert "row-level security" in refused(
        engine, None, f"INSERT INTO {table} {INSERTS[table].format(id=ours.id)}"
    )
    with tenant(engine, ours.id) as connection:
        connection.exec_driver_sql(f"INSERT INTO {table} {INSERTS[table].format(id=ours.id)}")
        connection.rollback()


@pytest.mark.parametrize("table", ["api_key", "request", "unsettled"])
def test_a_row_cannot_be_moved_to_another_project(
    engine: Engine, tenants: tuple[Project, Project], table: str
) -> None:
    ours, theirs = tenants
    said = refused(engine, ours, f"UPDATE {table} SET project_id = {theirs.id}")
    assert "row-level security" in said


@pytest.mark.parametrize("table", ["api_key", "request", "unsettled"])
def test_rows_of_another_project_cannot_be_changed(
    engine: Engine, tenants: tuple[Project, Project], table: str
) -> None:
    ours, theirs = tenants
    with tenant(engine, ours.id) as connection:
        changed = connection.exec_driver_sql(
            f"UPDATE {table} SET project_id = project_id WHERE project_id = {theirs.id}"
        )
        assert changed.rowcount == 0


@pytest.mark.parametrize("table", ["user_name", "content", "score", "unsettled"])
def test_rows_of_another_project_cannot_be_deleted(
    engine: Engine, tenants: tuple[Project, Project], table: str
) -> None:
    ours, theirs = tenants
    with tenant(engine, ours.id) as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")
    with tenant(engine, theirs.id) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0


@pytest.mark.parametrize("parent", ["request", "context_span", "content", "score"])
def test_a_partition_cannot_be_read_past_its_table(
    engine: Engine, owner: Engine, tenants: tuple[Project, Project], parent: str
) -> None:
    with owner.connect() as connection:
        part = connection.execute(
            text(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:p AS regclass) LIMIT 1"
            ),
            {"p": parent},
        ).scalar_one()
    for statement in (
        f"SELECT * FROM {part}",
        f"DELETE FROM {part}",
        f"TRUNCATE {part}",
        f"DROP TABLE {part}",
    ):
        said = refused(engine, tenants[0], statement)
        assert "permission denied" in said or "must be owner" in said


def test_a_project_sees_its_own_people_and_nobodys_hash(
    engine: Engine, tenants: tuple[Project, Project]
) -> None:
    ours, theirs = tenants
    for project, name in ((ours, "ours"), (theirs, "theirs")):
        with tenant(engine, project.id) as connection:
            seen = connection.execute(text("SELECT name FROM account")).scalars().all()
            assert seen == [f"{name} {project.name}"]
            assert connection.execute(text("SELECT count(*) FROM account_password")).scalar_one() == 0


def test_a_name_opens_its_own_account_and_hash_only(engine: Engine, tenants: tuple[Project, Project]) -> None:
    with transaction(engine) as connection:
        present_name(connection, f"theirs {tenants[1].name}")
        assert connection.execute(text("SELECT hash FROM account_password")).scalars().all() == [
            "hash of theirs"
        ]
        assert connection.execute(text("SELECT count(*) FROM account")).scalar_one() == 1
        for table in OWNED:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0, table


def test_who_entered_an_account_sees_its_projects_and_writes_into_none(
    engine: Engine, tenants: tuple[Project, Project]
) -> None:
    theirs = tenants[1]
    with transaction(engine) as connection:
        present_name(connection, f"theirs {theirs.name}")
        number = connection.execute(text("SELECT id FROM account")).scalar_one()
        enter_account(connection, number)
        assert connection.execute(text("SELECT id FROM project")).scalars().all() == [theirs.id]
        assert connection.execute(text("SELECT project_id FROM membership")).scalars().all() == [theirs.id]
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
    for statement in (
        f"UPDATE membership SET role = 'admin' WHERE account_id = {number}",
        f"INSERT INTO membership (project_id, account_id, role) VALUES ({tenants[0].id}, {number}, 'admin')",
    ):
        said = refused(engine, None, f"SET LOCAL app.account = '{number}'; {statement}")
        assert "row-level security" in said


def test_an_account_of_another_project_cannot_be_changed(
    engine: Engine, tenants: tuple[Project, Project]
) -> None:
    ours, theirs = tenants
    with tenant(engine, theirs.id) as connection:
        number = connection.execute(text("SELECT id FROM account")).scalar_one()
    with tenant(engine, ours.id) as connection:
        assert (
            connection.exec_driver_sql(f"UPDATE account SET disabled_at = now() WHERE id = {number}").rowcount
            == 0
        )
        assert connection.exec_driver_sql(f"DELETE FROM membership WHERE account_id = {number}").rowcount == 0
    said = refused(
        engine, ours, f"INSERT INTO account_password (account_id, hash, given) VALUES ({number}, 'x', false)"
    )
    assert "row-level security" in said


def test_a_presented_hash_lets_nobody_write_into_a_project(
    engine: Engine, tenants: tuple[Project, Project]
) -> None:
    said = refused(
        engine,
        None,
        "SET LOCAL app.key = 'ab'; INSERT INTO api_key (project_id, kind, role, hash, hint)"
        f" VALUES ({tenants[0].id}, 'key', 'admin', '\\xab', 'x')",
    )
    assert "row-level security" in said


FORBIDDEN = [
    "UPDATE audit SET actor = 'somebody else'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "INSERT INTO audit (project_id, at, actor, action, target, details) VALUES (1, now(), 'x', 'x', 'x', '{}')",
    "INSERT INTO audit (id, project_id, actor, action, target, details) VALUES (1, 1, 'x', 'x', 'x', '{}')",
    "ALTER TABLE audit DISABLE ROW LEVEL SECURITY",
    "DROP POLICY tenant ON account_password",
    "DELETE FROM account",
    "UPDATE account SET folded = 'x'",
    "ALTER TABLE request DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE request NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY tenant ON request",
    "CREATE POLICY mine ON request USING (true)",
    "CREATE TABLE public.mine (x integer)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "SELECT * FROM pg_authid",
    "UPDATE price_version SET body = '{}'",
    "DELETE FROM price_version",
    "INSERT INTO price_version (digest, provider, model, layer, source, body, recorded_at)"
    " VALUES ('x', 'x', 'x', 'x', 'x', '{}', now())",
    "UPDATE price_matching SET body = '{}'",
    "ALTER TABLE price_version DISABLE TRIGGER ALL",
    "TRUNCATE request",
    "DROP TABLE request",
    "DELETE FROM request",
    "DELETE FROM api_key",
    "UPDATE score SET value = 1",
    "DELETE FROM alert",
    "UPDATE alert SET body = '{}'",
    "DELETE FROM delivery",
    "DELETE FROM watch",
    "UPDATE channel SET body = '{}'",
    "UPDATE anchor_item SET material = '{}'",
    "UPDATE anchor_reference SET scores = '{}'",
    "DELETE FROM review",
    "DELETE FROM review_turn",
    "DELETE FROM review_plan",
    "ALTER TABLE review NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE score NO FORCE ROW LEVEL SECURITY",
    "UPDATE project SET name = 'mine'",
    "INSERT INTO project (name) VALUES ('mine')",
    "COPY request TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/dev/null'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM alembic_version",
    "ALTER ROLE tripoint_app BYPASSRLS",
    "SET SESSION AUTHORIZATION tripoint_owner",
    "SET session_replication_role = 'replica'",
    "SELECT tripoint_immutable()",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_application_may_not(engine: Engine, project: Project, statement: str) -> None:
    said = refused(engine, project, statement)
    assert any(
        words in said
        for words in (
            "permission denied",
            "must be owner",
            "row-level security",
            "trigger functions can only",
        )
    ), said


def test_turning_row_security_off_shows_an_error_and_no_rows(engine: Engine, project: Project) -> None:
    with pytest.raises(DBAPIError, match="row-level security"), transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL row_security = off")
        connection.execute(text("SELECT * FROM request"))


def test_the_role_owns_nothing_and_inherits_no_power(owner: Engine) -> None:
    with owner.connect() as connection:
        role = connection.execute(
            text("""
                SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin, oid
                FROM pg_roles WHERE rolname = 'tripoint_app'
            """)
        ).one()
        assert not any(role[:5])
        owned = connection.execute(
            text("SELECT count(*) FROM pg_class WHERE relowner = :oid AND relpersistence <> 't'"),
            {"oid": role.oid},
        ).scalar_one()
        above = connection.execute(
            text("SELECT count(*) FROM pg_auth_members WHERE member = :oid"), {"oid": role.oid}
        ).scalar_one()
    assert (owned, above) == (0, 0)


def test_a_price_version_never_changes_not_even_for_its_owner(owner: Engine) -> None:
    for statement in ("UPDATE price_version SET model = 'x'", "DELETE FROM price_version"):
        with pytest.raises(DBAPIError, match="never changes"), owner.begin() as connection:
            connection.exec_driver_sql(statement)
