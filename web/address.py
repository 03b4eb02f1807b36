"""The state of a page lives in its address: everything chosen can be bookmarked and sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from core.errors import BadQuestion
from core.question import (
    MAX_OFFSET,
    METRICS,
    CostQuestion,
    Value,
    check_direction,
    check_question,
    parse_filters,
)
from core.window import Window, check_zone, last_days, midnight, parse_instant

PERIODS: Mapping[str, str] = {
    "1": "Today",
    "7": "7 days",
    "14": "14 days",
    "30": "30 days",
    "90": "90 days",
    "all": "All time",
}
_OWN = {
    *(
        "group_by",
        "interval",
        "last",
        "from",
        "to",
        "zone",
        "metric",
        "order",
        "direction",
        "offset",
        "cursor",
    ),
    *("score", "mean"),
    *("where", "is"),
}
_DEFAULT_LAST = "30"
MEANS: Mapping[str, str] = {"corrected": "Corrected by people", "raw": "Judge alone"}
"""Which mean of judged requests a page shows → its words."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a page of questions was asked: window, grouping, filters, order and place.

    `zone` is the one that dates and days are in; `zone_named` where the address itself names it, and not the
    reader's browser. `score` is the dimension of quality, `mean` which mean of it is shown. Whatever changes the rows
    begins at the first page again.
    """

    last: str = _DEFAULT_LAST
    start: str = ""
    end: str = ""
    group_by: tuple[str, ...] = ()
    interval: str = ""
    metric: str = ""
    order: str = ""
    direction: str = ""
    offset: int = 0
    cursor: str = ""
    score: str = ""
    mean: str = ""
    zone: str = "UTC"
    zone_named: bool = False
    filters: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def drawn(self) -> str:
        """The chart's metric: the chosen one, else the one that orders the rows, else cost."""
        return self.metric or (self.order if self.order in METRICS else "cost")

    def window(self, now: datetime) -> Window:
        """The window in UTC; explicit times win over the period."""
        if self.has_dates():
            return Window(
                parse_instant(self.start, "from", self.zone), parse_instant(self.end, "to", self.zone)
            )
        return Window() if self.last == "all" else last_days(now, int(self.last), self.zone)

    def has_dates(self) -> bool:
        """Whether the window was given by its ends."""
        return bool(self.start or self.end)

    def question(self, now: datetime, metrics: Sequence[str], limit: int) -> CostQuestion:
        """The question that this address asks; a metric that it is ordered by is among the answers."""
        return check_question(
            window=self.window(now),
            group_by=self.group_by,
            filters=self.filters,
            interval=self.interval or None,
            metrics=[*metrics, self.order] if self.order in METRICS else metrics,
            order=self.order or None,
            direction=self.direction or None,
            limit=limit,
            offset=self.offset,
            zone=self.zone,
        )

    def query(self) -> str:
        """The address as a query string."""
        pairs: list[tuple[str, str]] = []
        if self.has_dates():
            pairs += [("from", self.start), ("to", self.end)]
        elif self.last != _DEFAULT_LAST:
            pairs.append(("last", self.last))
        if self.zone_named:
            pairs.append(("zone", self.zone))
        if self.group_by:
            pairs.append(("group_by", ",".join(self.group_by)))
        pairs += [("interval", self.interval), ("metric", self.metric)]
        pairs += [("order", self.order), ("direction", self.direction)]
        pairs += [("score", self.score), ("mean", self.mean)]
        pairs += [*self.filter_pairs(), ("offset", str(self.offset or "")), ("cursor", self.cursor)]
        return urlencode([pair for pair in pairs if pair[1]])

    def filter_pairs(self) -> list[tuple[str, str]]:
        """The filters as query parameters."""
        return [
            (name, value) if value is not None else ("unset", name)
            for name, values in self.filters.items()
            for value in values
        ]

    def only(self, group: Sequence[tuple[str, Value]]) -> Address:
        """The same, narrowed to one group: the requests behind a number."""
        return replace(self.first(), filters={**self.filters, **{name: (value,) for name, value in group}})

    def within(self, window: Window) -> Address:
        """The same over another window."""
        start, end = (_instant(at, self.zone) if at else "" for at in (window.start, window.end))
        return replace(self.first(), last=_DEFAULT_LAST if start or end else "all", start=start, end=end)

    def without(self, name: str, value: Value) -> Address:
        """The same without one filter."""
        rest = tuple(kept for kept in self.filters[name] if kept != value)
        others = {other: values for other, values in self.filters.items() if other != name}
        return replace(self.first(), filters=others | ({name: rest} if rest else {}))

    def plain(self) -> Address:
        """The same window and filters without grouping and order, as the list of requests takes them."""
        return replace(
            self.first(), group_by=(), interval="", metric="", order="", direction="", score="", mean=""
        )

    def unfiltered(self) -> Address:
        """The same without filters."""
        return replace(self.first(), filters={})

    def over_all_time(self) -> Address:
        """The same over all that is kept."""
        return self.within(Window())

    def ordered(self, order: str, direction: str = "") -> Address:
        """The same in another order."""
        return replace(self.first(), order=order, direction=direction)

    def first(self) -> Address:
        """The same from its first row on."""
        return replace(self, offset=0, cursor="")

    def to(self, path: str) -> str:
        """A link to `path` with this address."""
        query = self.query()
        return f"{path}?{query}" if query else path


