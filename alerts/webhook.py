"""A signed POST to a webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from datetime import datetime

import httpx

from alerts.address import Lookup, look_up, target_of
from alerts.message import Message

_SAID_MAX = 200


class Undelivered(Exception):  # noqa: N818  named for what happened
    """The message did not arrive; `final` says that trying again cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of timestamp, a dot and the body: an old message cannot be passed off as new."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def post(
    url: str,
    message: Message,
    number: int,
    secret: str | None,
    now: datetime,
    *,
    private: bool,
    timeout_s: float,
    lookup: Lookup = look_up,
    context: ssl.SSLContext | None = None,
) -> None:
    """Send it, or raise: `BadInput` where the address is not allowed, `Undelivered` where it did not arrive.

    No redirect is followed, and no proxy of the environment used: either would lead past the check of the address."""
    target = target_of(url, private=private, lookup=lookup)
    body = json.dumps(message.json, ensure_ascii=False, separators=(",", ":")).encode()
    stamp = str(int(now.timestamp()))
    headers = {
        "Host": target.header,
        "Content-Type": "application/json",
        "User-Agent": "Tripoint",
        "Tripoint-Delivery": str(number),
        "Tripoint-Timestamp": stamp,
    }
    if secret:
        headers["Tripoint-Signature"] = signature(secret, stamp, body)
    try:
        with (
            httpx.Client(
                timeout=timeout_s, trust_env=False, follow_redirects=False, verify=context or True
            ) as client,
            client.stream(
                "POST", target.url, content=body, headers=headers, extensions={"sni_hostname": target.host}
            ) as answer,
        ):
            if answer.is_success:
                return
            said = _beginning(answer)
            raise Undelivered(
                f"HTTP {answer.status_code}{f': {said}' if said else ''}", final=_is_final(answer.status_code)
            )
    except httpx.HTTPError as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from error


def _is_final(status: int) -> bool:
    """A 4xx says that the message itself is refused, save for those that are about time."""
    return 300 <= status < 500 and status not in (408, 409, 423, 425, 429)


def _beginning(answer: httpx.Response) -> str:
    """The first words of an answer, however long it is."""
    found = b""
    for part in answer.iter_raw():
        found += part
        if len(found) > _SAID_MAX:
            break
    return " ".join(found[:_SAID_MAX].decode("utf-8", "replace").split())


def secret_of(channel: Mapping[str, object], environment: Mapping[str, str]) -> str | None:
    """The secret that the channel's variable holds; None where it names none. A variable that is not set is
    `Undelivered`: unsigned is not what was asked for."""
    name = channel.get("secret_variable")
    if not name:
        return None
    if not (secret := environment.get(str(name))):
        raise Undelivered(f"{name} is not set in the worker's environment, so the message cannot be signed.")
    return secret
