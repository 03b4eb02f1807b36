"""A policy: which requests are judged, by whom, how often; and the probabilities of one day's requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.errors import BadQuestion
from core.judging.storable import check_storable
from core.question import Value, parse_filters
from core.stats.sampling import Stratum, neyman, uniform

Method = Literal["uniform", "stratified", "neyman"]
METHODS: tuple[Method, ...] = get_args(Method)
STRATA = ("feature", "tier", "model", "latency")
LATENCY_EDGES_MS = (1_000, 3_000, 10_000)
"""Where one latency bucket ends and the next begins."""
STRATA_MAX = 500
"""Strata of one round; what is rarer shares the round's base probability."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`wanted_a_day` requests are drawn on average, of those that pass the `filters`.

    uniform: each with the same probability. stratified: each stratum in proportion to its size, but `floor` of every
    one. neyman: more where the scores of the last days varied more, `floor` of every one. No probability is below
    `least`. `repeats` answers of the judge a request. A strong judge is asked again where the first was less sure than
    `escalate_below` (0 to 1) or its repeats differ, and for a random share `audit` of all others.
    """

    method: Method = "uniform"
    strata: tuple[str, ...] = ()
    wanted_a_day: int = 200
    floor: int = 10
    least: float = 0.01
    repeats: int = 1
    escalate_below: float = 0.5
    audit: float = 0.05
    filters: Mapping[str, tuple[Value, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last days tell of a stratum: requests a day, and the spread of so many scores."""

    size: float
    spread: float | None = None
    pilot: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The probabilities of one day: by stratum, and `base` for whatever is in none of them."""

    base: float
    chances: Mapping[str, float]


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Plain JSON that `policy_from_json` reads back as an equal policy."""
    return {
        "method": policy.method,
        "strata": list(policy.strata),
        "wanted_a_day": policy.wanted_a_day,
        "floor": policy.floor,
        "least": policy.least,
        "repeats": policy.repeats,
        "escalate_below": policy.escalate_below,
        "audit": policy.audit,
        "filters": {name: list(values) for name, values in (policy.filters or {}).items()},
    }


def policy_from_json(value: Any) -> Policy:
    """A policy from what a person or a file wrote, or a `BadQuestion` that says what to change."""
    if not isinstance(value, Mapping):
        raise BadQuestion("A policy is a JSON object with method and wanted_a_day.")
    check_storable(dict(value), "The policy")
    method = value.get("method", "uniform")
    if method not in METHODS:
        raise BadQuestion(f"method is one of {', '.join(METHODS)}.")
    strata = value.get("strata") or ([] if method == "uniform" else list(STRATA[:3]))
    if not isinstance(strata, list) or any(one not in STRATA for one in strata):
        raise BadQuestion(f"strata is a list of any of {', '.join(STRATA)}.")
    if method == "uniform" and strata:
        raise BadQuestion("A uniform policy has no strata. Use method stratified or neyman.")
    return Policy(
        method=method,
        strata=tuple(one for one in STRATA if one in strata),
        wanted_a_day=_whole(value, "wanted_a_day", 200, 1, 1_000_000),
        floor=_whole(value, "floor", 10, 1, 1000),
        least=_share(value, "least", 0.01, lowest=0.0001),
        repeats=_whole(value, "repeats", 1, 1, 3),
        escalate_below=_share(value, "escalate_below", 0.5),
        audit=_share(value, "audit", 0.05),
        filters=_filters(value.get("filters")),
    )


def stratum_key(policy: Policy, values: Mapping[str, str | None]) -> str:
    """The stratum of a request as a JSON list of its values (of `latency` the bucket), in the order of the policy's
    strata."""
    parts = [values.get(name) for name in policy.strata]
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False)


def latency_bucket(latency_ms: float) -> str:
    """In words, such as "1 to 3 s"."""
    edges = [edge // 1000 for edge in LATENCY_EDGES_MS]
    for at, edge in enumerate(LATENCY_EDGES_MS):
        if latency_ms < edge:
            return f"under {edges[0]} s" if at == 0 else f"{edges[at - 1]} to {edges[at]} s"
    return f"{edges[-1]} s and more"


def plan(policy: Policy, seen: Mapping[str, Seen], affordable: float | None = None) -> Plan:
    """The probabilities for a day like the last ones, for as many requests as are wanted, or as the budget can pay for
    where `affordable` is fewer. Without any request in the last days everything has the same probability, one."""
    wanted = float(policy.wanted_a_day) if affordable is None else min(policy.wanted_a_day, affordable)
    total = sum(one.size for one in seen.values())
    if total <= 0:
        return Plan(1.0, {})
    base = _bounded(max(wanted, 0.0) / total, policy.least)
    if policy.method == "uniform" or wanted <= 0:
        return Plan(base, {key: base for key in seen} if policy.strata else {})
    ranked = sorted(seen.items(), key=lambda pair: (-pair[1].size, pair[0]))[:STRATA_MAX]
    strata = [Stratum(round(one.size) or 1, one.spread, one.pilot) for _, one in ranked]
    if policy.method == "neyman":
        chances = neyman(strata, wanted, floor=policy.floor, least=policy.least).tolist()
    else:
        even = [Stratum(one.size) for one in strata]
        share = float(uniform(even, wanted)[0])
        chances = [max(share, min(policy.floor / one.size, 1.0)) for one in even]
    return Plan(base, {key: _bounded(c, policy.least) for (key, _), c in zip(ranked, chances, strict=True)})


def _bounded(chance: float, least: float) -> float:
    return min(1.0, max(chance, least))


def _filters(value: Any) -> Mapping[str, tuple[Value, ...]]:
    if value in (None, {}):
        return {}
    if not isinstance(value, Mapping):
        raise BadQuestion('filters is an object, such as {"feature": ["chat"]}.')
    pairs: list[tuple[str, str]] = []
    for name, values in value.items():
        several = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
        pairs += [(str(name), str(one)) if one is not None else ("unset", str(name)) for one in several]
    return parse_filters(pairs, ())


def _whole(value: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    given = value.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise BadQuestion(f"{name} is a whole number from {least} to {most}.")
    return given


def _share(value: Mapping[str, Any], name: str, default: float, lowest: float = 0.0) -> float:
    given = value.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int | float) or not lowest <= given <= 1:
        raise BadQuestion(f"{name} is a number from {lowest:g} to 1.")
    return float(given)