def parse_address(
    pairs: Sequence[tuple[str, str]], default_group: tuple[str, ...] = (), zone: str = "UTC"
) -> Address:
    """The address in a query string; refuses what no page understands. `zone` is the reader's own, which the
    address may override. `where=DIMENSION&is=VALUE` is how a form says a filter; without a value it means
    "not set"."""
    given = dict(pairs)
    groups = [name.strip() for key, value in pairs if key == "group_by" for name in value.split(",")]
    last = given.get("last") or _DEFAULT_LAST
    if last not in PERIODS:
        raise BadQuestion(f"last={last[:20]!r} is not one of {', '.join(PERIODS)}.")
    if given.get("metric") and given["metric"] not in METRICS:
        raise BadQuestion(f"There is no metric {given['metric'][:60]!r}. Use one of {', '.join(METRICS)}.")
    added = []
    if where := given.get("where"):
        added = [(where, given["is"]) if given.get("is") else ("unset", where)]
    return Address(
        last=last,
        start=given.get("from", ""),
        end=given.get("to", ""),
        group_by=tuple(dict.fromkeys(name for name in groups if name)) or default_group,
        interval=given.get("interval", ""),
        metric=given.get("metric", ""),
        order=given.get("order", ""),
        direction=check_direction(given["direction"]) if given.get("direction") else "",
        offset=_offset(given.get("offset", "")),
        cursor=given.get("cursor", ""),
        score=given.get("score", ""),
        mean=_mean(given.get("mean", "")),
        zone=check_zone(given.get("zone") or zone),
        zone_named=bool(given.get("zone")),
        filters=parse_filters([*pairs, *added], _OWN),
    )


def came_from_form(pairs: Sequence[tuple[str, str]]) -> bool:
    """True where a form sent its empty fields too; the page then moves on to the short address."""
    return any(not value or name in ("where", "is") for name, value in pairs)


def _mean(text: str) -> str:
    if text and text not in MEANS:
        raise BadQuestion(f"mean={text[:20]!r} is not one of {', '.join(MEANS)}.")
    return text


def _offset(text: str) -> int:
    if not text:
        return 0
    if (
        not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_OFFSET)))
        or int(text) > MAX_OFFSET
    ):
        raise BadQuestion(f"offset must be between 0 and {MAX_OFFSET}.")
    return int(text)


def _instant(at: datetime, zone: str) -> str:
    """A date where a day begins in the zone, else a time in UTC."""
    local = at.astimezone(ZoneInfo(zone))
    if midnight(local.date(), zone) == at:
        return local.date().isoformat()
    return at.isoformat().replace("+00:00", "Z")
