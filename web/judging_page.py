"""What the pages of judging share: their frame, what was done or was wrong, and what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from core.errors import BadInput, NotFound
from web import session
from web.pages import render
from web.parts import Parts
from web.zone import zone_of

Again = Callable[[Mapping[str, str], str], Response]
"""Shows a form's page once more: what was typed, and what was wrong with it."""


def show(
    request: Request,
    parts: Parts,
    template: str,
    tab: str,
    *,
    typed: Mapping[str, str] | None = None,
    wrong: str = "",
    **known: Any,
) -> Response:
    """A page under one of the tabs; with `wrong` it is the answer to a form that was refused, whose fields it keeps."""
    shown = session.shown_once(request, parts.secure) or {}
    page = render(
        template,
        path="/judging",
        tab=tab,
        zone=zone_of(request),
        visitor=session.visitor(request),
        shown=shown | ({"wrong": wrong} if wrong else {}),
        typed=typed or {},
        **known,
    )
    response = HTMLResponse(page, 400 if wrong else 200)
    if shown:
        session.drop_cookie(response, parts.secure, "shown")
    return response


def done(
    request: Request,
    parts: Parts,
    change: Callable[[], tuple[str, str]],
    form: Mapping[str, str],
    again: Again,
) -> Response:
    """Make a change and go on to the page that it names, which says what was done; or show the form again."""
    try:
        to, words = change()
    except (BadInput, NotFound) as error:
        return again(form, str(error))
    return session.go_and_show(to, request, parts.secure, done=words)
