"""What the filter bar links to and what its forms carry along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from web.address import PERIODS, Address


def period_links(address: Address, path: str) -> Sequence[tuple[str, str, bool]]:
    """Each period's words, the same page over it, and whether it is the one that is shown."""
    return [
        (
            words,
            replace(address, last=value, start="", end="", cursor="", offset=0).to(path),
            value == address.last and not address.has_dates(),
        )
        for value, words in PERIODS.items()
    ]


def kept(address: Address, without: Collection[str]) -> Sequence[tuple[str, str]]:
    """The address as a form's hidden fields, but for what the form asks anew."""
    return [(name, value) for name, value in parse_qsl(address.query()) if name not in without]
