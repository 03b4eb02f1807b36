"""What a reader may ask of the ledger, checked once for the API and the pages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, get_args

from core.errors import BadQuestion
from core.window import EVER, Window, check_zone

Interval = Literal["hour", "day", "week", "month"]
Value = str | None

# Dimension → what it holds. Any of them groups and filters; `tag.NAME` is one more for every tag.
DIMENSIONS: Mapping[str, str] = {
    "feature": "the feature of the product that caused the request",
    "user": "the end user",
    "session": "the session or conversation",
    "tenant": "the customer organisation",
    "plan": "the customer's subscription",
    "tier": "the intelligence tier that the request was routed to",
    "service": "the service that sent it (service.name)",
    "environment": "the deployment environment",
    "release": "the service's version",
    "provider": "the model's provider",
    "model": "the model that answered, or the one asked for where the answer named none",
    "request_model": "the model asked for",
    "response_model": "the model that answered",
    "operation": "chat, embeddings …",
    "service_tier": "the provider's service tier",
    "region": "the provider's region",
    "streaming": "whether the answer was streamed",
    "status": "ok, error or aborted",
    "error_type": "the error's type",
    "http_status": "the provider's HTTP status",
    "finish_reason": "why the model stopped",
    "router": "the router that chose the tier",
    "router_version": "the router's version",
    "route_reason": "why the router chose it",
    "cascade_id": "the cascade it is a step of",
    "cascade_step": "its step in the cascade",
    "escalated_from": "the tier that was tried before",
    "fallback_from": "the model that failed before",
    "attempt": "the number of the attempt",
    "cache": "the response cache that answered",
    "source": "the instrumentation that sent it",
    "pricing_status": "priced, unpriced or estimated",
    "pricing_reason": "why it is unpriced",
    "state": "provisional or settled",
}

# Metric → unit.
METRICS: Mapping[str, str] = {
    "requests": "count",
    "errors": "count",
    "users": "count",
    "sessions": "count",
    "input_tokens": "tokens",
    "uncached_input_tokens": "tokens",
    "cache_read_tokens": "tokens",
    "cache_write_tokens": "tokens",
    "output_tokens": "tokens",
    "reasoning_tokens": "tokens",
    "cost": "USD",
    "list_cost": "USD",
    "reported_cost": "USD",
    "latency_avg": "ms",
    "latency_p50": "ms",
    "latency_p95": "ms",
    "latency_p99": "ms",
    "ttft_p50": "ms",
    "ttft_p95": "ms",
    "ttft_p99": "ms",
}
DEFAULT_METRICS = ("requests", "cost", "input_tokens", "output_tokens", "latency_p50", "ttft_p50")
MONEY = frozenset(name for name, unit in METRICS.items() if unit == "USD")

LISTS = frozenset({"group_by", "metrics"})
"""Parameters that may be repeated, or hold several words with commas between."""

START = "start"
"""The order of time, of a question with an interval."""

JUDGE_SOURCE, JUDGE_FEATURE = "tripoint.judge", "judge"
"""What the requests are called that Tripoint itself made to a judge."""

_MAX_GROUPS = 4
_MAX_VALUES = 500
MAX_ROWS = 10_000
MAX_OFFSET = 10_000_000

# Dimensions whose values are words that we fix ourselves, or numbers.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "streaming": ("true", "false"),
    "status": ("ok", "error", "aborted"),
    "pricing_status": ("priced", "unpriced", "estimated"),
    "state": ("provisional", "settled"),
}
_NUMBERS: Mapping[str, str] = {"http_status": "429", "cascade_step": "2", "attempt": "2"}
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """Sums, counts and percentiles over the counted requests of a window.

    `filters` maps a dimension to the values that pass; None among them is "not set". Hours, days, weeks and
    months are those of `zone`. Rows come in order of `order`, a metric, a dimension that groups, or "start" where
    an interval is set, with what is unknown or not set last; ties go by time, then by name. `offset` of the rows
    are left out before the first.
    """

    window: Window = EVER
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    interval: Interval | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS
    order: str = "cost"
    limit: int = 1000
    descending: bool = True
    offset: int = 0
    zone: str = "UTC"


# What single requests can be put in order of → what it is.
REQUEST_ORDERS: Mapping[str, str] = {
    "started": "when the request started",
    "cost": "its cost",
    "input_tokens": "its input tokens",
    "output_tokens": "its output tokens",
    "ttft": "its time to first token",
    "latency": "how long it took",
}


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """The order of a list of requests, by one of `REQUEST_ORDERS`. What is unknown comes last either way; ties go
    by trace and span id."""

    by: str = "started"
    descending: bool = True

    @property
    def name(self) -> str:
        """How a cursor names it."""
        return f"{self.by} {'desc' if self.descending else 'asc'}"


NEWEST = RequestOrder()
"""The order of time, the latest first."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the totals stand on: how many requests have a price, usage and a TTFT."""

    requests: int
    priced: int
    unpriced: int
    unpriced_reasons: Mapping[str, int]
    usage_known: int
    ttft_known: int
    provisional: int


