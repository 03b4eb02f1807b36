"""Signing in and out: a link that works once, a name with a password, and which project then."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine
from starlette.background import BackgroundTask

from core.access import Access, new_key
from core.account import Account, Membership, wait_words
from core.errors import BadInput, Forbidden, TooManyAttempts, TripointError, Unauthenticated
from core.password import LENGTH_MIN, SALT_BYTES, check_password, hash_password
from core.store import accounts, audit, keys, sessions, sign_in
from core.store.session import enter, transaction
from web import session
from web.form import Form, check_form, read_form, token_of
from web.pages import problem_page, render
from web.parts import Parts
from web.safety import protect

_HOME = "/overview"
# Our own pages, as an address that may be gone on to after signing in.
_PAGES = re.compile(
    r"/(?:overview|attribution|requests|traces/[^/?#]+|settings(?:/[a-z]+)?|api/docs)?(?:\?[^#]*)?"
)
_WRONG = "The name or the password is wrong."


def add_sign_in(routes: APIRouter, parts: Parts) -> None:
    """All that a reader needs before and after the pages."""
    _add_door(routes, parts)
    _add_set_password(routes, parts)
    _add_projects(routes, parts)


def next_page(wanted: str) -> str:
    """Where to go on: the address that was wanted where it is a page of ours, else the first page."""
    if len(wanted) <= 2000 and wanted.isprintable() and "\\" not in wanted and _PAGES.fullmatch(wanted):
        return wanted
    return _HOME


def error_page(request: Request, error: TripointError, status: int, secure: bool) -> Response:
    """An error as a page; whoever is not signed in finds the form to sign in on it."""
    if not isinstance(error, Unauthenticated):
        response: Response = problem_page(error, status)
    else:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = wanted if request.method == "GET" else ""
        response = _form_page(request, secure, wanted, message=str(error), status=status)
        protect(response.headers)
    if error.retryable:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _form_page(
    request: Request,
    secure: bool,
    wanted: str,
    *,
    message: str = "",
    status: int = 200,
    name: str = "",
    heading: str = "",
) -> HTMLResponse:
    visit = session.visit_of(request, secure)
    page = render(
        "sign_in.html",
        path="/sign-in",
        signed_in=False,
        heading=heading or ("Please sign in" if message else "Sign in"),
        message=message,
        name=name,
        next=next_page(wanted),
        form_token=token_of(visit),
    )
    response = HTMLResponse(page, status)
    session.keep_visit(response, secure, visit)
    return response


def _signed_in(parts: Parts, secret: str, to: str) -> Response:
    response = RedirectResponse(to, 303)
    session.set_cookie(response, parts.secure, "session", secret)
    session.drop_cookie(response, parts.secure, "visit")
    return response


def _new_session() -> str:
    return new_key("read", os.urandom(32))


def _add_door(routes: APIRouter, parts: Parts) -> None:
    reader, posted = parts.reader(), parts.posted()

    @routes.get("/sign-in")
    def show_form(request: Request, token: str = "") -> Response:
        if token:
            return _signed_in(parts, _trade(parts.engine, token, parts.clock()), "/overview")
        return _form_page(request, parts.secure, request.query_params.get("next", ""))

    @routes.post("/sign-in")
    async def sign_in_with_password(request: Request) -> Response:
        form = await read_form(request)
        check_form(request, form, request.cookies.get(session.cookie_name(parts.secure, "visit")))
        return await _with_password(request, parts, form)

    @routes.post("/sign-out")
    def sign_out(access: Access = reader, form: Form = posted) -> Response:
        with transaction(parts.engine) as connection:
            enter(connection, access.project_id)
            sessions.end_session(connection, access.key_id, parts.clock())
            audit.note(connection, access.project_id, access.who, "sign_out", access.who)
        parts.door.forget(access.key_id)
        response = RedirectResponse("/sign-in", 303)
        session.drop_cookie(response, parts.secure, "session")
        return response


async def _with_password(request: Request, parts: Parts, form: Form) -> Response:
    name, password = form.get("name", ""), form.get("password", "")
    address = request.client.host if request.client else ""
    again: dict[str, Any] = {"wanted": form.get("next", ""), "name": name[:200], "heading": "Sign in"}
    try:
        tried = await parts.vault.run(
            sign_in.attempt, parts.engine, name, password, address, parts.clock(), os.urandom(SALT_BYTES)
        )
    except TooManyAttempts as error:
        response = _form_page(request, parts.secure, message=str(error), status=429, **again)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    if tried.known is None or not tried.right:
        seconds = round(tried.wait.total_seconds())
        words = _WRONG + (f" Wait {wait_words(seconds)} before the next attempt." if seconds else "")
        response = _form_page(request, parts.secure, message=words, status=401, **again)
        if tried.known is not None:
            # After the answer, which thus takes as long as for a name that nobody has.
            response.background = BackgroundTask(_note_failure, parts.engine, tried.known, address)
        return response
    secret = _new_session()
    try:
        found = await run_in_threadpool(
            sign_in.enter_project, parts.engine, tried.known, secret, parts.clock()
        )
    except Forbidden as error:
        return _form_page(request, parts.secure, message=str(error), status=403, **again)
    wanted = next_page(form.get("next", ""))
    return _signed_in(parts, secret, f"/projects?next={quote(wanted)}" if len(found) > 1 else wanted)


def _note_failure(engine: Engine, known: Account, address: str) -> None:
    with transaction(engine) as connection:
        accounts.note_failure(connection, known, address)


def _trade(engine: Engine, token: str, now: datetime) -> str:
    """A session's secret for a sign-in token, which ends with this."""
    with transaction(engine) as connection:
        try:
            access = keys.authenticate(connection, token, now, "sign_in")
            keys.consume(connection, access, now)
        except Unauthenticated:
            raise Unauthenticated(
                "This link was used before, or is more than an hour old: it works once."
            ) from None
        secret = new_key(access.role, os.urandom(32))
        sessions.open_session(connection, access.project_id, secret, access.role, now)
        audit.note(connection, access.project_id, sessions.LINK, "sign_in", sessions.LINK, how="link")
    return secret


