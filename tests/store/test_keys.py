"""Keys: stored as hashes, open one project, end when they should."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from core.access import ROLES, Access, new_key
from core.errors import BadInput, NotFound, Unauthenticated
from core.store import keys
from core.store.door import Door
from core.store.session import tenant, transaction
from tests.conftest import Project

NOW = datetime.now(UTC)


def made(engine: Engine, project: Project, secret: str, **options: object) -> int:
    with tenant(engine, project.id) as connection:
        return keys.add_key(connection, project.id, secret, "read", **options)  # type: ignore[arg-type]


def opened(engine: Engine, secret: str, kind: str = "key") -> Access:
    with transaction(engine) as connection:
        return keys.authenticate(connection, secret, NOW, kind)  # type: ignore[arg-type]


def a_secret() -> str:
    import os

    return new_key("read", os.urandom(32))


def test_a_key_opens_its_project_in_its_role(engine: Engine, project: Project) -> None:
    secret = a_secret()
    number = made(engine, project, secret)
    assert opened(engine, secret) == Access(project.id, "read", number)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_can_be_stored(engine: Engine, project: Project, role: str) -> None:
    secret = a_secret()
    with tenant(engine, project.id) as connection:
        keys.add_key(connection, project.id, secret, role)  # type: ignore[arg-type]
    assert opened(engine, secret).role == role


def test_the_secret_is_nowhere_in_the_ledger(owner: Engine, engine: Engine, project: Project) -> None:
    secret = a_secret()
    made(engine, project, secret)
    with owner.connect() as connection:
        rows = connection.execute(text("SELECT api_key::text FROM api_key")).scalars().all()
    digits = secret.rsplit("_", 1)[1]
    assert not any(digits[:12] in row or digits[-12:] in row for row in rows)


@pytest.mark.parametrize("secret", ["", "nonsense", "tp_admin_" + "0" * 64, "\ud800", "x" * 100_000, "'; --"])
def test_an_unknown_key_opens_nothing(engine: Engine, secret: str) -> None:
    with pytest.raises(Unauthenticated, match="not known"):
        opened(engine, secret)


def test_a_key_ends_at_its_expiry(engine: Engine, project: Project) -> None:
    over, lasting = a_secret(), a_secret()
    made(engine, project, over, expires_at=NOW)
    made(engine, project, lasting, expires_at=NOW + timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        opened(engine, over)
    assert opened(engine, lasting).project_id == project.id


def test_a_revoked_key_opens_nothing_and_keeps_its_first_end(engine: Engine, project: Project) -> None:
    secret = a_secret()
    number = made(engine, project, secret)
    ends = []
    for _ in range(2):
        with tenant(engine, project.id) as connection:
            keys.revoke(connection, project.id, number, "ann")
            ends.append(keys.list_keys(connection)[0].revoked_at)
    assert ends[0] == ends[1] is not None
    with pytest.raises(Unauthenticated, match="revoked"):
        opened(engine, secret)


def test_a_key_of_another_project_cannot_be_revoked(
    engine: Engine, project: Project, other_project: Project
) -> None:
    number = made(engine, other_project, a_secret())
    with tenant(engine, project.id) as connection, pytest.raises(NotFound):
        keys.revoke(connection, project.id, number, "ann")


def test_a_key_of_one_kind_does_not_open_the_door_of_another(engine: Engine, project: Project) -> None:
    secret = a_secret()
    made(engine, project, secret, kind="session")
    with pytest.raises(Unauthenticated):
        opened(engine, secret)
    assert opened(engine, secret, "session").project_id == project.id


def test_a_sign_in_token_is_used_up_by_exactly_one_of_many(engine: Engine, project: Project) -> None:
    secret = a_secret()
    made(engine, project, secret, kind="sign_in")
    start = threading.Barrier(4)

    def use(_: int) -> bool:
        start.wait()
        try:
            with transaction(engine) as connection:
                access = keys.authenticate(connection, secret, NOW, "sign_in")
                keys.consume(connection, access, NOW)
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1


def test_sessions_and_tokens_are_not_listed_among_the_keys(engine: Engine, project: Project) -> None:
    before = made(engine, project, a_secret(), name="listed")
    made(engine, project, a_secret(), kind="session")
    with tenant(engine, project.id) as connection:
        listed = keys.list_keys(connection)
    assert listed[0].id == before and listed[0].name == "listed"
    assert len(listed) == 4


def test_a_name_with_nul_is_refused_in_words(engine: Engine, project: Project) -> None:
    with pytest.raises(BadInput, match="NUL"):
        made(engine, project, a_secret(), name="a\0b")


def test_the_door_remembers_for_a_second_and_no_longer(engine: Engine, project: Project) -> None:
    now = [NOW]
    door = Door(engine, lambda: now[0])
    secret = a_secret()
    number = made(engine, project, secret)
    assert door.recall(secret) is None
    assert door.open(secret).key_id == number
    assert door.recall(secret) == door.open(secret)
    with tenant(engine, project.id) as connection:
        keys.revoke(connection, project.id, number, "ann")
    now[0] += timedelta(seconds=1)
    assert door.recall(secret) is None
    with pytest.raises(Unauthenticated, match="revoked"):
        door.open(secret)


def test_the_door_notes_when_a_key_was_last_used(engine: Engine, project: Project) -> None:
    secret = a_secret()
    number = made(engine, project, secret)
    Door(engine, lambda: NOW).open(secret)
    with tenant(engine, project.id) as connection:
        used = {key.id: key.last_used_at for key in keys.list_keys(connection)}
    assert used.pop(number) == NOW
    assert set(used.values()) == {None}


def test_a_project_is_made_once(owner: Engine) -> None:
    with transaction(owner) as connection:
        first = keys.create_project(connection, f"made-{NOW.timestamp()}")
        assert keys.create_project(connection, f"made-{NOW.timestamp()}") == first
        with pytest.raises(BadInput):
            keys.create_project(connection, "  ")
