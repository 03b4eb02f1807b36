"""The judges of a project: the list, the form that makes one, and retiring one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from core.access import Access
from core.errors import BadQuestion
from core.judging.judge import KEY_PREFIX, PUBLIC_URLS, judge_from_json
from core.store import judges
from core.store.session import tenant
from web.form import Form
from web.judging_page import done, show
from web.parts import Parts

_PATH = "/judging/judges"
_TEXTS = (
    *("name", "kind", "model", "base_url", "provider", "key_variable"),
    *("input_usd_per_million", "output_usd_per_million"),
)
_NUMBERS = ("max_output_tokens", "temperature", "timeout_s", "at_once")


def add_judges(routes: APIRouter, parts: Parts) -> None:
    """The page under `/judging/judges`, and its forms."""
    reader, admin, posted = parts.reader(), parts.administrator(), parts.posted()

    def page(request: Request, access: Access, **typed: Any) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            found = judges.list_judges(connection)
            asked = {
                one.name
                for policy in judges.list_policies(connection, live=True)
                for one in (policy.judge, policy.strong)
                if one
            }
        return show(
            request, parts, "judging_judges.html", "judges",
            found=found, asked=asked, now=parts.clock(), urls=PUBLIC_URLS, key_prefix=KEY_PREFIX, **typed,
        )  # fmt: skip

    @routes.get(_PATH)
    def show_judges(request: Request, access: Access = reader) -> Response:
        return page(request, access)

    @routes.post(_PATH)
    def make_judge(request: Request, access: Access = admin, form: Form = posted) -> Response:
        def make() -> tuple[str, str]:
            judge = judge_from_json(judge_of(form))
            with tenant(parts.engine, access.project_id) as connection:
                judges.save_judge(connection, access.project_id, judge, access.who)
            return _PATH, f"The judge {judge.name} is made. A policy that names it asks it from now on."

        return done(
            request, parts, make, form, lambda typed, wrong: page(request, access, typed=typed, wrong=wrong)
        )

    @routes.post(_PATH + "/{name}/retire")
    def retire_judge(request: Request, name: str, access: Access = admin, form: Form = posted) -> Response:
        def retire() -> tuple[str, str]:
            with tenant(parts.engine, access.project_id) as connection:
                judges.retire_judge(connection, access.project_id, name[:200], access.who, parts.clock())
            return _PATH, f"The judge {name} is retired. What it said stays."

        return done(request, parts, retire, {}, lambda _, wrong: page(request, access, wrong=wrong))


def judge_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The judge that a form describes, as the API takes it; fields that were left empty are left out."""
    given = {name: form.get(name, "").strip() for name in (*_TEXTS, *_NUMBERS)}
    value: dict[str, Any] = {name: given[name] for name in _TEXTS if given[name]}
    value |= {name: _number(given[name], name) for name in _NUMBERS if given[name]}
    return value | {"structured": form.get("structured", "yes") == "yes"}


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadQuestion(f"{name} is a number, such as 4.") from None