def _add_set_password(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/set-password")
    def show_set_password(request: Request, token: str = "") -> Response:
        with transaction(parts.engine) as connection:
            account, _ = _of_link(connection, token, parts.clock())
        return _set_password_page(request, parts, account, token)

    @routes.post("/set-password")
    async def set_password(request: Request) -> Response:
        form = await read_form(request)
        check_form(request, form, request.cookies.get(session.cookie_name(parts.secure, "visit")))
        token = form.get("token", "")
        account = await run_in_threadpool(_whose, parts, token)
        try:
            password = new_password(form, account.name)
        except BadInput as error:
            return _set_password_page(request, parts, account, token, str(error))
        hashed = await parts.vault.run(hash_password, password, os.urandom(SALT_BYTES))
        secret = _new_session()
        await run_in_threadpool(_use_link, parts, token, hashed, secret)
        return _signed_in(parts, secret, _HOME)


def new_password(form: Form, name: str) -> str:
    """The password that was typed twice, where it is allowed for this account."""
    password = form.get("new_password", "")
    check_password(password, name)
    if password != form.get("again", ""):
        raise BadInput("The two passwords are not the same. Type the new one twice.")
    return password


def _set_password_page(
    request: Request, parts: Parts, account: Account, token: str, message: str = ""
) -> Response:
    visit = session.visit_of(request, parts.secure)
    page = render(
        "set_password.html",
        path="/set-password",
        signed_in=False,
        message=message,
        name=account.name,
        token=token,
        least=LENGTH_MIN,
        form_token=token_of(visit),
    )
    response = HTMLResponse(page, 400 if message else 200)
    session.keep_visit(response, parts.secure, visit)
    return response


def _whose(parts: Parts, token: str) -> Account:
    with transaction(parts.engine) as connection:
        return _of_link(connection, token, parts.clock())[0]


def _of_link(connection: Any, token: str, now: datetime) -> tuple[Account, Access]:
    try:
        return accounts.of_link(connection, token, now)
    except TripointError:
        raise Unauthenticated(
            "This link was used before, was replaced, or is more than three days old. Ask whoever sent it for"
            " another."
        ) from None


def _use_link(parts: Parts, token: str, hashed: str, secret: str) -> None:
    now = parts.clock()
    with transaction(parts.engine) as connection:
        account, access = _of_link(connection, token, now)
        keys.consume(connection, access, now)
        accounts.set_password(connection, account, hashed, account.name, now)
    sign_in.enter_project(parts.engine, account, secret, now, access.project_id)


def _add_projects(routes: APIRouter, parts: Parts) -> None:
    reader, posted = parts.reader(), parts.posted()

    @routes.get("/projects")
    def show_projects(request: Request, access: Access = reader) -> str:
        return render(
            "projects.html",
            path="/projects",
            visitor=session.visitor(request),
            memberships=_projects(parts.engine, access),
            current=access.project_id,
            next=next_page(request.query_params.get("next", "")),
        )

    @routes.post("/projects")
    def switch(access: Access = reader, form: Form = posted) -> Response:
        wanted = form.get("project", "")
        ours = {str(one.project_id): one for one in _projects(parts.engine, access)}
        if wanted not in ours or access.account_id is None:
            raise Forbidden("You do not belong to that project.")
        to = next_page(form.get("next", ""))
        if ours[wanted].project_id == access.project_id:
            return RedirectResponse(to, 303)
        secret, now = _new_session(), parts.clock()
        account = Account(access.account_id, access.who, disabled=False, has_password=True)
        sign_in.enter_project(parts.engine, account, secret, now, ours[wanted].project_id)
        with transaction(parts.engine) as connection:
            enter(connection, access.project_id)
            sessions.end_session(connection, access.key_id, now)
        parts.door.forget(access.key_id)
        return _signed_in(parts, secret, to)


def _projects(engine: Engine, access: Access) -> list[Membership]:
    if access.account_id is None:
        return [Membership(access.project_id, access.project, access.role)]
    with transaction(engine) as connection:
        return accounts.memberships(connection, access.account_id)