@dataclass(frozen=True, slots=True)
class Judging:
    """What Tripoint's own calls to judges come to among the requests that pass a window and filters. They are in the
    answer's rows and totals only where they are `included`, because the filters name them."""

    requests: int = 0
    cost_pico: int | None = 0
    unpriced: int = 0
    included: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its dimensions' values, its interval's first moment (in UTC), its metrics.

    Money is integer pico-dollars, times are milliseconds; None is unknown. `unpriced` requests are in
    none of the row's money.
    """

    group: tuple[Value, ...]
    start: datetime | None
    metrics: Mapping[str, int | float | None]
    unpriced: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, the total over all groups (those cut off by offset and limit included), what it stands on, and what judging
    came to apart from it."""

    question: CostQuestion
    as_of: datetime
    rows: Sequence[Row]
    total: Row
    coverage: Coverage
    groups: int
    judging: Judging = Judging()

    @property
    def next_offset(self) -> int | None:
        """The offset of the rows after these, None where there are none."""
        after = self.question.offset + len(self.rows)
        return after if self.rows and after < self.groups else None


class Lens(Protocol):
    """The seam before the engine that reads the ledger."""

    def ask(self, project_id: int, question: CostQuestion) -> Answer:
        """Answer one question over one project, at one consistent moment."""
        ...

    def pages(self, project_id: int, question: CostQuestion, rows: int) -> Iterator[Answer]:
        """All rows of a question, so many at a time, at one moment."""
        ...

    def ask_all(self, project_id: int, questions: Sequence[CostQuestion]) -> Sequence[Answer]:
        """Answer each as `ask` does, all at one moment; `as_of` is the same in all."""
        ...


def names_judging(filters: Mapping[str, Sequence[Value]]) -> bool:
    """Whether filters ask for Tripoint's own calls to judges; all other questions are about what applications asked."""
    return JUDGE_SOURCE in filters.get("source", ()) or JUDGE_FEATURE in filters.get("feature", ())


def check_dimension(name: str) -> str:
    """The name where it is a dimension."""
    if name in DIMENSIONS or (name.startswith("tag.") and 4 < len(name) <= 104 and "\0" not in name):
        return name
    raise BadQuestion(
        f"There is no dimension {name[:60]!r}. Use one of {', '.join(DIMENSIONS)}, or tag.NAME."
    )


