"""Every family, and their tables compiled into look-ups whose cost does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from core.conventions.family import FIELDS, Blob, Family, Role, Scope
from core.conventions.openinference import OPENINFERENCE
from core.conventions.openllmetry import OPENLLMETRY
from core.conventions.semconv import HTTP_CLIENT, SEMCONV
from core.conventions.tripoint import TRIPOINT
from core.conventions.values import Reader

# In order of trust: where two families name the same field on one span, the earlier one is believed.
FAMILIES: tuple[Family, ...] = (
    TRIPOINT,
    SEMCONV,
    OPENINFERENCE,
    OPENLLMETRY,
    HTTP_CLIENT,
)


class Slot(NamedTuple):
    """One field that an attribute can fill; the lowest rank wins."""

    target: str
    rank: int
    reader: Reader


def _slots(families: Iterable[Family]) -> dict[str, tuple[Slot, ...]]:
    slots: dict[str, tuple[Slot, ...]] = {}
    listed = [(field, names) for family in families for field, names in family.fields.items()]
    for rank, (field, name) in enumerate((field, name) for field, names in listed for name in names):
        target, reader = FIELDS[field]
        slots[name] = (*slots.get(name, ()), Slot(target, rank, reader))
    return slots


def _last_resorts(families: Iterable[Family]) -> tuple[tuple[str, str, Reader], ...]:
    return tuple(
        (name, *FIELDS[field])
        for family in families
        for field, names in family.last_resorts.items()
        for name in names
    )


def _kinds(families: Iterable[Family]) -> dict[str, Mapping[str, Role]]:
    return {attribute: roles for family in families for attribute, roles in family.kinds.items()}


def _scopes(families: Iterable[Family]) -> dict[str, Scope]:
    return {scope: facts for family in families for scope, facts in family.scopes.items()}


SLOTS: Mapping[str, tuple[Slot, ...]] = _slots(FAMILIES)
LAST_RESORTS = _last_resorts(FAMILIES)
KINDS: Mapping[str, Mapping[str, Role]] = _kinds(FAMILIES)
SCOPES: Mapping[str, Scope] = _scopes(FAMILIES)
BLOBS: tuple[Blob, ...] = tuple(blob for family in FAMILIES for blob in family.blobs)
TAG_PREFIXES: tuple[str, ...] = tuple(prefix for family in FAMILIES for prefix in family.tag_prefixes)
FIRST_TOKEN_EVENTS: frozenset[str] = frozenset(
    name for family in FAMILIES for name in family.first_token_events
)
