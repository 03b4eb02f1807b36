"""Passwords: which are allowed, and how they are kept."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.account import fold
from core.errors import BadInput

LENGTH_MIN = 12
_BYTES_MAX = 1000
# argon2id; about an eighth of a second and 32 MiB for each, so whoever verifies bounds how many at once.
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
SALT_BYTES = 16


def check_password(password: str, name: str) -> None:
    """`BadInput` with the reason where this password is not allowed for this account."""
    if len(password) < LENGTH_MIN:
        raise BadInput(
            f"The password has {len(password)} characters and needs {LENGTH_MIN} or more."
            " Several words in a row will do."
        )
    if len(_bytes(password)) > _BYTES_MAX:
        raise BadInput(f"The password is longer than {_BYTES_MAX} bytes.")
    if fold(password.strip()) == fold(name):
        raise BadInput("The password cannot be the name itself.")


def hash_password(password: str, salt: bytes) -> str:
    """The password as it is kept: argon2id over `SALT_BYTES` random bytes."""
    return _HASHER.hash(_bytes(password), salt=salt)


def verify(hashed: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed. Without a hash it is not, which takes as long to say."""
    given = _bytes(password)
    if len(given) > _BYTES_MAX:
        given = b""  # such a one was never set
    try:
        return _HASHER.verify(hashed or _dummy(), given) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hashed: str) -> bool:
    """Whether a hash was made with less effort than is asked for today."""
    return _HASHER.check_needs_rehash(hashed)


@cache
def _dummy() -> str:
    """Nobody's hash, for as much work as anybody's."""
    return _HASHER.hash(b"nobody's password", salt=bytes(SALT_BYTES))


def _bytes(password: str) -> bytes:
    # However a keyboard composes an accent, the password is the same.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
