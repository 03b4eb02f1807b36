"""What one request cost: usage times the price version in force when it started, in whole pico-dollars.

Nothing is rounded per request, so within one version and tier the sum of costs is the cost of the sum.
A request that cannot be priced has no cost and a reason, never zero and never another variant's price.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from core.pricing.book import (
    ANY_MODEL,
    LAYERS,
    LIST_LAYERS,
    PARENTS,
    REQUESTS,
    SECONDS_A_DAY,
    TOKEN_METERS,
    PriceVersion,
)
from core.pricing.match import Clause, Matched, Matcher, ModelMatch, ProviderMatch
from core.request import RequestRecord

# What providers and clients call the tier that needs no variant. "auto" is a request for whatever applies;
# the answer names the tier that did where it was not this one.
STANDARD_TIERS = frozenset({"", "default", "standard", "auto", "on_demand", "standard_only"})
_TIER_NAMES: Mapping[str, str] = {"on_demand_priority": "priority", "on_demand_flex": "flex"}
# Under which keys catalogues list a tier of that name, in the order of asking.
_TIER_KEYS = ("service_tier", "processing", "speed")

# A response cache in front of the model answered: the provider never saw these.
_SERVED_BY_CACHE = frozenset({"exact", "semantic"})
_NO_OUTPUT = frozenset({"embeddings", "embedding", "rerank", "reranker", "moderation", "moderations"})

_OUTPUT = TOKEN_METERS.index("output")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000

Context = Mapping[str, str]


class CostLine(NamedTuple):
    """`tokens` units of one meter at `pico_per_token` each make `pico`, exactly."""

    meter: str
    tokens: int
    pico_per_token: int
    pico: int


# A named tuple's own constructor costs twice as much, and lines are most of the work of pricing.
_line: Callable[[tuple[str, int, int, int]], CostLine] = partial(tuple.__new__, CostLine)


class Priced(NamedTuple):
    """The cost of one request in pico-dollars; its lines sum to it exactly.

    Unpriced means no cost, no lines and a machine-readable `reason`; a priced request has a reason only where
    it cost nothing because a response cache answered. `list_pico` is the same usage at the list price where
    known.
    """

    status: Literal["priced", "unpriced"]
    reason: str | None
    cost_pico: int | None
    list_pico: int | None
    price_version_id: int | None
    lines: tuple[CostLine, ...]
    context: Context
    matched: Matched | None = None


class _Rates(NamedTuple):
    """One version compiled: for each tier a rate per token meter, parents already filled in."""

    version: PriceVersion
    thresholds: tuple[int, ...]
    tiers: tuple[tuple[int | None, ...], ...]
    per_request: int | None


class _Segment(NamedTuple):
    """What is in force over one stretch of time."""

    contracted: _Rates | None = None
    listed: _Rates | None = None
    reported: PriceVersion | None = None


class _Prices(NamedTuple):
    """Everything a request of one kind needs: which segment at which time, and what to say without one."""

    matched: Matched
    context: Context
    reason: str
    starts_ns: tuple[int, ...]
    days: tuple[tuple[tuple[int, ...], tuple[_Segment, ...]], ...]

    def at(self, started_ns: int) -> _Segment:
        cuts, segments = self.days[bisect_right(self.starts_ns, started_ns)]
        if len(segments) == 1:
            return segments[0]
        return segments[bisect_right(cuts, started_ns // _NS % SECONDS_A_DAY) - 1]

    def unpriced(self, reason: str) -> Priced:
        return Priced("unpriced", reason, None, None, None, (), self.context, self.matched)


_Find = Callable[[str | None, str | None, str | None, str | None, str | None, bool], _Prices]


@dataclass(frozen=True)
class PriceBook:
    """Every price version in force for pricing, and how names find them.

    Keeps the compiled prices of the last `remembers` combinations of provider, address, models, tier and
    batch, the unknown ones too; safe to share between threads.
    """

    versions: tuple[PriceVersion, ...]
    models: tuple[ModelMatch, ...] = ()
    providers: tuple[ProviderMatch, ...] = ()
    remembers: int = 4096
    _matcher: Matcher = field(init=False, repr=False, compare=False)
    _of_model: Mapping[tuple[str, str], Sequence[PriceVersion]] = field(init=False, repr=False, compare=False)
    _find: _Find = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        grouped: dict[tuple[str, str], list[PriceVersion]] = {}
        for version in self.versions:
            grouped.setdefault((version.provider, version.model), []).append(version)
        object.__setattr__(self, "_of_model", grouped)
        object.__setattr__(self, "_matcher", _matcher(grouped, self.models, self.providers))
        object.__setattr__(self, "_find", lru_cache(maxsize=self.remembers)(self._compile))

    def prices_of(self, record: RequestRecord) -> _Prices:
        """The compiled prices for requests of this kind."""
        return self._find(
            record.provider,
            record.server_address,
            record.response_model,
            record.request_model,
            record.service_tier,
            record.batch,
        )

    def version_at(self, record: RequestRecord) -> PriceVersion | None:
        """The version by which `record` is priced when its provider's own figure is not trusted."""
        rates = self.prices_of(record).at(record.started_ns).contracted
        return None if rates is None else rates.version

    def _compile(
        self,
        provider: str | None,
        server_address: str | None,
        response_model: str | None,
        request_model: str | None,
        service_tier: str | None,
        batch: bool,
    ) -> _Prices:
        matched = self._matcher.resolve(provider, server_address, response_model, request_model)
        label, contexts = _contexts(service_tier, batch)
        ranked = self._versions_of(matched)
        context: Context = {}
        chosen: list[PriceVersion] = []
        for context in contexts:
            chosen = [version for version in ranked if version.context == context]
            if chosen:
                break
        reason = matched.reason or _missing(label, any(version.layer != "reported" for version in ranked))
        trusted = [version for version in ranked if version.layer == "reported" and not version.context]
        starts_ns, days = _timeline([version for version in chosen if version.layer != "reported"], trusted)
        return _Prices(matched, context if chosen else contexts[0], reason, starts_ns, days)

    def _versions_of(self, matched: Matched) -> list[PriceVersion]:
        """The model's versions, the one to prefer first."""
        if matched.provider is None:
            return []
        found = list(self._of_model.get((matched.provider, ANY_MODEL), ()))
        if matched.model is not None:
            found += self._of_model.get((matched.provider, matched.model), ())
            if matched.priced_as is not None and matched.priced_as != matched.provider:
                # A reseller's flex or batch price is its own affair: only the maker's standard price carries
                # over.
                maker = self._of_model.get((matched.priced_as, matched.model), ())
                found += [version for version in maker if not version.context]
        return sorted(found, key=lambda version: _preference(version, matched))


