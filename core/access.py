"""Who may do what: roles, and keys that are stored only as hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

from core.errors import BadQuestion

Role = Literal["ingest", "read", "finance", "review", "admin"]
Kind = Literal["key", "sign_in", "session", "set_password"]

ROLES: tuple[Role, ...] = get_args(Role)
SESSION_LENGTH = timedelta(days=30)
SESSION_IDLE = timedelta(days=7)
"""A session ends this long after signing in, or after its last use, whichever comes first."""
_PREFIX = "tp"


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may reach: one project, in one role.

    `who` is how the audit log names the caller; `account_id` is set where that is a person with an account,
    `project` (its name) where it is a session.
    """

    project_id: int
    role: Role
    key_id: int
    account_id: int | None = None
    who: str = field(default="", compare=False)
    project: str = field(default="", compare=False)

    def may_ingest(self) -> bool:
        return self.role in ("ingest", "admin")

    def may_read(self) -> bool:
        return self.role in ("read", "finance", "review", "admin")

    def may_score(self) -> bool:
        return self.role in ("ingest", "review", "admin")

    def may_review(self) -> bool:
        return self.role in ("review", "admin")

    def may_administer(self) -> bool:
        return self.role == "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it may be shown after it was made: everything but the secret."""

    id: int
    kind: Kind
    role: Role
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def check_role(name: str) -> Role:
    """The name where it is a role."""
    for role in ROLES:
        if name == role:
            return role
    raise BadQuestion(f"There is no role {name[:40]!r}. Use one of {', '.join(ROLES)}.")


def new_key(role: Role, chance: bytes) -> str:
    """A key's text from 32 random bytes; the role in it is for the reader's eye and gives no right."""
    if len(chance) < 32:
        raise ValueError("a key needs 32 random bytes")
    return f"{_PREFIX}_{role}_{chance.hex()}"


def hash_key(key: str) -> bytes:
    """SHA-256, which is enough for 256 random bits: there is nothing to guess that salt or cost would slow."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def hint_of(key: str) -> str:
    """What a list shows, so that a person can tell keys apart: the role and the last four digits."""
    return f"{key.rsplit('_', 1)[0]}_…{key[-4:]}"


def key_in_header(authorization: str | None) -> str | None:
    """The key in an `Authorization` header: Bearer, or Basic with the key as password."""
    scheme, _, rest = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return pair.partition(":")[2] or None
    return None
