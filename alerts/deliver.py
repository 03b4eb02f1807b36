"""Send what is owed to the channels: tried again for a while, given up in the end, never sent again once it arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Engine

from alerts import mail, webhook
from alerts.address import Lookup, look_up
from alerts.mail import Mail, PartlyRefused
from alerts.message import message_of
from alerts.webhook import Undelivered
from core.errors import BadInput
from core.store import deliveries
from core.store.deliveries import ATTEMPTS_MAX, Owed
from core.store.session import in_every_project, tenant

log = structlog.get_logger()

_AT_ONCE = 10
_TURN_S = 20.0
_LEASE = timedelta(minutes=5)
_FIRST_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Post:
    """How messages leave: the address of the pages that they lead to, the server for e-mails, whether webhooks may lead
    into private networks, and the environment that has their secrets."""

    base_url: str | None = None
    mail: Mail | None = None
    private_webhooks: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    lookup: Lookup = look_up


def deliver_all(engine: Engine, post: Post, now: datetime) -> int:
    """Send what is due in every project, in turns of `_TURN_S` at most; returns how many messages arrived."""
    return in_every_project(
        engine,
        lambda project_id: deliver_project(engine, project_id, post, now),
        partial(log.exception, "deliver.failed"),
    )


def deliver_project(engine: Engine, project_id: int, post: Post, now: datetime) -> int:
    """The same for one project."""
    total, until = 0, monotonic() + _TURN_S
    while True:
        # One at a time is leased, sent and settled, so that no lease can run out while others are sent.
        with tenant(engine, project_id) as connection:
            owed = deliveries.claim(connection, now, _LEASE, 1)
        for one in owed:
            total += _deliver(engine, project_id, one, post, now)
        if not owed or monotonic() > until:
            return total


def _deliver(engine: Engine, project_id: int, one: Owed, post: Post, now: datetime) -> bool:
    try:
        _send(one, post, now)
    except PartlyRefused as error:
        with tenant(engine, project_id) as connection:
            deliveries.sent(connection, one.id, now, str(error))
        return True
    except (Undelivered, BadInput) as error:
        final = getattr(error, "final", False) or one.attempts >= ATTEMPTS_MAX
        again = None if final else now + wait_after(one.attempts)
        with tenant(engine, project_id) as connection:
            deliveries.failed(connection, one.id, str(error), again)
        log.warning(
            "deliver.undelivered", delivery=one.id, attempts=one.attempts, error=str(error), final=final
        )
        return False
    with tenant(engine, project_id) as connection:
        deliveries.sent(connection, one.id, now)
    return True


def _send(one: Owed, post: Post, now: datetime) -> None:
    message = message_of(one, post.base_url)
    if one.kind == "email":
        mail.send(post.mail, one.channel["to"], message, one.id, now, timeout_s=post.timeout_s)
        return
    webhook.post(
        one.channel["url"],
        message,
        one.id,
        webhook.secret_of(one.channel, post.environment),
        now,
        private=post.private_webhooks,
        timeout_s=post.timeout_s,
        lookup=post.lookup,
    )


def wait_after(attempts: int) -> timedelta:
    """A minute after the first attempt, twice as long after each further one."""
    return _FIRST_WAIT * int(2 ** (attempts - 1))
