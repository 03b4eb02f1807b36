"""A message by e-mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from alerts.message import Message
from alerts.webhook import Undelivered

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Mail:
    """The server that takes e-mails, and whom they are from."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    security: Security = "starttls"


def send(
    mail: Mail | None,
    to: Sequence[str],
    message: Message,
    number: int,
    now: datetime,
    *,
    timeout_s: float,
    context: ssl.SSLContext | None = None,
) -> None:
    """Send it, or raise `Undelivered`. A password goes over an encrypted connection or not at all."""
    if mail is None:
        raise Undelivered("TRIPOINT_SMTP_HOST and TRIPOINT_SMTP_FROM are not set, so no e-mail can be sent.")
    if mail.password and mail.security == "none":
        raise Undelivered(
            "TRIPOINT_SMTP_SECURITY=none would send the password in the clear. Use starttls or tls."
        )
    letter = EmailMessage()
    letter["Subject"] = message.subject
    letter["From"] = mail.sender
    letter["To"] = ", ".join(to)
    letter["Date"] = format_datetime(now)
    # The same number for every attempt, so that a mailbox can tell a repeat.
    letter["Message-ID"] = (
        f"<tripoint-delivery-{number}@{mail.sender.rpartition('@')[2].strip('>') or 'tripoint'}>"
    )
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text, cte="quoted-printable")
    try:
        server = _connected(mail, timeout_s, context or ssl.create_default_context())
        try:
            if mail.user and mail.password:
                server.login(mail.user, mail.password)
            refused = server.send_message(letter)
        finally:
            _leave(server)
    except smtplib.SMTPRecipientsRefused as error:
        raise Undelivered(_refusals(error.recipients)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from error
    if refused:
        # The others have it: sending again would give it to them twice.
        raise PartlyRefused(_refusals(refused))


class PartlyRefused(Exception):  # noqa: N818  named for what happened
    """Some recipients have it and some were refused."""


def _connected(mail: Mail, timeout_s: float, context: ssl.SSLContext) -> smtplib.SMTP:
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout_s, context=context)
    server = smtplib.SMTP(mail.host, mail.port, timeout=timeout_s)
    if mail.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye. The letter is taken or not by now, and a goodbye that goes wrong must not have it sent again."""
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _refusals(recipients: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(
        f"{who} was refused: {code} {words.decode('utf-8', 'replace')}"
        for who, (code, words) in list(recipients.items())[:5]
    )
