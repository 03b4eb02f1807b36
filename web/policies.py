"""The policies of a project: what is in force with today's round, what was, and the forms that start and end one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from core.access import Access
from core.errors import BadQuestion
from core.judging.policy import METHODS, STRATA, policy_from_json
from core.store import judges
from core.store.judge_rounds import rounds_on
from core.store.session import tenant
from web.form import Form
from web.judging_page import done, show
from web.parts import Parts

STRATA_SHOWN = 40
"""Strata of a round that the page shows, the largest first."""
ENDED_SHOWN = 50
BACK_DAYS_MAX = 90
METHOD_WORDS: Mapping[str, str] = {
    "uniform": "every request with the same chance",
    "stratified": "each stratum by its size, and a few of every one",
    "neyman": "more where scores vary more, and a few of every stratum",
}
_PATH = "/judging/policies"
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


def add_policies(routes: APIRouter, parts: Parts) -> None:
    """The page under `/judging/policies`, and its forms."""
    reader, admin, posted = parts.reader(), parts.administrator(), parts.posted()

    @routes.get(_PATH)
    def show_policies(
        request: Request, rubric: str = "", version: str = "", access: Access = reader
    ) -> Response:
        chosen = {"rubric": f"{rubric}@{version}" if version else rubric} if rubric else {}
        return _page(request, parts, access, typed=chosen)

    @routes.post(_PATH)
    def start_policy(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def start() -> tuple[str, str]:
            wanted, now = policy_from_json(policy_of(form)), parts.clock()
            name, _, version = form.get("rubric", "").partition("@")
            back = _whole(form.get("back_days", "") or "0", "Days of past requests", BACK_DAYS_MAX)
            with tenant(parts.engine, access.project_id) as connection:
                rubric = judges.find_rubric(connection, name, version or None).rubric
                judges.start_policy(
                    connection,
                    access.project_id,
                    wanted,
                    rubric,
                    form.get("judge") or None,
                    form.get("strong_judge") or None,
                    now - timedelta(days=back),
                    secrets.token_hex(16),
                    access.who,
                    now,
                )
            return _PATH, f"The policy for {name} is in force. What it draws is judged within a minute or so."

        return done(
            request, parts, start, form,
            lambda typed, wrong: _page(request, parts, access, typed=typed, wrong=wrong),
        )  # fmt: skip

    @routes.post(_PATH + "/{rubric}/end")
    def end_policy(request: Request, rubric: str, access: Access = admin, form: Form = posted) -> Response:
        def end() -> tuple[str, str]:
            with tenant(parts.engine, access.project_id) as connection:
                judges.end_policy(connection, access.project_id, rubric[:200], access.who, parts.clock())
            return _PATH, f"The policy for {rubric} is ended. What it drew before is still judged."

        return done(request, parts, end, {}, lambda _, wrong: _page(request, parts, access, wrong=wrong))


def _page(request: Request, parts: Parts, access: Access, **typed: Any) -> Response:
    now = parts.clock()
    today = now.astimezone(UTC).date()
    with tenant(parts.engine, access.project_id) as connection:
        policies = judges.list_policies(connection)
        live = [one for one in policies if one.ended_at is None]
        rounds = rounds_on(connection, [one.id for one in live], today)
        rubrics = judges.list_rubrics(connection)
        budget = judges.budget(connection, today)
        askable = [one.judge for one in judges.list_judges(connection) if one.retired_at is None]
    ended = [one for one in policies if one.ended_at is not None]
    return show(
        request,
        parts,
        "judging_policies.html",
        "policies",
        live=live,
        rounds=rounds,
        today=today,
        ended=ended[:ENDED_SHOWN],
        more_ended=max(0, len(ended) - ENDED_SHOWN),
        rubrics=newest_first(rubrics),
        judges=askable,
        has_budget=budget.limit_pico is not None,
        methods=METHODS,
        method_words=METHOD_WORDS,
        strata=STRATA,
        strata_shown=STRATA_SHOWN,
        back_days_max=BACK_DAYS_MAX,
        **typed,
    )


def newest_first(rubrics: list[judges.StoredRubric]) -> list[tuple[judges.StoredRubric, bool]]:
    """Every version, and whether it is the newest of its name, which is what the name alone means."""
    seen: set[str] = set()
    found = []
    for one in rubrics:
        found.append((one, one.rubric.name not in seen))
        seen.add(one.rubric.name)
    return sorted(found, key=lambda pair: not pair[1])


def policy_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The policy that a form describes, as the API takes it; fields that were left empty have their usual values."""
    value: dict[str, Any] = {
        "method": form.get("method", "uniform"),
        "strata": [name for name in STRATA if form.get(f"strata.{name}")],
    }
    for name, words in (
        ("wanted_a_day", "Requests a day"),
        ("floor", "Of every stratum"),
        ("repeats", "Answers"),
    ):
        if text := form.get(name, "").strip():
            value[name] = _whole(text, words, 1_000_000)
    for name in ("escalate_below", "audit"):
        if text := form.get(name, "").strip():
            value[name] = _per_cent(text)
    return value


def _whole(text: str, what: str, most: int) -> int:
    if not _WHOLE.fullmatch(text.strip()) or int(text) > most:
        raise BadQuestion(f"{what}: write a whole number up to {most:,}.")
    return int(text)


def _per_cent(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise BadQuestion("Write a share as per cent, such as 5.") from None
