"""A project that judges, for tests and pictures of its pages: a budget, judges, policies, what they drew, and calls."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from core.judging.builtin import FAITHFULNESS, REFUSAL, RELEVANCE
from core.judging.judge import judge_from_json
from core.judging.policy import Policy
from core.judging.rubric import Rubric
from core.pricing.price import PriceBook
from core.request import Context
from core.store import judges, trials
from core.store.session import tenant
from judge.ask import Desk, ask_all
from judge.models import HttpModel
from judge.sample import sample_project
from tests.conftest import Project
from tests.judge.conftest import Endpoint, add_requests, chat, make_judge, set_budget, verdict

TRIAL = "trial-0123456789ab"


def a_desk(engine: Engine) -> Desk:
    """What the worker asks judges with, by the real clock."""
    return Desk(engine, HttpModel({}), lambda: PriceBook(()), lambda: datetime.now(UTC), random.Random(5))


def work(engine: Engine, project: Project) -> None:
    """The worker's part: look at what settled, and ask what is owed."""
    sample_project(engine, project.id, datetime.now(UTC))
    ask_all(a_desk(engine))


def start(
    engine: Engine, project: Project, policy: Policy, of: Rubric, judge: str | None, now: datetime
) -> None:
    with tenant(engine, project.id) as connection:
        since = now - timedelta(hours=1)
        judges.start_policy(
            connection, project.id, policy, of, judge, None, since, "a" * 32, "key tp_admin_…4f2a", now
        )


def answered(endpoint: Endpoint) -> None:
    """Let the judge be busy at first, and answer in a way that cannot be read now and then."""

    def respond(body: dict[str, object], number: int) -> tuple[int, object, dict[str, str]]:
        text = json.dumps(body)
        dimension = "faithfulness" if "faithfulness" in text else "relevance"
        if number % 7 == 0:
            return 500, {"error": {"message": "overloaded"}}, {}
        return 200, chat(verdict(3 + number % 3, dimension), 900, 60), {}

    endpoint.respond = respond


def _of(feature: str) -> Context:
    return Context(feature=feature, tier="standard")


def judging(
    engine: Engine, project: Project, endpoint: Endpoint, name: str = "gpt-4.1-mini", feature: str = "chat"
) -> None:
    """Two policies with a judge and one without, a day's draw judged, and a trial done in part."""
    now = datetime.now(UTC)
    answered(endpoint)
    set_budget(engine, project, 5, now)
    make_judge(engine, project, endpoint, name=name)
    with tenant(engine, project.id) as connection:
        other = {"name": "claude-haiku", "kind": "anthropic", "model": "claude-haiku-4-5"}
        key = {"key_variable": "TRIPOINT_JUDGE_KEY_ANTHROPIC"}
        judges.save_judge(connection, project.id, judge_from_json(other | key), "ann@example.com")
        judges.save_judge(connection, project.id, judge_from_json(other | {"name": "an old one"}), "ann")
        judges.retire_judge(connection, project.id, "an old one", "ann", now)
    # The day before tells how many to expect, at whatever time of day this runs.
    add_requests(engine, project, 40, now - timedelta(days=1), f"{feature} before", context=_of(feature))
    add_requests(engine, project, 40, now, feature)
    start(engine, project, Policy(), RELEVANCE, name, now)
    start(engine, project, Policy(method="neyman", strata=("feature", "tier")), RELEVANCE, name, now)
    start(engine, project, Policy(), FAITHFULNESS, name, now)
    start(engine, project, Policy(wanted_a_day=1000), REFUSAL, None, now)
    work(engine, project)
    with tenant(engine, project.id) as connection:
        trials.start_trial(connection, project.id, RELEVANCE, name, None, TRIAL, "ann", now)
    ask_all(a_desk(engine), turn_s=3)
