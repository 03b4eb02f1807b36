"""One pass over a span's attributes → the fields that the families' tables know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.conventions.family import FIELDS, Blob
from core.conventions.registry import BLOBS, LAST_RESORTS, SLOTS, TAG_PREFIXES
from core.conventions.values import count, label, parsed, whole

MAX_TAGS = 32
_LAST = 1_000_000


@dataclass(slots=True)
class Facts:
    """What one span's attributes say: clean values by field, raw token numbers by attribute, free tags."""

    values: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def facts_from(attributes: Mapping[str, Any]) -> Facts:
    """The first usable value of each field: by name, then inside JSON attributes, then last resorts.

    An empty string is absent, and a value that cannot be read never hides a later one that can.
    """
    facts = Facts()
    _read_names(attributes, facts)
    for blob in BLOBS:
        if blob.attribute in attributes:
            _read_blob(blob, attributes[blob.attribute], facts)
    values = facts.values
    for name, target, reader in LAST_RESORTS:
        if target not in values and name in attributes:
            value = reader(attributes[name])
            if value is not None:
                values[target] = value
    return facts


def _read_names(attributes: Mapping[str, Any], facts: Facts) -> None:
    values, ranks = facts.values, dict[str, int]()
    free: list[tuple[int, str, Any]] = []
    for name, value in attributes.items():
        slots = SLOTS.get(name)
        if slots is None:
            if name.startswith(TAG_PREFIXES):
                free.append(_free_tag(name, value))
            continue
        for target, rank, reader in slots:
            if reader is count:
                number = whole(value)
                if number is not None:
                    facts.raw[name] = number
            if rank < ranks.get(target, _LAST):
                read = reader(value)
                if read is not None:
                    values[target] = read
                    ranks[target] = rank
    for _, tag, value in sorted(free, key=lambda found: found[:2]):
        _tag(facts.tags, tag, value)


def _free_tag(name: str, value: Any) -> tuple[int, str, Any]:
    at = next(at for at, prefix in enumerate(TAG_PREFIXES) if name.startswith(prefix))
    return at, name[len(TAG_PREFIXES[at]) :], value


def _tag(tags: dict[str, str], name: str, value: Any) -> None:
    """Keep a short scalar under its name unless a more trusted one is there; a few dozen at most."""
    if isinstance(value, (bool, float)):
        value = str(value).lower()
    text, name = label(value), label(name) or ""
    if text and name and name not in tags and len(tags) < MAX_TAGS:
        tags[name] = text


def _read_blob(blob: Blob, value: Any, facts: Facts) -> None:
    """Parse a JSON attribute only where it can still tell something."""
    values = facts.values
    wanted = [(field, keys) for field, keys in blob.fields.items() if FIELDS[field][0] not in values]
    if not wanted and not blob.tags:
        return
    content = parsed(value)
    if not isinstance(content, dict):
        return
    for field_, keys in wanted:
        target, reader = FIELDS[field_]
        for key in keys:
            read = reader(content.get(key))
            if read is not None:
                values[target] = read
                break
    if blob.tags:
        known = {key for keys in blob.fields.values() for key in keys}
        for key, free in content.items():
            if key not in known:
                _tag(facts.tags, key, free)
