"""The heading of a column that puts a table's rows in its order."""

from __future__ import annotations

from dataclasses import dataclass

from web.address import Address


@dataclass(frozen=True, slots=True)
class Heading:
    """Its link puts the rows in the column's order, or turns that around. `sorted` is as `aria-sort` says it, empty
    where another column orders the rows; `digits` is how many the longest amount has behind the point."""

    id: str
    name: str
    link: str
    sorted: str
    chosen: bool = False
    digits: int = 0


def heading(
    address: Address, path: str, order: str, *, id: str, name: str, down: bool | None, first: str = "desc"
) -> Heading:
    """The heading of the column that `order` names on the page at `path`. `down` says how it orders the rows now,
    None that another does; `first` is the direction that a first click gives."""
    direction = first if down is None else "asc" if down else "desc"
    turned = address.ordered(order, "" if direction == first else direction)
    # The link leads to the heading itself, which so keeps the keyboard's place.
    return Heading(
        id, name, f"{turned.to(path)}#{id}", "" if down is None else "descending" if down else "ascending"
    )
