"""Settings: keys, people, the reader's own account, and the log of what was changed by whom."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from core.access import ROLES, Access, check_role, new_key
from core.account import NAME_MAX, PEOPLE_ROLES, Account, check_people_role
from core.channel import SECRET_PREFIX, check_channel
from core.errors import BadInput, Forbidden, NotFound, TripointError
from core.password import LENGTH_MIN, SALT_BYTES, check_password, hash_password
from core.store import accounts, audit, deliveries, keys, sessions, sign_in
from core.store.session import tenant, transaction
from web import session
from web.audit import said
from web.form import Form
from web.pages import render
from web.parts import Parts
from web.sign_in import new_password
from web.zone import zone_of

_DAYS_MAX = 3650
_ENTRIES = 50
_ROLE_WORDS = {
    "ingest": "sends spans, reads nothing",
    "read": "reads all pages and the API",
    "finance": "reads; today the same as read",
    "review": "reads, labels answers and fills the review queue",
    "admin": "everything, keys and people included",
}
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


def add_settings(routes: APIRouter, parts: Parts) -> None:
    """The pages under `/settings`. Their forms are answered with the way to a page, which says what was done."""

    reader = parts.reader()

    @routes.get("/settings")
    def settings(access: Access = reader) -> Response:
        return RedirectResponse("/settings/keys" if access.may_administer() else "/settings/account", 303)

    _add_keys(routes, parts)
    _add_people(routes, parts)
    _add_members(routes, parts)
    _add_account(routes, parts)
    _add_channels(routes, parts)
    _add_log(routes, parts)


def _add_keys(routes: APIRouter, parts: Parts) -> None:
    admin, posted = parts.administrator(), parts.posted()

    @routes.get("/settings/keys")
    def show_keys(request: Request, access: Access = admin) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            found = keys.list_keys(connection)
        return _page(request, parts, "keys", keys=found, now=parts.clock(), roles=ROLES, days_max=_DAYS_MAX)

    @routes.post("/settings/keys")
    def make_key(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def make() -> dict[str, Any]:
            role = check_role(form.get("role", ""))
            name = _short(form.get("name", ""))
            days = _days(form.get("days", ""))
            secret = new_key(role, os.urandom(32))
            expires = parts.clock() + timedelta(days=days) if days else None
            with tenant(parts.engine, access.project_id) as connection:
                keys.make_key(
                    connection, access.project_id, secret, role, access.who, name=name, expires_at=expires
                )
            return {"key": secret, "role": role, "name": name}

        return _then(request, parts, "/settings/keys", make)

    @routes.post("/settings/keys/{key_id}/revoke")
    def revoke_key(request: Request, key_id: Number, access: Access = admin, form: Form = posted) -> Response:
        def revoke() -> dict[str, Any]:
            with tenant(parts.engine, access.project_id) as connection:
                keys.revoke(connection, access.project_id, key_id, access.who)
            parts.door.forget(key_id)
            return {"done": "The key is revoked. Who uses it is answered 401 from now on."}

        return _then(request, parts, "/settings/keys", revoke)


def _add_people(routes: APIRouter, parts: Parts) -> None:
    admin, posted = parts.administrator(), parts.posted()

    @routes.get("/settings/people")
    def show_people(request: Request, access: Access = admin) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            found = accounts.people(connection, access.project_id)
        return _page(request, parts, "people", people=found, roles=PEOPLE_ROLES, least=LENGTH_MIN)

    @routes.post("/settings/people")
    async def add_person(request: Request, access: Access = admin, form: Form = posted) -> Response:
        name, password = form.get("name", ""), form.get("password", "")
        try:
            role = check_people_role(form.get("role", ""))
            if password:
                check_password(password, name)
        except TripointError as error:
            return _back(request, parts, "/settings/people", wrong=str(error))
        hashed = await parts.vault.run(hash_password, password, os.urandom(SALT_BYTES)) if password else None

        def add() -> dict[str, Any]:
            now = parts.clock()
            with tenant(parts.engine, access.project_id) as connection:
                made = accounts.invite(connection, access.project_id, name, role, access.who, now)
                if hashed is None:
                    return _link(request, connection, access, made, role, now)
                accounts.set_password(connection, made, hashed, access.who, now, given=True)
            return {
                "done": f"{made.name} is added. Hand over the first password, to be changed under My account."
            }

        return await run_in_threadpool(_then, request, parts, "/settings/people", add)


def _add_members(routes: APIRouter, parts: Parts) -> None:
    admin, posted = parts.administrator(), parts.posted()

    @routes.post("/settings/people/{account_id}/role")
    def change_role(
        request: Request, account_id: Number, access: Access = admin, form: Form = posted
    ) -> Response:
        def change() -> dict[str, Any]:
            role = check_people_role(form.get("role", ""))
            with tenant(parts.engine, access.project_id) as connection:
                accounts.set_role(connection, access.project_id, account_id, role, access.who)
                person = accounts.member(connection, access.project_id, account_id)
            return {"done": f"{person.name} has the role {role}, from the next page on."}

        return _then(request, parts, "/settings/people", change)

    @routes.post("/settings/people/{account_id}/remove")
    def remove_person(
        request: Request, account_id: Number, access: Access = admin, form: Form = posted
    ) -> Response:
        def remove() -> dict[str, Any]:
            with tenant(parts.engine, access.project_id) as connection:
                person = accounts.member(connection, access.project_id, account_id)
                accounts.remove(connection, access.project_id, account_id, access.who, parts.clock())
            return {"done": f"{person.name} is removed from this project and signed out of it."}

        return _then(request, parts, "/settings/people", remove)

    @routes.post("/settings/people/{account_id}/reset")
    def reset_password(
        request: Request, account_id: Number, access: Access = admin, form: Form = posted
    ) -> Response:
        def reset() -> dict[str, Any]:
            with tenant(parts.engine, access.project_id) as connection:
                person = accounts.member(connection, access.project_id, account_id)
                accounts.check_manages(connection, person)
                account = accounts.existing(connection, person.name)
                return _link(request, connection, access, account, person.role, parts.clock())

        return _then(request, parts, "/settings/people", reset)


def _link(
    request: Request, connection: Any, access: Access, account: Account, role: Any, now: datetime
) -> dict[str, Any]:
    """A new link with which the account's owner sets a password, to be shown once."""
    token = new_key(role, os.urandom(32))
    accounts.make_link(connection, access.project_id, account, token, role, access.who, now)
    base = str(request.base_url).rstrip("/")
    return {"link": f"{base}/set-password?token={token}", "name": account.name}


