"""How a reader's question stands in a query, for all routes that take one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import Query, Request

from core.errors import BadQuestion
from core.question import DIMENSIONS, CostQuestion, Value, check_question, parse_filters
from core.window import Window, check_zone, parse_instant


def filters_of(request: Request, others: Collection[str]) -> dict[str, tuple[Value, ...]]:
    """The filters of the question; `others` are the route's own parameters."""
    return parse_filters(request.query_params.multi_items(), others)


FILTER_DOCS = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Filter: {words}. May be repeated.",
            "schema": {"type": "array", "items": {"type": "string"}},
        }
        for name, words in DIMENSIONS.items()
    ]
    + [
        {
            "name": "unset",
            "in": "query",
            "required": False,
            "description": "Filter: dimensions, separated by commas, that are not set.",
            "schema": {"type": "string"},
        }
    ]
}


def window_of(start: str | None, end: str | None, zone: str | None) -> Window:
    """The window that a `from` and a `to` say."""
    of = check_zone(zone) if zone else "UTC"
    return Window(parse_instant(start, "from", of), parse_instant(end, "to", of))


From = Annotated[
    str | None, Query(alias="from", description="first moment, ISO 8601", examples=["2026-11-01"])
]
To = Annotated[str | None, Query(alias="to", description="first moment after the window")]
Zone = Annotated[
    str | None,
    Query(
        description="IANA time zone, such as Europe/Berlin, whose clocks cut the interval and read a `from` or `to`"
        " without an offset; UTC where left out. Times are answered in UTC"
    ),
]

GroupBy = Annotated[
    str | None, Query(description="dimensions, separated by commas", examples=["feature,tier"])
]
Interval = Annotated[str | None, Query(description="hour, day, week or month of the zone")]

GROUPS_MAX = 1000
"""Groups that an answer about quality has at the most."""
Groups = Annotated[
    int | None,
    Query(
        description=f"groups at the most, 1 to {GROUPS_MAX}, those of most requests first, or in order of time where"
        " there is an interval"
    ),
]


def quality_question(
    request: Request,
    others: Collection[str],
    group_by: str | None,
    start: str | None,
    end: str | None,
    zone: str | None,
    interval: str | None,
    limit: int | None,
) -> CostQuestion:
    """The requests that a question of quality is about, and how they are grouped."""
    if limit is not None and not 1 <= limit <= GROUPS_MAX:
        raise BadQuestion(f"limit must be between 1 and {GROUPS_MAX}.")
    return check_question(
        window=window_of(start, end, zone),
        group_by=words_of(group_by),
        filters=filters_of(request, others),
        interval=interval,
        metrics=["requests"],
        limit=limit or GROUPS_MAX,
        zone=zone,
    )


def words_of(text: str | None) -> list[str]:
    """The words of a list with commas."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]
