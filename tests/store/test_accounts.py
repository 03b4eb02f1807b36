"""Accounts: who signs in, what ends a session, who may do what to whom, and what the log says of it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from core.access import SESSION_IDLE, SESSION_LENGTH, Role, new_key
from core.account import Account, check_name, fold, wait_after, wait_words
from core.errors import BadInput, Forbidden, NotFound, TooManyAttempts, Unauthenticated
from core.password import check_password, hash_password, is_outdated, verify
from core.store import accounts, attempts, audit, sessions, sign_in
from core.store.door import Door
from core.store.session import tenant, transaction
from tests.conftest import Project

NOW = datetime.now(UTC)
SALT = bytes(16)
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD, SALT)


def a_name() -> str:
    return f"ann-{uuid4().hex[:12]}@example.com"


def an_address() -> str:
    return f"test-{uuid4().hex}"


def member(engine: Engine, project: Project, role: Role = "read", name: str = "") -> Account:
    """A member with a password of his own."""
    with tenant(engine, project.id) as connection:
        made = accounts.invite(connection, project.id, name or a_name(), role, "test", NOW)
        accounts.set_password(connection, made, HASH, made.name, NOW)
    return made


def joined(engine: Engine, project: Project, name: str, role: Role = "read") -> None:
    with tenant(engine, project.id) as connection:
        accounts.join(connection, project.id, accounts.existing(connection, name), role, "operator", NOW)


def a_session(engine: Engine, account: Account, now: datetime = NOW, project: int | None = None) -> str:
    secret = new_key("read", os.urandom(32))
    sign_in.enter_project(engine, account, secret, now, project)
    return secret


def log(engine: Engine, project: Project) -> list[tuple[str, str, str]]:
    with tenant(engine, project.id) as connection:
        return [(one.actor, one.action, one.target) for one in audit.entries(connection, limit=1000).items]


# names and passwords ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"), [("Ann@Example.com", "ann@example.COM"), ("STRASSE", "straße"), ("ﬁ", "FI")]
)
def test_names_that_differ_in_case_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "a\u202eb", "\ud800", "x" * 201])
def test_a_name_that_is_none_is_refused_in_words(name: str) -> None:
    with pytest.raises(BadInput, match="name"):
        check_name(name)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "has 5 characters and needs 12"),
        ("x" * 1001, "1000 bytes"),
        (" Ann@Example.com ", "the name itself"),
    ],
)
def test_a_password_that_is_refused_is_told_why(password: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_password(password, "ann@example.com")


def test_a_password_needs_length_and_nothing_else() -> None:
    check_password("aaaaaaaaaaaa", "ann")
    check_password("ж" * 500, "ann")


def test_a_password_is_kept_as_argon2id_and_opens_only_itself() -> None:
    assert HASH.startswith("$argon2id$") and PASSWORD not in HASH and not is_outdated(HASH)
    assert verify(HASH, PASSWORD)
    assert not verify(HASH, PASSWORD + " ") and not verify(HASH, "") and not verify(HASH, "x" * 100_000)
    assert not verify(None, PASSWORD) and not verify(None, "nobody's password")
    assert verify(hash_password("caf\u00e9 caf\u00e9 caf\u00e9", SALT), "cafe\u0301 cafe\u0301 cafe\u0301")


# signing in ------------------------------------------------------------------------------------------


def test_a_name_in_any_case_and_its_password_open_the_project(engine: Engine, project: Project) -> None:
    account = member(engine, project, "finance")
    tried = sign_in.attempt(engine, account.name.upper(), PASSWORD, an_address(), NOW, SALT)
    assert tried.right and tried.known == accounts.Account(account.id, account.name, False, True)
    access = Door(engine, lambda: NOW).open(a_session(engine, account), "session")
    assert (access.project_id, access.role, access.who, access.project) == (
        project.id,
        "finance",
        account.name,
        project.name,
    )
    assert log(engine, project)[0] == (account.name, "sign_in", account.name)


def test_unknown_wrong_disabled_and_without_password_are_all_refused(
    engine: Engine, project: Project
) -> None:
    disabled = member(engine, project)
    with tenant(engine, project.id) as connection:
        accounts.disable(connection, accounts.existing(connection, disabled.name), "test", NOW)
        bare = accounts.invite(connection, project.id, a_name(), "read", "test", NOW)
    right = member(engine, project)
    for name, password in (
        (a_name(), PASSWORD),
        ("a\0b", PASSWORD),
        (right.name, "wrong horse battery"),
        (disabled.name, PASSWORD),
        (bare.name, PASSWORD),
        (bare.name, "nobody's password"),
    ):
        assert not sign_in.attempt(engine, name, password, an_address(), NOW, SALT).right


def test_a_hash_of_less_effort_is_made_anew(engine: Engine, project: Project) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    account = member(engine, project)
    with tenant(engine, project.id) as connection:
        found = accounts.existing(connection, account.name)
        accounts.set_password(connection, found, weak, "test", NOW)
    assert sign_in.attempt(engine, account.name, PASSWORD, an_address(), NOW, SALT).right
    with transaction(engine) as connection:
        kept = accounts.hash_of(connection, accounts.existing(connection, account.name))
    assert kept and kept != weak and not is_outdated(kept) and verify(kept, PASSWORD)


def test_an_account_of_several_projects_goes_on_where_it_was(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    joined(engine, other_project, account.name, "admin")
    door = Door(engine, lambda: NOW)
    assert door.open(a_session(engine, account, project=other_project.id), "session").role == "admin"
    assert door.open(a_session(engine, account), "session").project_id == other_project.id
    with pytest.raises(Forbidden):
        a_session(engine, account, project=2**31 - 1)


# waits -----------------------------------------------------------------------------------------------


def test_waits_grow_and_end() -> None:
    waits = [round(wait_after(failures, 5).total_seconds()) for failures in range(1, 14)]
    assert waits == [0, 0, 0, 0, 15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert wait_words(1) == "1 second" and wait_words(91) == "2 minutes" and wait_words(900) == "15 minutes"


def test_five_wrong_passwords_make_the_account_wait_from_any_address(
    engine: Engine, project: Project
) -> None:
    account = member(engine, project)
    waits = [
        sign_in.attempt(engine, account.name, "wrong password", an_address(), NOW, SALT).wait
        for _ in range(5)
    ]
    assert waits == [timedelta(0)] * 4 + [timedelta(seconds=15)]
    with pytest.raises(TooManyAttempts, match="Wait 15 seconds") as caught:
        sign_in.attempt(engine, account.name.upper(), PASSWORD, an_address(), NOW, SALT)
    assert caught.value.retry_after_s == 15
    later = NOW + timedelta(seconds=15)
    assert sign_in.attempt(engine, account.name, PASSWORD, an_address(), later, SALT).right
    assert sign_in.attempt(
        engine, account.name, "wrong again and again", an_address(), later, SALT
    ).wait == timedelta(0)


def test_an_unknown_name_waits_as_a_known_one(engine: Engine) -> None:
    counted, now = attempts.buckets(a_name(), an_address()), NOW
    for _ in range(5):
        with transaction(engine) as connection:
            attempts.take(connection, counted, now)
    with pytest.raises(TooManyAttempts), transaction(engine) as connection:
        attempts.take(connection, counted, now)


@pytest.mark.parametrize(
    ("first", "then", "together"),
    [
        ("2001:db8:{0}:1::1", "2001:db8:{0}:1:ffff::2", True),
        ("2001:db8:{0}:1::1", "2001:db8:{0}:2::1", False),
        ("::ffff:10.1.2.{1}", "10.1.2.{1}", True),
    ],
)
def test_one_address_waits_whatever_names_it_tries(
    engine: Engine, first: str, then: str, together: bool
) -> None:
    unique = uuid4().hex[:4], uuid4().int % 250
    for _ in range(20):
        with transaction(engine) as connection:
            attempts.take(connection, attempts.buckets(a_name(), first.format(*unique)), NOW)
    with transaction(engine) as connection:
        counted = attempts.buckets(a_name(), then.format(*unique))
        if together:
            with pytest.raises(TooManyAttempts):
                attempts.take(connection, counted, NOW)
        else:
            assert attempts.take(connection, counted, NOW) == timedelta(0)


def test_many_attempts_at_one_moment_are_counted_one_by_one(engine: Engine) -> None:
    name, start = a_name(), threading.Barrier(12)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            with transaction(engine) as connection:
                attempts.take(connection, attempts.buckets(name, an_address()), NOW)
        except TooManyAttempts:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(attempt, range(12))) == 5


def test_of_attempts_at_one_moment_no_more_are_forgotten_than_are_too_many(engine: Engine) -> None:
    with transaction(engine) as connection:
        for _ in range(5):
            attempts.take(
                connection, attempts.buckets(a_name(), an_address()), NOW + timedelta(days=400), at_most=1000
            )
        attempts.take(
            connection, attempts.buckets(a_name(), an_address()), NOW + timedelta(days=400), at_most=7
        )
        assert connection.execute(text("SELECT count(*) FROM sign_in_attempt")).scalar_one() == 7
        connection.rollback()


def test_old_attempts_are_forgotten_and_the_oldest_of_too_many(engine: Engine) -> None:
    long_ago = NOW - timedelta(days=400)
    for at in range(30):
        with transaction(engine) as connection:
            counted = attempts.buckets(a_name(), an_address())
            attempts.take(connection, counted, long_ago + timedelta(seconds=at))
    with transaction(engine) as connection:
        attempts.take(connection, attempts.buckets(a_name(), an_address()), NOW, at_most=7)
        left = connection.execute(text("SELECT count(*), min(last_at) FROM sign_in_attempt")).one()
    assert left.count == 7 or left.min > long_ago + timedelta(days=1)
    assert left.count <= 8


def test_attempts_stand_under_hashes(owner: Engine, engine: Engine) -> None:
    name, address = a_name(), an_address()
    with transaction(engine) as connection:
        attempts.take(connection, attempts.buckets(name, address), NOW)
    with owner.connect() as connection:
        rows = "".join(connection.execute(text("SELECT a::text FROM sign_in_attempt a")).scalars())
    assert name not in rows and address not in rows


# what ends a session ---------------------------------------------------------------------------------


def opens(engine: Engine, secret: str, at: datetime = NOW) -> bool:
    try:
        Door(engine, lambda: at).open(secret, "session")
    except Unauthenticated:
        return False
    return True


def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_after_its_length(
    engine: Engine, project: Project
) -> None:
    secret = a_session(engine, member(engine, project))
    tick, at = timedelta(seconds=1), NOW
    assert not opens(engine, secret, NOW + SESSION_IDLE)
    while at + SESSION_IDLE - tick < NOW + SESSION_LENGTH:
        at += SESSION_IDLE - tick
        assert opens(engine, secret, at)
    assert not opens(engine, secret, NOW + SESSION_LENGTH)


def test_a_new_role_is_there_at_once(engine: Engine, project: Project) -> None:
    account = member(engine, project)
    secret = a_session(engine, account)
    with tenant(engine, project.id) as connection:
        accounts.set_role(connection, project.id, account.id, "admin", "boss")
    assert Door(engine, lambda: NOW).open(secret, "session").role == "admin"
    assert log(engine, project)[0] == ("boss", "membership.role", account.name)


def test_who_is_disabled_is_out_at_once_everywhere(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    joined(engine, other_project, account.name)
    secrets = [a_session(engine, account, project=one.id) for one in (project, other_project)]
    assert [opens(engine, secret) for secret in secrets] == [True, True]
    with transaction(engine) as connection:
        accounts.disable(connection, accounts.existing(connection, account.name), "operator", NOW)
    assert [opens(engine, secret) for secret in secrets] == [False, False]
    for one in (project, other_project):
        assert log(engine, one)[0] == ("operator", "account.disable", account.name)
    with transaction(engine) as connection:
        accounts.enable(connection, accounts.existing(connection, account.name), "operator")
    assert not opens(engine, secrets[0]) and opens(engine, a_session(engine, account))


def test_who_is_removed_is_out_at_once_and_of_that_project_only(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    joined(engine, other_project, account.name)
    here, there = (a_session(engine, account, project=one.id) for one in (project, other_project))
    with tenant(engine, project.id) as connection:
        accounts.remove(connection, project.id, account.id, "boss", NOW)
        assert accounts.people(connection, project.id) == []
    assert not opens(engine, here) and opens(engine, there)
    joined(engine, project, account.name)
    assert not opens(engine, here)


def test_a_new_password_ends_all_sessions_but_the_one_that_set_it(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    joined(engine, other_project, account.name)
    kept, ended, there = (
        a_session(engine, account, project=one.id) for one in (project, project, other_project)
    )
    number = Door(engine, lambda: NOW).open(kept, "session").key_id
    with transaction(engine) as connection:
        found = accounts.existing(connection, account.name)
        accounts.set_password(connection, found, HASH, account.name, NOW, keep=number)
    assert [opens(engine, one) for one in (kept, ended, there)] == [True, False, False]
    with transaction(engine) as connection:
        assert [one.id for one in sessions.own_sessions(connection, account.id, NOW)] == [number]


# who may do what to whom -----------------------------------------------------------------------------


def test_a_name_is_taken_once_whatever_its_case(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    for where, words in ((project, "a member of this project already"), (other_project, "is taken")):
        with tenant(engine, where.id) as connection, pytest.raises(BadInput, match=words):
            accounts.invite(connection, where.id, account.name.upper(), "read", "test", NOW)


def test_who_belongs_to_no_project_can_be_taken_up_and_has_no_password(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    with tenant(engine, project.id) as connection:
        accounts.remove(connection, project.id, account.id, "boss", NOW)
    with tenant(engine, other_project.id) as connection:
        again = accounts.invite(connection, other_project.id, account.name, "read", "other boss", NOW)
    assert again.id == account.id
    assert not sign_in.attempt(engine, account.name, PASSWORD, an_address(), NOW, SALT).right


def test_a_project_gives_no_password_to_who_belongs_to_another_too(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account, token = member(engine, project), new_key("read", os.urandom(32))
    with tenant(engine, project.id) as connection:
        person = accounts.member(connection, project.id, account.id)
        accounts.check_manages(connection, person)
        accounts.make_link(connection, project.id, account, token, "read", "boss", NOW)
    joined(engine, other_project, account.name)
    with tenant(engine, project.id) as connection, pytest.raises(Forbidden, match="another project"):
        accounts.check_manages(connection, person)
    with transaction(engine) as connection, pytest.raises(Unauthenticated):
        accounts.of_link(connection, token, NOW)


def test_a_password_that_another_project_gave_must_be_changed_before_joining(
    engine: Engine, project: Project, other_project: Project
) -> None:
    with tenant(engine, project.id) as connection:
        account = accounts.invite(connection, project.id, a_name(), "read", "boss", NOW)
        accounts.set_password(connection, account, HASH, "boss", NOW, given=True)
    with pytest.raises(BadInput, match="somebody gave"):
        joined(engine, other_project, account.name)
    with transaction(engine) as connection:
        found = accounts.existing(connection, account.name)
        accounts.set_password(connection, found, HASH, account.name, NOW)
    joined(engine, other_project, account.name)


def test_a_link_sets_a_password_once_within_three_days(engine: Engine, project: Project) -> None:
    account = member(engine, project)
    first, second = (new_key("read", os.urandom(32)) for _ in range(2))
    with tenant(engine, project.id) as connection:
        for token in (first, second):
            accounts.make_link(connection, project.id, account, token, "read", "boss", NOW)
    with transaction(engine) as connection:
        found, access = accounts.of_link(connection, first, NOW)
        assert (found.id, access.project_id) == (account.id, project.id)
        accounts.set_password(connection, found, HASH, found.name, NOW)
    for token in (first, second):
        with transaction(engine) as connection, pytest.raises(Unauthenticated, match="revoked"):
            accounts.of_link(connection, token, NOW)
    with tenant(engine, project.id) as connection:
        accounts.make_link(
            connection, project.id, account, late := new_key("read", os.urandom(32)), "read", "b", NOW
        )
    with transaction(engine) as connection, pytest.raises(Unauthenticated, match="expired"):
        accounts.of_link(connection, late, NOW + timedelta(days=3))
    assert not opens(engine, late)


def test_the_last_administrator_stays(engine: Engine, project: Project) -> None:
    boss = member(engine, project, "admin")
    with tenant(engine, project.id) as connection:
        for change in (
            lambda: accounts.remove(connection, project.id, boss.id, boss.name, NOW),
            lambda: accounts.set_role(connection, project.id, boss.id, "read", boss.name),
        ):
            with pytest.raises(BadInput, match="last administrator"):
                change()
    second = member(engine, project, "admin")
    with transaction(engine) as connection:
        accounts.disable(connection, accounts.existing(connection, second.name), "operator", NOW)
    with tenant(engine, project.id) as connection, pytest.raises(BadInput, match="last administrator"):
        accounts.remove(connection, project.id, boss.id, boss.name, NOW)
    member(engine, project, "admin")
    with tenant(engine, project.id) as connection:
        accounts.remove(connection, project.id, boss.id, boss.name, NOW)


def test_two_administrators_cannot_take_each_other_out_at_one_moment(
    engine: Engine, project: Project
) -> None:
    pair = [member(engine, project, "admin") for _ in range(2)]
    start = threading.Barrier(2)

    def demote(one: Account) -> bool:
        with tenant(engine, project.id) as connection:
            start.wait()
            try:
                accounts.set_role(connection, project.id, one.id, "read", "test")
            except BadInput:
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, pair)) == [False, True]


def test_a_member_of_another_project_is_not_found(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, other_project)
    with tenant(engine, project.id) as connection:
        for change in (
            lambda: accounts.remove(connection, project.id, account.id, "boss", NOW),
            lambda: accounts.set_role(connection, project.id, account.id, "admin", "boss"),
        ):
            with pytest.raises(NotFound):
                change()


# the log ---------------------------------------------------------------------------------------------


def test_the_log_is_paged_newest_first_and_knows_its_own_cursors(engine: Engine, project: Project) -> None:
    with tenant(engine, project.id) as connection:
        for at in range(7):
            audit.note(connection, project.id, "ann", "settle", f"{at}", round=at)
        found, cursor = [], None
        while True:
            page = audit.entries(connection, cursor, 3)
            found += page.items
            if (cursor := page.next) is None:
                break
        assert [one.target for one in found][:7] == ["6", "5", "4", "3", "2", "1", "0"]
        assert found[0].details == {"round": 6}
        for nonsense in ("x", "-1", "1; --", "9" * 30, "١"):
            with pytest.raises(Exception, match="cursor"):
                audit.entries(connection, nonsense)


def test_a_change_that_is_taken_back_leaves_no_note(engine: Engine, project: Project) -> None:
    before = log(engine, project)
    with pytest.raises(RuntimeError), tenant(engine, project.id) as connection:
        accounts.invite(connection, project.id, a_name(), "read", "boss", NOW)
        raise RuntimeError
    assert log(engine, project) == before


def test_a_wrong_password_is_noted_in_each_project_of_the_account(
    engine: Engine, project: Project, other_project: Project
) -> None:
    account = member(engine, project)
    joined(engine, other_project, account.name)
    with transaction(engine) as connection:
        accounts.note_failure(connection, account, "192.0.2.1")
    for one in (project, other_project):
        assert log(engine, one)[0] == (account.name, "sign_in.failed", account.name)
