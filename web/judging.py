"""The pages under `/judging`; this file has the first: what judging spends, how the judges do, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response

from core.access import Access
from core.errors import BadQuestion
from core.judging.budget import DAY_MAX_USD, budget_pico
from core.money import PICO, to_decimal_string
from core.question import JUDGE_SOURCE, CostQuestion
from core.store import judges
from core.store.judge_health import SCORERS, Health, JudgeState, Spent, health
from core.store.session import tenant
from core.window import Window
from web import chart, format
from web.address import Address
from web.form import Form
from web.judges import add_judges
from web.judging_page import done, show
from web.pages import script_json
from web.parts import Parts
from web.policies import add_policies
from web.rubrics import add_rubrics
from web.trials import add_trials
from web.why import add_why
from web.zone import UTC as UTC_ZONE
from web.zone import zone_of

PERIODS = (7, 30)
"""Days that the page looks back."""
_PATH = "/judging"
_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """A judge, and the ways to the calls to it."""

    state: JudgeState
    paused: bool
    calls: str
    failed: str


def add_judging(routes: APIRouter, parts: Parts) -> None:
    """All pages of judging. Their forms are answered with the way to a page, which says what was done, or with the
    form as it was typed and what is wrong with it."""
    _add_health(routes, parts)
    add_policies(routes, parts)
    add_rubrics(routes, parts)
    add_trials(routes, parts)
    add_judges(routes, parts)
    add_why(routes, parts)


def _add_health(routes: APIRouter, parts: Parts) -> None:
    reader, admin, posted = parts.reader(), parts.administrator(), parts.posted()

    @routes.get(_PATH)
    def show_health(request: Request, days: str = "7", access: Access = reader) -> Response:
        return _page(request, parts, access, days)

    @routes.post(_PATH)
    def set_budget(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def change() -> tuple[str, str]:
            limit, now = budget_pico(form.get("limit", "")), parts.clock()
            with tenant(parts.engine, access.project_id) as connection:
                judges.set_budget(connection, access.project_id, limit, access.who, now)
            return _PATH, f"Judging may cost {format.dollars(limit)} a day from now on, today included."

        def again(typed: Mapping[str, str], wrong: str) -> Response:
            return _page(request, parts, access, "7", typed=typed, wrong=wrong)

        return done(request, parts, change, form, again)


def _page(request: Request, parts: Parts, access: Access, days: str, **typed: Any) -> Response:
    if days not in map(str, PERIODS):
        raise BadQuestion(f"days is one of {', '.join(map(str, PERIODS))}.")
    now = parts.clock()
    with tenant(parts.engine, access.project_id) as connection:
        found = health(connection, now, int(days))
        policies = judges.list_policies(connection)
        made = judges.list_judges(connection)
    limit = found.budget.limit_pico
    return show(
        request,
        parts,
        "judging_health.html",
        "health",
        days=int(days),
        periods=PERIODS,
        scorers=SCORERS,
        found=found,
        lines=[_line(one, found.since, now) for one in found.judges],
        pace=pace(found, now, zone_of(request)),
        bar=bar(found),
        limit="" if limit is None else to_decimal_string(limit),
        limit_max=DAY_MAX_USD,
        today=calls(now.astimezone(UTC).date()),
        all_calls=calls(found.since.date()),
        by_day=[(one, calls(one.day, one.day)) for one in reversed(found.spent)],
        spec=script_json(spending(found.spent, found.since, now)),
        began=bool(policies),
        has_judge=bool(made),
        **typed,
    )


def _line(state: JudgeState, since: datetime, now: datetime) -> Line:
    here = {"tag.judge": state.name}
    return Line(
        state,
        state.open_until is not None and state.open_until > now,
        calls(since.date(), **here),
        calls(since.date(), status="error", **here),
    )


def calls(first: Any, last: Any = None, **more: str) -> str:
    """The way to the calls to judges from one UTC day on, to another where it is named."""
    end = "" if last is None else (last + timedelta(days=1)).isoformat()
    filters = {"source": (JUDGE_SOURCE,), **{name: (value,) for name, value in more.items()}}
    return Address(start=first.isoformat(), end=end, zone_named=True, filters=filters).to("/requests")


def pace(found: Health, now: datetime, zone: ZoneInfo) -> str:
    """How far today's budget goes, in a sentence."""
    today = found.budget
    if today.limit_pico is None:
        return "Nobody has said yet what judging may cost, so no judge is asked."
    midnight = datetime.combine(today.day + timedelta(days=1), datetime.min.time(), UTC)
    if today.left_pico <= 0:
        return f"Today's limit is reached. What waits is asked from {_clock(midnight, zone)} on, when the UTC day ends."
    if found.hits_limit_at is not None:
        return f"At the pace of the last hour the limit is hit at {_clock(found.hits_limit_at, zone)}."
    return f"At the pace of the last hour it lasts until the UTC day ends, at {_clock(midnight, zone)}."


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%H:%M %Z")


def bar(found: Health) -> tuple[float, float] | None:
    """How wide what is spent and what is set aside are, of a bar of 1,000 that is the limit; None without one."""
    today = found.budget
    if today.limit_pico is None:
        return None
    whole = max(today.limit_pico, today.spent_pico + today.reserved_pico)
    if not whole:
        return 0.0, 0.0
    return _WIDTH * today.spent_pico / whole, _WIDTH * today.reserved_pico / whole


def spending(spent: Sequence[Spent], since: datetime, now: datetime) -> dict[str, Any] | None:
    """A bar a UTC day; None where no judge was called."""
    if not spent:
        return None
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    question = CostQuestion(window=Window(since, midnight), interval="day")
    ends = [since, midnight - timedelta(days=1)]
    starts = [datetime.combine(one.day, datetime.min.time(), UTC) for one in spent]
    values = [
        {
            "value": one.cost_pico / PICO,
            "shown": format.exact(one.cost_pico),
            "calls": format.count(one.calls),
        }
        | chart.place(question, start, UTC_ZONE)
        for one, start in zip(spent, starts, strict=True)
    ]
    tooltip = [
        {"field": "when", "title": "UTC day"},
        {"field": "shown", "title": "Cost"},
        {"field": "calls", "title": "Calls"},
    ]
    return chart.frame(values, 190, ["--cost"]) | {
        "mark": {"type": "bar"},
        "encoding": {
            "x": chart.time_axis(question, ends, UTC_ZONE) | {"bin": "binned"},
            "x2": {"field": "end"},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "axis": {"format": "$,.6~r", "tickCount": 4},
            },
            "tooltip": tooltip,
        },
    }
