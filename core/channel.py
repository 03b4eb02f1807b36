"""Where alerts are sent, as a person writes it down."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from core.errors import BadQuestion

Kind = Literal["webhook", "email"]
SECRET_PREFIX = "TRIPOINT_WEBHOOK_SECRET_"  # noqa: S105  a name, no secret
"""A webhook's secret is a variable of the worker's environment that begins so: no other secret of it can be named, and
none is stored."""
TO_MAX = 20
NAME_MAX = 100
_URL_MAX = 1000
_VARIABLE = re.compile(SECRET_PREFIX + r"[A-Z0-9_]{1,60}")
_ADDRESS = re.compile(r"[^\s@,;<>\"()\[\]\\:]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A checked channel; `body` is what is stored of it."""

    name: str
    kind: Kind
    body: dict[str, Any]


def check_channel(name: str, kind: str, url: str, secret_variable: str, to: Sequence[str]) -> NewChannel:
    """A channel from what a person wrote, or a `BadQuestion` that says what to change."""
    name = name.strip()
    if not 0 < len(name) <= NAME_MAX or not name.isprintable():
        raise BadQuestion(f"name says who is reached, in up to {NAME_MAX} characters, such as on call.")
    if kind == "webhook":
        if to:
            raise BadQuestion("A webhook has a url and no to. For an e-mail choose kind email.")
        return NewChannel(name, "webhook", {"url": _url(url), "secret_variable": _variable(secret_variable)})
    if kind == "email":
        if url or secret_variable:
            raise BadQuestion("An e-mail has only to. For a url choose kind webhook.")
        return NewChannel(name, "email", {"to": _addresses(to)})
    raise BadQuestion(f"There is no kind {kind[:40]!r} of channel. Use webhook or email.")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        right = (
            parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
        )
    except ValueError:
        right = False
    if not right or len(text) > _URL_MAX or not text.strip().isascii() or not text.strip().isprintable():
        raise BadQuestion("url is such as https://hooks.example.com/tripoint, without a user name.")
    return text.strip()


def _variable(text: str) -> str | None:
    if not text:
        return None
    if not _VARIABLE.fullmatch(text):
        raise BadQuestion(
            f"secret_variable names a variable of the worker's environment that begins with {SECRET_PREFIX}, such as"
            f" {SECRET_PREFIX}ONCALL. The secret itself is never stored."
        )
    return text


def _addresses(given: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(one.strip() for one in given if one.strip()))
    if not 0 < len(found) <= TO_MAX:
        raise BadQuestion(f"to is a list of 1 to {TO_MAX} e-mail addresses.")
    for one in found:
        if not one.isascii() or not _ADDRESS.fullmatch(one):
            raise BadQuestion(f"{one[:100]!r} is not an e-mail address such as on-call@example.com.")
    return found