def _add_account(routes: APIRouter, parts: Parts) -> None:
    reader, posted = parts.reader(), parts.posted()

    @routes.get("/settings/account")
    def show_account(request: Request, access: Access = reader) -> Response:
        mine: list[Any] = []
        given = False
        if access.account_id is not None:
            with transaction(parts.engine) as connection:
                mine = sessions.own_sessions(connection, access.account_id, parts.clock())
                account = accounts.find(connection, access.who)
                given = account is not None and accounts.has_given_password(connection, account)
        return _page(
            request, parts, "account", access=access, sessions=mine, given=given, least=LENGTH_MIN,
            role_words=_ROLE_WORDS[access.role],
        )  # fmt: skip

    @routes.post("/settings/account/password")
    async def change_password(request: Request, access: Access = reader, form: Form = posted) -> Response:
        _has_account(access)
        address = request.client.host if request.client else ""
        now = parts.clock()
        try:
            password = new_password(form, access.who)
            tried = await parts.vault.run(
                sign_in.attempt,
                parts.engine, access.who, form.get("password", ""), address, now, os.urandom(SALT_BYTES),
            )  # fmt: skip
            if not tried.right or tried.known is None:
                raise BadInput("The password that you have now is another one. Nothing was changed.")
        except TripointError as error:
            return _back(request, parts, "/settings/account", wrong=str(error))
        hashed = await parts.vault.run(hash_password, password, os.urandom(SALT_BYTES))

        def change() -> dict[str, Any]:
            with transaction(parts.engine) as connection:
                account = accounts.existing(connection, access.who)
                accounts.set_password(connection, account, hashed, access.who, now, keep=access.key_id)
            return {"done": "Your password is changed. You are signed out everywhere else."}

        return await run_in_threadpool(_then, request, parts, "/settings/account", change)

    @routes.post("/settings/account/sign-out-everywhere")
    def sign_out_everywhere(access: Access = reader, form: Form = posted) -> Response:
        number = _has_account(access)
        with tenant(parts.engine, access.project_id) as connection:
            sessions.end_sessions(connection, number, parts.clock())
            audit.note(connection, access.project_id, access.who, "sign_out.everywhere", access.who)
        parts.door.forget(access.key_id)
        response = RedirectResponse("/sign-in", 303)
        session.drop_cookie(response, parts.secure, "session")
        return response