def price_request(record: RequestRecord, book: PriceBook) -> Priced:
    """The cost of `record` by the versions of `book` in force at the record's own start."""
    if record.cache in _SERVED_BY_CACHE:
        return _FROM_CACHE
    if record.status == "error" and not record.usage.known:
        return _FAILED
    prices = book.prices_of(record)
    segment = prices.at(record.started_ns)
    tokens = _tokens(record, segment.contracted)
    # Clients write a cost of zero where they know none, so only a positive one is taken.
    if segment.reported is not None and (record.cost_reported_pico or 0) > 0:
        return _as_reported(record, prices, segment, tokens)
    if segment.contracted is None:
        return prices.unpriced(prices.reason)
    if tokens is None:
        return prices.unpriced("usage_unknown")
    charged = _charge(segment.contracted, tokens)
    if isinstance(charged, str):
        return prices.unpriced(charged)
    lines, cost = charged
    listed: int | None = cost
    if segment.listed is not segment.contracted:
        listed = _list_cost(segment, tokens)
    version_id = segment.contracted.version.id
    return Priced("priced", None, cost, listed, version_id, lines, prices.context, prices.matched)


_FROM_CACHE = Priced("priced", "served_from_cache", 0, 0, None, (), {})
_FAILED = Priced("unpriced", "failed_without_usage", None, None, None, (), {})


