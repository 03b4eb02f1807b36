"""What a page's form sends: bounded, and from our own pages only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from core.errors import BadInput, Forbidden, TooLarge

FIELD = "form_token"
"""The name of the hidden field that only a page of ours can fill."""
FORM_MAX = 16 * 1024
"""Bytes of a form, unless a page expects more."""

_MAX_FIELDS = 20

Form = Mapping[str, str]


async def read_form(request: Request, most: int = FORM_MAX) -> Form:
    """The fields of a form of at most `most` bytes, the last of each name."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadInput("Send the form as application/x-www-form-urlencoded.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLarge(f"The form is larger than {most} bytes.")
    try:
        return dict(
            parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        )
    except ValueError as error:
        raise BadInput("The form has too many fields.") from error


def token_of(secret: str) -> str:
    """The form token of a session or visit, by its cookie; who knows it cannot tell the cookie."""
    return sign(secret, "form")


def sign(secret: str, text: str) -> str:
    """What only the holder of `secret` can have written under `text`."""
    key = secret.encode("utf-8", "surrogatepass")
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def check_form(request: Request, form: Form, secret: str | None) -> None:
    """`Forbidden` unless one of our pages, shown to the holder of this cookie, sent the form."""
    if not _is_from_here(request):
        raise Forbidden("This form was sent from another site, so nothing was done. Use the pages here.")
    if not secret:
        raise Forbidden("Your browser keeps no cookies for this site. Allow them, then load the page again.")
    given = form.get(FIELD, "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(given, token_of(secret).encode()):
        raise Forbidden("This form belongs to a session that has ended. Load the page again, then send it.")


def _is_from_here(request: Request) -> bool:
    """What the browser says of where the form stood. Programs say nothing; the token still holds them."""
    if site := request.headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