def _has_account(access: Access) -> int:
    if access.account_id is None:
        raise Forbidden("You came with a sign-in link, which has no password and no other sessions.")
    return access.account_id


def _add_channels(routes: APIRouter, parts: Parts) -> None:
    admin, posted = parts.administrator(), parts.posted()

    @routes.get("/settings/channels")
    def show_channels(request: Request, access: Access = admin) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            found = deliveries.channels(connection)
            last = deliveries.last_of_channels(connection)
        return _page(request, parts, "channels", channels=found, last=last, prefix=SECRET_PREFIX)

    @routes.post("/settings/channels")
    def add_channel(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def add() -> dict[str, Any]:
            kind, given = form.get("kind", ""), {name: form.get(name, "") for name in ("url", "secret")}
            to = re.split(r"[\s,;]+", form.get("to", "").strip()) if kind == "email" else []
            url, secret = (given["url"], given["secret"]) if kind == "webhook" else ("", "")
            wanted = check_channel(form.get("name", ""), kind, url, secret, to)
            with tenant(parts.engine, access.project_id) as connection:
                deliveries.add_channel(
                    connection, access.project_id, wanted.name, wanted.kind, wanted.body, access.who
                )
            return {"done": f"Alerts that open from now on are sent to {wanted.name} too."}

        return _then(request, parts, "/settings/channels", add)

    @routes.post("/settings/channels/{channel_id}/remove")
    def remove_channel(
        request: Request, channel_id: Number, access: Access = admin, form: Form = posted
    ) -> Response:
        def remove() -> dict[str, Any]:
            with tenant(parts.engine, access.project_id) as connection:
                deliveries.remove_channel(
                    connection, access.project_id, channel_id, access.who, parts.clock()
                )
            return {"done": "The channel is removed. Nothing more is sent to it."}

        return _then(request, parts, "/settings/channels", remove)


def _add_log(routes: APIRouter, parts: Parts) -> None:
    admin = parts.administrator()

    @routes.get("/settings/audit")
    def show_log(request: Request, cursor: str = "", access: Access = admin) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            page = audit.entries(connection, cursor or None, _ENTRIES)
        return _page(
            request, parts, "audit", entries=[(one, said(one)) for one in page.items], older=page.next,
            cursor=cursor,
        )  # fmt: skip


def _page(request: Request, parts: Parts, tab: str, **known: Any) -> Response:
    shown = session.shown_once(request, parts.secure) or {}
    page = render(
        f"settings_{tab}.html",
        path="/settings",
        tab=tab,
        zone=zone_of(request),
        visitor=session.visitor(request),
        shown=shown,
        base_url=str(request.base_url).rstrip("/"),
        name_max=NAME_MAX,
        role_words_of=_ROLE_WORDS,
        **known,
    )
    response = HTMLResponse(page)
    if shown:
        session.drop_cookie(response, parts.secure, "shown")
    return response


def _then(request: Request, parts: Parts, to: str, change: Callable[[], dict[str, Any]]) -> Response:
    """Make the change and go on to the page that says what was done, or why it was not."""
    try:
        shown = change()
    except (BadInput, NotFound, Forbidden) as error:
        return _back(request, parts, to, wrong=str(error))
    return _back(request, parts, to, **shown)


def _back(request: Request, parts: Parts, to: str, **shown: Any) -> Response:
    return session.go_and_show(to, request, parts.secure, **shown)


def _short(name: str) -> str:
    if len(name) > NAME_MAX:
        raise BadInput(f"A name has {NAME_MAX} characters at the most.")
    return name.strip()


def _days(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= _DAYS_MAX:
        raise BadInput(f"A key is valid for 1 to {_DAYS_MAX} days, or for ever where nothing is said.")
    return int(text)
