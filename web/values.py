"""Values to choose a filter from: the leading ones of a dimension in the window that the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.question import Lens, check_dimension
from web.address import Address

# So many of the most frequent values are looked through, and so many offered.
_SEARCHED = 5000
_OFFERED = 20


def leading_values(
    lens: Lens, project_id: int, address: Address, dimension: str, prefix: str, now: datetime
) -> Sequence[str]:
    """At most twenty values that hold `prefix` (first those that begin with it), by number of requests."""
    asked = replace(address.plain(), group_by=(check_dimension(dimension),), order="requests")
    answer = lens.ask(project_id, asked.question(now, ("requests",), _SEARCHED))
    wanted = prefix.lower()
    values = [row.group[0] for row in answer.rows if row.group[0] and wanted in row.group[0].lower()]
    values.sort(key=lambda value: not (value or "").lower().startswith(wanted))
    return [value for value in values[:_OFFERED] if value]
