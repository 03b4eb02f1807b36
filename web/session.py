"""Signing in: a link that works once, then a cookie that scripts cannot read."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine

from core.access import Access, new_key
from core.errors import Unauthenticated
from core.store import keys
from core.store.door import Door
from core.store.session import transaction
from web.pages import render

COOKIE = "tripoint_session"
_LENGTH = timedelta(days=30)
_HOW = "`tripoint link` prints a new address to sign in with."


def add_sign_in(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], secure_cookies: bool
) -> None:
    """The door: `/sign-in?token=…` trades the token for a session."""

    @routes.get("/sign-in")
    def sign_in(token: str = "") -> Response:
        if not token:
            return HTMLResponse(render("sign_in.html", path="/sign-in", signed_in=False), 401)
        secret = _trade(engine, token, clock())
        response = RedirectResponse("/attribution", 303)
        response.set_cookie(
            COOKIE, secret, max_age=int(_LENGTH.total_seconds()), httponly=True, samesite="lax",
            secure=secure_cookies, path="/",
        )  # fmt: skip
        return response


def _trade(engine: Engine, token: str, now: datetime) -> str:
    """A session's secret for a sign-in token, which ends with this."""
    with transaction(engine) as connection:
        try:
            access = keys.authenticate(connection, token, now, "sign_in")
            keys.consume(connection, access, now)
        except Unauthenticated:
            raise Unauthenticated(
                f"This link was used before, or is more than an hour old: it works once. {_HOW}"
            ) from None
        secret = new_key(access.role, os.urandom(32))
        keys.add_key(
            connection, access.project_id, secret, access.role, kind="session", expires_at=now + _LENGTH
        )
    return secret


def reader(door: Door, request: Request) -> Access:
    """Who reads this page; `Unauthenticated` says how to sign in."""
    secret = request.cookies.get(COOKIE)
    if not secret:
        raise Unauthenticated(f"You are not signed in. Open the address that `tripoint up` printed; {_HOW}")
    try:
        access = door.open(secret, "session")
    except Unauthenticated:
        raise Unauthenticated(f"Your session has ended. {_HOW}") from None
    if not access.may_read():
        raise Unauthenticated("This session cannot read pages.")
    return access