def _tokens(record: RequestRecord, rates: _Rates | None) -> tuple[int, ...] | None:
    """Tokens in the order of TOKEN_METERS, or None where a class that is billed is unknown.

    An unknown cache or reasoning part is inside its parent already, so it adds nothing. An unknown output
    adds nothing where the operation has none or the price has no rate for it, as with embeddings.
    """
    usage = record.usage
    uncached, visible = usage.uncached_input, usage.visible_output
    if visible is None and (record.operation in _NO_OUTPUT or (rates and rates.tiers[0][_OUTPUT] is None)):
        visible = 0
    if uncached is None or visible is None:
        return None
    return (
        uncached,
        usage.cache_read or 0,
        usage.cache_write_5m or 0,
        usage.cache_write_1h or 0,
        visible,
        usage.reasoning or 0,
    )


def _charge(rates: _Rates, tokens: tuple[int, ...]) -> tuple[tuple[CostLine, ...], int] | str:
    """Lines and their sum, or the reason why there are none."""
    tier = rates.tiers[0]
    if rates.thresholds:
        # A cliff: beyond the threshold every token of the request pays the higher tier, not just those above
        # it.
        tier = rates.tiers[bisect_left(rates.thresholds, tokens[0] + tokens[1] + tokens[2] + tokens[3])]
    lines = []
    cost = 0
    for meter, count, rate in zip(TOKEN_METERS, tokens, tier, strict=False):
        if not count:
            continue
        if count < 0:
            return "usage_negative"
        if rate is None:
            return f"no_rate:{meter}"
        pico = count * rate
        cost += pico
        lines.append(_line((meter, count, rate, pico)))
    if rates.per_request is not None:
        cost += rates.per_request
        lines.append(CostLine(REQUESTS, 1, rates.per_request, rates.per_request))
    return tuple(lines), cost


def _list_cost(segment: _Segment, tokens: tuple[int, ...] | None) -> int | None:
    if segment.listed is None or tokens is None:
        return None
    charged = _charge(segment.listed, tokens)
    return None if isinstance(charged, str) else charged[1]


def _as_reported(
    record: RequestRecord, prices: _Prices, segment: _Segment, tokens: tuple[int, ...] | None
) -> Priced:
    cost = record.cost_reported_pico or 0
    line = CostLine("reported", 1, cost, cost)
    version_id = None if segment.reported is None else segment.reported.id
    listed = _list_cost(segment, tokens)
    return Priced("priced", None, cost, listed, version_id, (line,), prices.context, prices.matched)


def _contexts(service_tier: str | None, batch: bool) -> tuple[str | None, tuple[Context, ...]]:
    """The tier's name for people (None: standard), and the contexts under which a catalogue may list it."""
    tier = (service_tier or "").strip().lower().replace("-", "_")
    tier = _TIER_NAMES.get(tier, tier)
    if batch or tier == "batch":
        if tier in STANDARD_TIERS or tier == "batch":
            return "batch", ({"processing": "batch"}, {"service_tier": "batch"})
        return f"{tier}+batch", ({"processing": "batch", "service_tier": tier},)
    if tier in STANDARD_TIERS:
        return None, ({},)
    return tier, tuple({key: tier} for key in _TIER_KEYS)


def _missing(label: str | None, model_has_prices: bool) -> str:
    if not model_has_prices:
        return "no_price_for_model"
    return "no_price_at_time" if label is None else f"no_price_for_service_tier:{label}"


def _preference(version: PriceVersion, matched: Matched) -> tuple[int, bool, bool, float, int]:
    """Sorts what to prefer first: by layer, then the biller's own, a named model, what was recorded last."""
    return (
        LAYERS.index(version.layer),
        version.provider != matched.provider,
        version.model == ANY_MODEL,
        -version.recorded_at.timestamp(),
        -(version.id or 0),
    )


