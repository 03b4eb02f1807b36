"""A judge's server on a real socket, and requests to be judged."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from core.judging.judge import Judge, judge_from_json
from core.money import PICO
from core.pricing.price import Priced
from core.request import Content, Context, RequestRecord
from core.store import judges
from core.store.intake import Batch, append
from core.store.rows import nanoseconds
from core.store.session import tenant
from core.usage import Usage
from tests.conftest import Project
from tests.judge.endpoint import Endpoint, chat, endpoint, verdict

__all__ = ["Endpoint", "add_requests", "chat", "endpoint", "make_judge", "set_budget", "verdict"]

UNPRICED = Priced("unpriced", "no_provider", None, None, None, (), {})


def make_judge(engine: Engine, project: Project, endpoint: Endpoint, **more: Any) -> Judge:
    """A judge at the endpoint: 2 dollars a million input tokens, 8 a million output tokens."""
    value = {
        "name": "tiny",
        "kind": "openai",
        "model": "tiny-1",
        "base_url": endpoint.url,
        "timeout_s": 2,
        "input_usd_per_million": "2",
        "output_usd_per_million": "8",
    }
    with tenant(engine, project.id) as connection:
        return judges.save_judge(connection, project.id, judge_from_json(value | more), "tests")


def set_budget(engine: Engine, project: Project, dollars: int, now: datetime) -> None:
    with tenant(engine, project.id) as connection:
        judges.set_budget(connection, project.id, dollars * PICO, "tests", now)


def add_requests(
    engine: Engine, project: Project, many: int, now: datetime, name: str = "chat", **fields: Any
) -> list[str]:
    """Settled requests with content, one trace each, of the last minutes; returns their traces."""
    records, contents = [], []
    for number in range(many):
        trace = hashlib.sha256(f"{project.id}/{name}/{number}".encode()).hexdigest()[:32]
        started = nanoseconds(now - timedelta(seconds=60 + number))
        known: dict[str, Any] = {
            "context": Context(feature=name, tier="standard"),
            "duration_ns": 800_000_000,
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "usage": Usage(uncached_input=50, visible_output=20, reading="inclusive"),
        }
        records.append(
            RequestRecord(
                trace_id=trace, span_id="1" * 16, started_ns=started, source="test", **(known | fields)
            )
        )
        asked = json.dumps([{"role": "user", "content": f"Where is parcel item-{number}?"}])
        answered = json.dumps([{"role": "assistant", "content": f"Parcel item-{number} is in Hamburg."}])
        contents.append(Content(trace, "1" * 16, started, asked, answered))
    append(engine, [Batch(project.id, [(one, UNPRICED) for one in records], contents=contents)])
    with tenant(engine, project.id) as connection:
        connection.execute(text("UPDATE request SET state = 'settled'"))
        connection.execute(text("DELETE FROM unsettled"))
    return [one.trace_id for one in records]
