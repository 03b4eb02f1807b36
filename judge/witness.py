"""What the anchors say of a change: did the judge move too?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from core.stats.verdict import Effect, Verdict, who_moved
from core.store.watches import Watched


def anchors_since(
    connection: Connection, watch: Watched, effect: Effect, since: datetime
) -> tuple[Verdict, dict[str, Any] | None]:
    """The verdict on a stream's change, and what of the anchors it stands on."""
    return who_moved(effect, None, False), None
