"""The templates, and what all of them know."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from core.errors import TripointError, Unauthenticated
from core.question import DIMENSIONS, JUDGE_SOURCE
from core.store.rows import instant
from web import assets, chart, content, filter_bar, format, tier
from web import zone as zones
from web.metric import METRIC_NAMES, exact
from web.safety import protect
from web.session import Visitor

# The pages that show times of requests, in the reader's zone.
_TIMED = (
    "/overview", "/attribution", "/requests", "/traces", "/quality", "/alerts", "/reviews", "/judging", "/settings",
)  # fmt: skip


def script_json(value: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals.update(
    f=format, judge_source=JUDGE_SOURCE, dimensions=DIMENSIONS, metric_names=METRIC_NAMES, label=chart.label,
    timed=_TIMED,
    asset=assets.address, instant=instant, exact=exact, said=content.asked_and_answered,
    period_links=filter_bar.period_links, kept=filter_bar.kept, tier_colour=tier.colour, script_json=script_json,
)  # fmt: skip
_ENVIRONMENT.filters["dollars"] = format.dollars


def render(
    template: str,
    *,
    path: str,
    signed_in: bool = True,
    zone: ZoneInfo = zones.UTC,
    visitor: Visitor | None = None,
    **known: Any,
) -> str:
    """One page; `path` is the entry of the navigation that it belongs to, `zone` the one its times are in,
    `visitor` who reads it."""
    words = zones.zone_words(zone, datetime.now(UTC))
    return _ENVIRONMENT.get_template(template).render(
        path=path, signed_in=signed_in, zone=zone, zone_words=words, visitor=visitor, **known
    )


def problem_page(error: TripointError, status: int) -> HTMLResponse:
    """An error as a page."""
    signed_in = not isinstance(error, Unauthenticated)
    page = render("problem.html", path="", signed_in=signed_in, message=str(error), status=status)
    response = HTMLResponse(page, status)
    protect(response.headers)
    return response
