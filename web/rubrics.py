"""The rubrics of a project: the list, one of them in all its words, and the form that writes one or tries it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from core.access import Access
from core.errors import BadQuestion
from core.judging.builtin import RELEVANCE
from core.judging.rubric import INPUTS, Rubric, rubric_from_json, rubric_to_json
from core.store import judges
from core.store.judges import StoredRubric
from core.store.session import tenant
from core.store.trials import TRIAL_MAX
from web.form import Form
from web.judging_page import done, show
from web.parts import Parts
from web.trials import begin_trial

_PATH = "/judging/rubrics"
_WRITE = "/judging/write"
RUBRIC_MAX = 512 * 1024
"""Bytes of the form that writes a rubric."""


def add_rubrics(routes: APIRouter, parts: Parts) -> None:
    """The pages under `/judging/rubrics` and `/judging/write`, and their forms."""
    _add_pages(routes, parts)
    _add_writing(routes, parts)


def _add_pages(routes: APIRouter, parts: Parts) -> None:
    reader, admin, posted = parts.reader(), parts.administrator(), parts.posted()

    @routes.get(_PATH)
    def show_rubrics(request: Request, access: Access = reader) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            found = judges.list_rubrics(connection)
            live = {one.rubric.name: one for one in judges.list_policies(connection, live=True)}
        return show(request, parts, "judging_rubrics.html", "rubrics", found=by_name(found), live=live)

    def page(request: Request, access: Access, name: str, version: str, **typed: Any) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            stored = judges.find_rubric(connection, name, version or None)
            versions = [one for one in judges.list_rubrics(connection) if one.rubric.name == name]
            live = [one for one in judges.list_policies(connection, live=True) if one.rubric.name == name]
            known = _asking(connection, parts)
        return show(
            request, parts, "judging_rubric.html", "rubrics",
            stored=stored, versions=versions, live=live[0] if live else None, **known, **typed,
        )  # fmt: skip

    @routes.get(_PATH + "/{name}")
    def show_rubric(request: Request, name: str, version: str = "", access: Access = reader) -> Response:
        return page(request, access, name, version)

    @routes.post(_PATH + "/{name}")
    def try_rubric(
        request: Request, name: str, version: str = "", access: Access = admin, form: Form = posted
    ) -> Response:
        def start() -> tuple[str, str]:
            with tenant(parts.engine, access.project_id) as connection:
                rubric = judges.find_rubric(connection, name, version or None).rubric
                return begin_trial(connection, access, rubric, form.get("judge", ""), parts.clock())

        return done(
            request, parts, start, form,
            lambda typed, wrong: page(request, access, name, version, typed=typed, wrong=wrong),
        )  # fmt: skip


def _add_writing(routes: APIRouter, parts: Parts) -> None:
    admin, posted = parts.administrator(), parts.posted(RUBRIC_MAX)

    def page(request: Request, access: Access, body: str, **typed: Any) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            names = list(dict.fromkeys(one.rubric.name for one in judges.list_rubrics(connection)))
            known = _asking(connection, parts)
        return show(
            request, parts, "judging_write.html", "rubrics",
            body=body, names=names, inputs=INPUTS, body_max=RUBRIC_MAX // 4, **known, **typed,
        )  # fmt: skip

    @routes.get(_WRITE)
    def show_form(request: Request, rubric: str = "", version: str = "", access: Access = admin) -> Response:
        if not rubric:
            return page(request, access, copied(StoredRubric(RELEVANCE, None, None, "")))
        with tenant(parts.engine, access.project_id) as connection:
            stored = judges.find_rubric(connection, rubric, version or None)
        return page(request, access, copied(stored))

    @routes.post(_WRITE)
    def write_rubric(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def save() -> tuple[str, str]:
            rubric = rubric_of(form.get("body", ""))
            with tenant(parts.engine, access.project_id) as connection:
                if form.get("action") == "try":
                    return begin_trial(connection, access, rubric, form.get("judge", ""), parts.clock())
                judges.save_rubric(connection, access.project_id, rubric, access.who)
            to = f"{_PATH}/{rubric.name}?version={rubric.version}"
            return to, f"The rubric {rubric.name} is saved as version {rubric.version[:8]}."

        return done(
            request, parts, save, form,
            lambda typed, wrong: page(request, access, typed.get("body", ""), typed=typed, wrong=wrong),
        )  # fmt: skip


def _asking(connection: Connection, parts: Parts) -> dict[str, Any]:
    """What a form that tries a rubric needs to know."""
    return {
        "judges": [one.judge for one in judges.list_judges(connection) if one.retired_at is None],
        "has_budget": judges.budget(connection, parts.clock().date()).limit_pico is not None,
        "trial_max": TRIAL_MAX,
    }


def by_name(found: list[StoredRubric]) -> list[tuple[StoredRubric, int]]:
    """The newest version of each name, and how many there are; the project's own first."""
    many: dict[str, list[StoredRubric]] = {}
    for one in found:
        many.setdefault(one.rubric.name, []).append(one)
    return sorted(
        ((versions[0], len(versions)) for versions in many.values()), key=lambda pair: pair[0].built_in
    )


def copied(stored: StoredRubric) -> str:
    """A rubric as text to be changed: a built-in one under another name, one's own as its next version."""
    value = rubric_to_json(stored.rubric)
    if stored.built_in:
        value["name"] = f"my-{stored.rubric.name}"
    if stored.rubric.scorer:
        del value["dimensions"]
    return json.dumps(value, indent=2, ensure_ascii=False)


def rubric_of(text: str) -> Rubric:
    """The rubric that somebody wrote as JSON, or a `BadQuestion` that says where it is none."""
    try:
        value: Mapping[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadQuestion(
            f"This is no JSON: {error.msg}, in line {error.lineno}, column {error.colno}. Mend it there."
        ) from None
    except RecursionError:
        raise BadQuestion("This JSON is nested too deeply to be a rubric.") from None
    return rubric_from_json(value)
