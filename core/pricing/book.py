"""A price version: what one provider asks for one model, in one context, over one stretch of time.

Versions are immutable. A changed price is a new version; where two of one layer cover the same moment, the
one recorded last speaks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from core.errors import BadInput

Layer = Literal["contract", "self_hosted", "reported", "correction", "catalogue"]

LAYERS: tuple[Layer, ...] = get_args(Layer)
"""First match wins: a signed contract beats what we run ourselves, down to the public catalogue."""

LIST_LAYERS: frozenset[Layer] = frozenset({"correction", "catalogue"})
"""The layers that state a list price, kept next to the contracted one."""

ANY_MODEL = "*"
"""The model of a `reported` version that trusts every cost its provider reports."""

# Where a class has no rate of its own, its tokens are billed in the class that contains it, as the provider
# does.
PARENTS: Mapping[str, str] = {
    "cache_read": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "cache_write_5m",
    "reasoning": "output",
}
TOKEN_METERS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
REQUESTS = "requests"

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Rate:
    """Pico-dollars for one unit of a meter, in force while the total input is above `above_tokens`.

    The first rate of a meter is its base and needs no threshold. `raw` is the source's own decimal, dollars
    for `per` units; `normalised` says that rounding to whole pico changed it.
    """

    above_tokens: int
    pico_per_unit: int
    raw: str
    normalised: bool = False
    per: int = 1_000_000


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """One immutable price. Validity is half-open in UTC; `None` is open-ended.

    `context` names the variant, as {'service_tier': 'flex'}; {} is the standard price. `daily` limits the
    price to the seconds [start, end) since UTC midnight, over midnight where end < start. The meters of
    `TOKEN_METERS` hold exclusive token classes; others keep the source's unit name. `source_digest` covers
    the content alone (not the id, the source's name or the time of recording), so importing the same price
    twice gives the same digest. `model` is the catalogue's own id where it has one, as a match would give it.
    """

    layer: Layer
    provider: str
    model: str
    recorded_at: datetime
    rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    daily: tuple[int, int] | None = None
    currency: Literal["USD"] = "USD"
    source: str = ""
    source_digest: str = ""
    id: int | None = None

    def __post_init__(self) -> None:
        if self.provider != self.provider.strip().lower() or not self.provider or not self.model:
            raise BadInput(f"a price needs a model and a provider in lower case, not {self.provider!r}")
        for moment in (self.recorded_at, self.valid_from, self.valid_to):
            if moment is not None and moment.utcoffset() != timedelta(0):
                raise BadInput(
                    f"the price of {self.provider} {self.model} has a time that is not UTC: {moment}"
                )
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise BadInput(f"the price of {self.provider} {self.model} ends before it begins")
        if self.daily and not (
            self.daily[0] != self.daily[1] and all(0 <= s < SECONDS_A_DAY for s in self.daily)
        ):
            raise BadInput(
                f"the price of {self.provider} {self.model} has an impossible time of day {self.daily}"
            )
        for meter, tiers in self.rates.items():
            if not tiers or any(rate.pico_per_unit < 0 or rate.above_tokens < 0 for rate in tiers):
                raise BadInput(f"the price of {self.provider} {self.model} has a bad rate for {meter}")


def sealed(version: PriceVersion) -> PriceVersion:
    """The same version carrying the digest of its content."""
    canonical = json.dumps(_content(version), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return replace(version, source_digest=hashlib.sha256(canonical.encode()).hexdigest())


def version_to_json(version: PriceVersion) -> dict[str, Any]:
    """Plain JSON values that `version_from_json` turns back into an equal version."""
    return _content(version) | {
        "id": version.id,
        "recorded_at": version.recorded_at.isoformat(),
        "source": version.source,
        "source_digest": version.source_digest,
    }


def version_from_json(value: Mapping[str, Any]) -> PriceVersion:
    """The version that `version_to_json` wrote."""
    return PriceVersion(
        layer=value["layer"],
        provider=value["provider"],
        model=value["model"],
        recorded_at=datetime.fromisoformat(value["recorded_at"]),
        rates={meter: tuple(Rate(**rate) for rate in tiers) for meter, tiers in value["rates"].items()},
        context=dict(value["context"]),
        valid_from=_moment(value["valid_from"]),
        valid_to=_moment(value["valid_to"]),
        daily=None if value["daily"] is None else (value["daily"][0], value["daily"][1]),
        currency=value["currency"],
        source=value["source"],
        source_digest=value["source_digest"],
        id=value["id"],
    )


def _content(version: PriceVersion) -> dict[str, Any]:
    return {
        "layer": version.layer,
        "provider": version.provider,
        "model": version.model,
        "context": dict(version.context),
        "currency": version.currency,
        "valid_from": None if version.valid_from is None else version.valid_from.isoformat(),
        "valid_to": None if version.valid_to is None else version.valid_to.isoformat(),
        "daily": None if version.daily is None else list(version.daily),
        "rates": {
            meter: [
                {
                    "above_tokens": rate.above_tokens,
                    "pico_per_unit": rate.pico_per_unit,
                    "raw": rate.raw,
                    "normalised": rate.normalised,
                    "per": rate.per,
                }
                for rate in tiers
            ]
            for meter, tiers in version.rates.items()
        },
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
