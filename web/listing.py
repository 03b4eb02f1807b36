"""The list of requests as its page shows it: in which order, and the ways to its other pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.ledger import Page
from core.question import NEWEST, RequestOrder
from web.address import Address
from web.heading import Heading, heading

ROWS = 50
_PATH = "/requests"
_NAMES = {
    "started": "Started",
    "cost": "Cost",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "ttft": "TTFT",
    "latency": "Latency",
}
# Order → how it reads from the largest down, and from the smallest up.
_WORDS = {
    "started": ("newest first", "oldest first"),
    "cost": ("dearest first", "cheapest first"),
    "input_tokens": ("most input first", "least input first"),
    "output_tokens": ("most output first", "least output first"),
    "ttft": ("longest TTFT first", "shortest TTFT first"),
    "latency": ("longest latency first", "shortest latency first"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """`words` says the order; links are None where they lead nowhere. `names` calls the pages before, after and at
    the beginning."""

    headings: Mapping[str, Heading]
    words: str
    first: str | None
    previous: str | None
    next: str | None
    names: tuple[str, str, str]


def listing(address: Address, order: RequestOrder, page: Page) -> Listing:
    """What stands around the requests of a page."""

    def at(cursor: str | None) -> str | None:
        return replace(address, cursor=cursor).to(_PATH) + "#list" if cursor else None

    return Listing(
        headings={
            by: heading(
                address,
                _PATH,
                by,
                id=f"by-{by}",
                name=name,
                down=order.descending if by == order.by else None,
            )
            for by, name in (_NAMES | {"started": f"Started ({address.zone})"}).items()
        },
        words=_WORDS[order.by][not order.descending],
        first=address.first().to(_PATH) + "#list" if address.cursor else None,
        previous=at(page.previous),
        next=at(page.next),
        names=("Newer", "Older", "Newest") if order == NEWEST else ("Previous", "Next", "First"),
    )