def _timeline(
    chosen: Iterable[PriceVersion], trusted: Iterable[PriceVersion]
) -> tuple[tuple[int, ...], tuple[tuple[tuple[int, ...], tuple[_Segment, ...]], ...]]:
    """Boundaries in Unix nanoseconds, and the segments of the day before, between and after them."""
    spans = [(_ns(v.valid_from), _ns(v.valid_to), v) for v in (*trusted, *chosen)]
    starts = tuple(sorted({edge for begin, end, _ in spans for edge in (begin, end) if edge is not None}))
    days = []
    for start in (None, *starts):
        active = [v for begin, end, v in spans if _covers(begin, end, start)]
        edges = {edge for version in active if version.daily for edge in version.daily}
        cuts = tuple(sorted(edges | {0}))
        days.append((cuts, tuple(_segment([v for v in active if _by_day(v.daily, cut)]) for cut in cuts)))
    return starts, tuple(days)


def _segment(active: Sequence[PriceVersion]) -> _Segment:
    """`active` is in order of preference, except that trusted reports come first."""
    priced = [version for version in active if version.layer != "reported"]
    reported = next((version for version in active if version.layer == "reported"), None)
    if priced and priced[0].layer in ("contract", "self_hosted"):
        reported = None
    contracted = _rates(priced[0]) if priced else None
    listed = next((version for version in priced if version.layer in LIST_LAYERS), None)
    if contracted is not None and listed is contracted.version:
        return _Segment(contracted, contracted, reported)
    return _Segment(contracted, None if listed is None else _rates(listed), reported)


def _rates(version: PriceVersion) -> _Rates:
    thresholds = sorted({rate.above_tokens for tiers in version.rates.values() for rate in tiers[1:]})
    requests = version.rates.get(REQUESTS)
    return _Rates(
        version,
        tuple(thresholds),
        tuple(
            tuple(_rate_above(version, meter, threshold) for meter in TOKEN_METERS)
            for threshold in (None, *thresholds)
        ),
        requests[0].pico_per_unit if requests else None,
    )


def _rate_above(version: PriceVersion, meter: str, threshold: int | None) -> int | None:
    """The meter's rate while the input is above `threshold` (None: below all), or else its parent's."""
    tiers = version.rates.get(meter)
    if tiers is None:
        return _rate_above(version, PARENTS[meter], threshold) if meter in PARENTS else None
    pico = tiers[0].pico_per_unit
    for rate in tiers[1:]:
        if threshold is not None and rate.above_tokens <= threshold:
            pico = rate.pico_per_unit
    return pico


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _covers(begin: int | None, end: int | None, start: int | None) -> bool:
    """Whether [begin, end) holds the stretch that starts at `start`; no edge falls inside a stretch."""
    if start is None:
        return begin is None
    return (begin is None or begin <= start) and (end is None or start < end)


def _by_day(daily: tuple[int, int] | None, second: int) -> bool:
    if daily is None:
        return True
    begin, end = daily
    return begin <= second < end if begin < end else second >= begin or second < end


def _matcher(
    grouped: Iterable[tuple[str, str]], models: tuple[ModelMatch, ...], providers: tuple[ProviderMatch, ...]
) -> Matcher:
    """The given matches, and before them one by exact name for each priced model that they do not find.

    So a self-hosted or privately named model needs no clause of its own, and a wide catalogue clause cannot
    claim it.
    """
    known = {match.provider for match in providers}
    new = sorted({provider for provider, _ in grouped} - known)
    providers += tuple(ProviderMatch(name, -1 - position) for position, name in enumerate(new))
    given = Matcher(providers, models)
    canonical = {(match.provider, match.model) for match in models}
    own = [
        (provider, model)
        for provider, model in grouped
        if (provider, model) not in canonical
        and model != ANY_MODEL
        and given.resolve(provider, None, model, None).model != model
    ]
    exact = (Clause("equals", model.lower()) for _, model in own)
    return Matcher(
        providers,
        models
        + tuple(
            ModelMatch(*key, -1 - n, clause) for n, (key, clause) in enumerate(zip(own, exact, strict=True))
        ),
    )
