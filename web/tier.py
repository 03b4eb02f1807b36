"""Each tier has a colour of its own on every page: by its name, never by its rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zlib import crc32

from core.question import Value

UNSET = "c-unset"
_KNOWN: Mapping[str, int] = {
    **dict.fromkeys(("lightweight", "light", "small", "mini", "nano", "economy", "fast", "cheap"), 1),
    **dict.fromkeys(("standard", "medium", "balanced", "default", "base"), 2),
    **dict.fromkeys(("premium", "large", "heavy", "frontier", "advanced", "pro"), 3),
}
_OTHERS = (4, 5, 6, 7, 8)


def colour(tier: Value) -> str:
    """The name of a tier's colour in style.css; other names than the usual ones share five among them."""
    if tier is None:
        return UNSET
    slot = _KNOWN.get(tier.lower()) or _OTHERS[crc32(tier.lower().encode()) % len(_OTHERS)]
    return f"t{slot}"


def ordered(tiers: Iterable[Value]) -> list[Value]:
    """From the lightest of the usual names to the heaviest, then others by name, then what is not set."""
    return sorted(
        set(tiers), key=lambda tier: (tier is None, _KNOWN.get((tier or "").lower(), 9), tier or "")
    )