def parse_filters(pairs: Iterable[tuple[str, str]], others: Collection[str]) -> dict[str, tuple[Value, ...]]:
    """The filters among a query's parameters: `DIMENSION=value`, repeated for several values, and
    `unset=DIMENSION` for requests where it is not set.

    A parameter that is neither a dimension nor one of `others` is refused, and so are one of `others` given
    twice and a filter without a value: a misspelt question must not quietly answer for everything.
    """
    found: dict[str, list[Value]] = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name == "unset":
            for dimension in filter(None, value.split(",")):
                found.setdefault(check_dimension(dimension), []).append(None)
        elif name in others:
            if name in seen and name not in LISTS:
                raise BadQuestion(f"{name} stands twice in this question. Give it once.")
            seen.add(name)
        elif not value:
            raise BadQuestion(
                f"{check_dimension(name)} has no value. For requests where it is not set write unset={name};"
                " for all requests leave it out."
            )
        else:
            found.setdefault(check_dimension(name), []).append(value)
    if sum(map(len, found.values())) > _MAX_VALUES:
        raise BadQuestion(f"Filter by at most {_MAX_VALUES} values.")
    if any(value and "\0" in value for values in found.values() for value in values):
        raise BadQuestion("A filter's value cannot hold the character NUL.")
    for name, values in found.items():
        check_values(name, values)
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def check_question(
    *,
    window: Window,
    group_by: Sequence[str] = (),
    filters: Mapping[str, Sequence[Value]] | None = None,
    interval: str | None = None,
    metrics: Sequence[str] = (),
    order: str | None = None,
    direction: str | None = None,
    limit: int = 1000,
    offset: int = 0,
    zone: str | None = None,
) -> CostQuestion:
    """A question from a reader's words, or a `BadQuestion` that names what would do.

    Without `order` rows come in the order of time where there is an interval, else of cost (or of the first
    metric asked for), the largest first. Without `direction` metrics come the largest first, names and times
    the other way round.
    """
    groups = tuple(dict.fromkeys(check_dimension(name) for name in group_by))
    if len(groups) > _MAX_GROUPS:
        raise BadQuestion(f"Group by at most {_MAX_GROUPS} dimensions.")
    if interval and interval not in get_args(Interval):
        raise BadQuestion(
            f"There is no interval {interval[:40]!r}. Use one of {', '.join(get_args(Interval))}."
        )
    chosen = tuple(dict.fromkeys(metrics)) or DEFAULT_METRICS
    for name in chosen:
        if name not in METRICS:
            raise BadQuestion(f"There is no metric {name[:60]!r}. Use one of {', '.join(METRICS)}.")
    checked = {check_dimension(name): tuple(values) for name, values in (filters or {}).items() if values}
    for name, values in checked.items():
        check_values(name, values)
    if not 1 <= limit <= MAX_ROWS:
        raise BadQuestion(f"limit must be between 1 and {MAX_ROWS}.")
    if not 0 <= offset <= MAX_OFFSET:
        raise BadQuestion(f"offset must be between 0 and {MAX_OFFSET}.")
    by = _check_order(order, groups, interval) or (
        START if interval else "cost" if "cost" in chosen else chosen[0]
    )
    return CostQuestion(
        window=window,
        group_by=groups,
        filters=checked,
        interval=interval or None,  # type: ignore[arg-type]
        metrics=chosen,
        order=by,
        limit=limit,
        descending=check_direction(direction) == "desc" if direction else by in METRICS,
        offset=offset,
        zone=check_zone(zone) if zone else "UTC",
    )


def check_request_order(order: str | None, direction: str | None) -> RequestOrder:
    """An order of requests from a reader's words; without any the newest first, without a direction descending."""
    if order and order not in REQUEST_ORDERS:
        raise BadQuestion(f"Requests have no order {order[:60]!r}. Use one of {', '.join(REQUEST_ORDERS)}.")
    return RequestOrder(order or NEWEST.by, not direction or check_direction(direction) == "desc")


def check_direction(direction: str) -> str:
    """asc or desc."""
    if direction not in ("asc", "desc"):
        raise BadQuestion(f"There is no direction {direction[:40]!r}. Use asc or desc.")
    return direction


def _check_order(order: str | None, groups: Sequence[str], interval: str | None) -> str | None:
    """What rows can be put in order of."""
    if not order or order in METRICS or order in groups or (order == START and interval):
        return order or None
    if order in DIMENSIONS or order.startswith("tag.") or order == START:
        words = "an interval" if order == START else f"group_by={order[:60]}"
        raise BadQuestion(f"order={order[:60]} needs {words} in the same question.")
    raise BadQuestion(f"There is no metric {order[:60]!r} to order by. Use one of {', '.join(METRICS)}.")


def check_values(name: str, values: Iterable[Value]) -> None:
    """Refuses values that a dimension with fixed words or numbers can never hold: they would quietly answer 0."""
    for value in values:
        if value is None:
            continue
        if (words := _WORDS.get(name)) and value not in words:
            raise BadQuestion(f"{name}={value[:40]!r} is never so. Use {' or '.join(words)}.")
        if name in _NUMBERS and not _NUMBER.fullmatch(value):
            raise BadQuestion(f"{name}={value[:40]!r} is not a whole number. Write it as {_NUMBERS[name]}.")
