"""Cookies that scripts cannot read: the session, the visit before it, and what is shown once."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from core.access import SESSION_LENGTH, Access
from core.errors import Unauthenticated
from core.store.door import Door
from web.form import FORM_MAX, Form, check_form, read_form, sign, token_of

Cookie = Literal["session", "visit", "shown"]
_SHOWN_FOR_S = 120
_VISIT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who reads a page, as its head and its forms need it."""

    name: str
    project: str
    role: str
    account_id: int | None
    administers: bool
    form_token: str


def cookie_name(secure: bool, cookie: Cookie = "session") -> str:
    """How a cookie is called. Where pages come over https its prefix keeps other hosts of the domain from
    setting it."""
    return f"{'__Host-' if secure else ''}tripoint_{cookie}"


def set_cookie(
    response: Response, secure: bool, cookie: Cookie, value: str, max_age: int | None = None
) -> None:
    """Give the browser a cookie, with every flag that keeps it to itself."""
    age = max_age if max_age is not None else int(SESSION_LENGTH.total_seconds())
    response.set_cookie(
        cookie_name(secure, cookie),
        value,
        max_age=age,
        httponly=True,
        samesite="lax",
        secure=secure,
        path="/",
    )


def drop_cookie(response: Response, secure: bool, cookie: Cookie) -> None:
    """Take a cookie from the browser."""
    response.delete_cookie(
        cookie_name(secure, cookie), httponly=True, samesite="lax", secure=secure, path="/"
    )


def secret_of(request: Request, secure: bool) -> str | None:
    """The session that the browser presents."""
    return request.cookies.get(cookie_name(secure))


def reader(door: Door, request: Request, secure: bool) -> Access:
    """Who reads this page; `Unauthenticated` says why nobody is signed in."""
    secret = secret_of(request, secure)
    if not secret:
        raise Unauthenticated("You are not signed in.")
    try:
        access = door.open(secret, "session")
    except Unauthenticated:
        raise Unauthenticated("Your session has ended.") from None
    if not access.may_read():
        raise Unauthenticated("This session cannot read pages.")
    request.state.visitor = Visitor(
        access.who,
        access.project,
        access.role,
        access.account_id,
        access.may_administer(),
        token_of(secret),
    )
    return access


def visitor(request: Request) -> Visitor | None:
    """Who was found to read this page; None where nobody was asked for."""
    found: Visitor | None = getattr(request.state, "visitor", None)
    return found


def visitor_if_any(door: Door, request: Request, secure: bool) -> Visitor | None:
    """Who reads a page that is open to everybody."""
    try:
        reader(door, request, secure)
    except Unauthenticated:
        return None
    return visitor(request)


async def posted(request: Request, secure: bool, most: int = FORM_MAX) -> Form:
    """The form that a signed-in reader sent, checked to be of his session."""
    form = await read_form(request, most)
    check_form(request, form, secret_of(request, secure))
    return form


def visit_of(request: Request, secure: bool) -> str:
    """The visit of a browser that is not signed in yet, to which the forms it is shown belong."""
    return request.cookies.get(cookie_name(secure, "visit")) or os.urandom(32).hex()


def keep_visit(response: Response, secure: bool, visit: str) -> None:
    """Let the browser keep its visit."""
    set_cookie(response, secure, "visit", visit, _VISIT_S)


def go_and_show(to: str, request: Request, secure: bool, **shown: Any) -> Response:
    """On to another page of ours, which shows this once: a form's answer can be loaded again, and a key that was
    made cannot. It waits in a cookie of the browser, for two minutes at most."""
    response = RedirectResponse(to, 303)
    text = base64.urlsafe_b64encode(json.dumps(shown).encode()).decode()
    secret = secret_of(request, secure) or ""
    set_cookie(response, secure, "shown", f"{text}.{sign(secret, text)}", _SHOWN_FOR_S)
    return response


def shown_once(request: Request, secure: bool) -> dict[str, Any] | None:
    """What another page left to be shown; the answer then has to drop the cookie `shown`."""
    text, _, signature = request.cookies.get(cookie_name(secure, "shown"), "").partition(".")
    secret = secret_of(request, secure)
    if not text or not secret or not hmac.compare_digest(sign(secret, text).encode(), signature.encode()):
        return None
    try:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        return None
    return found
