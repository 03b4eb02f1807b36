"""People: accounts with a name, what they are in a project, and how long they wait after wrong passwords."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.access import ROLES, Role
from core.errors import BadInput, BadQuestion

PEOPLE_ROLES: tuple[Role, ...] = tuple(role for role in ROLES if role != "ingest")
"""What a person may be; `ingest` reads no page and is for keys."""

NAME_MAX = 200
# Failures that cost no wait. An address may be that of a whole office.
FREE_BY_ACCOUNT = 5
FREE_BY_ADDRESS = 20
_FIRST_WAIT = timedelta(seconds=15)
_LONGEST_WAIT = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in."""

    id: int
    name: str
    disabled: bool
    has_password: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """A project that an account belongs to."""

    project_id: int
    project: str
    role: Role


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a project as its administrators see him."""

    account_id: int
    name: str
    role: Role
    added_at: datetime
    disabled: bool
    has_password: bool
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which an account is signed in."""

    id: int
    project: str
    created_at: datetime
    last_used_at: datetime | None


def fold(name: str) -> str:
    """The name without regard to case, width and accents' spelling: two that fold alike are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_name(name: str) -> str:
    """The name without the spaces around it; `BadInput` where it is none."""
    name = name.strip()
    if not name or len(name) > NAME_MAX or len(fold(name)) > 4 * NAME_MAX:
        raise BadInput(f"A name has 1 to {NAME_MAX} characters.")
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name):
        raise BadInput("A name cannot hold invisible characters, such as line breaks.")
    return name


def check_people_role(name: str) -> Role:
    """The name where a person may have that role."""
    for role in PEOPLE_ROLES:
        if name == role:
            return role
    if name == "ingest":
        raise BadQuestion("The role ingest reads no page: it is for keys. Give a person one of the others.")
    raise BadQuestion(f"There is no role {name[:40]!r} for a person. Use one of {', '.join(PEOPLE_ROLES)}.")


def wait_after(failures: int, free: int) -> timedelta:
    """How long nobody may try after so many failures in a row: nothing at first, then twice as long each time."""
    if failures < free:
        return timedelta(0)
    doubled: int = 2 ** min(failures - free, 10)
    return min(_FIRST_WAIT * doubled, _LONGEST_WAIT)


def wait_words(seconds: int) -> str:
    """`15 seconds`, `4 minutes`: never less than what has to be waited."""
    if seconds <= 90:
        return f"{seconds} second" + ("" if seconds == 1 else "s")
    minutes = -(-seconds // 60)
    return f"{minutes} minutes"
