"""The review queue: one answer at a time, blind to the judge, and how far everybody agrees."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from sqlalchemy import Connection

from core import csv_text
from core.access import Access
from core.agreeing import Agreeing, agreements
from core.errors import BadInput, Forbidden, NotFound
from core.review import (
    A_DAY_MAX,
    COMMENT_MAX,
    NOW_MAX,
    REASON_MAX,
    SECOND_SHARE,
    Item,
    Plan,
    Progress,
    Queue,
    check_words,
)
from core.stats.agreement import Agreement
from core.store.labels import all_labels, read_rated
from core.store.partitions import ensure_days
from core.store.reviews import (
    draw_reviews,
    judged_rubrics,
    next_review,
    own_review,
    queue,
    save_labels,
    set_plan,
    skip_review,
)
from core.store.session import tenant
from core.window import EVER
from web import session
from web.form import Form
from web.pages import render
from web.parts import Parts
from web.zone import zone_of

SKIPS = (
    "I cannot judge this subject",
    "Not a language that I read",
    "The text is cut off or missing",
    "It holds what I should not see",
)
"""Reasons to choose from; any other may be typed."""
_LEVEL = "level."
# A text is shown up to here; the rest unfolds.
_FOLD = 1800
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Text:
    """One of an item's texts under its title: what is shown at once, and what unfolds."""

    title: str
    head: str
    rest: str


def add_reviews(routes: APIRouter, parts: Parts) -> None:
    """The pages under `/reviews`. Their forms are answered with the way to a page, which says what was done."""
    _add_pages(routes, parts)
    _add_forms(routes, parts)


def _add_pages(routes: APIRouter, parts: Parts) -> None:
    reader = parts.reader()

    @routes.get("/reviews", response_model=None)
    def show_queue(request: Request, item: str = "", rubric: str = "", access: Access = reader) -> Response:
        now = parts.clock()
        with tenant(parts.engine, access.project_id) as connection:
            shown = _item(connection, parts, access, item, rubric) if access.may_review() else None
            found = queue(connection, access.who, now)
            rubrics = judged_rubrics(connection)
        return _page(
            request,
            parts,
            "label",
            item=shown,
            texts=texts(shown) if shown else (),
            own=bool(item),
            found=found,
            plans=plans(found, rubrics),
            progress={one.rubric_name: one for one in found.progress},
            waiting=sum(one.for_you for one in found.progress),
            may_review=access.may_review(),
            rubric=rubric,
            skips=SKIPS,
            reason_max=REASON_MAX,
            a_day_max=A_DAY_MAX,
            now_max=NOW_MAX,
        )

    @routes.get("/reviews/agreement", response_model=None)
    def show_agreement(request: Request, access: Access = reader) -> Response:
        with tenant(parts.engine, access.project_id) as connection:
            rows = agreements(read_rated(connection, EVER))
        return _page(request, parts, "agreement", rows=rows, may_review=access.may_review())

    @routes.get("/reviews/labels.csv", response_model=None)
    def save_labels_file(access: Access = reader) -> Response:
        _may_review(access)
        text = csv_text.begun(csv_text.labels_text(all_labels(parts.engine, access.project_id, EVER)))
        name = csv_text.file_name("labels", (), None, EVER, "UTC")
        return StreamingResponse(text, media_type=csv_text.MEDIA_TYPE, headers=csv_text.disposition(name))


def _item(connection: Connection, parts: Parts, access: Access, item: str, rubric: str) -> Item | None:
    if item:
        if not _NUMBER.fullmatch(item):
            raise NotFound("There is no such item in the review queue.")
        return own_review(connection, int(item), access.who)
    return next_review(connection, access.project_id, access.who, parts.clock(), rubric or None)


def _add_forms(routes: APIRouter, parts: Parts) -> None:
    reader, posted = parts.reader(), parts.posted()

    @routes.post("/reviews/plan")
    def plan(request: Request, access: Access = reader, form: Form = posted) -> Response:
        def change() -> dict[str, Any]:
            _may_review(access)
            rubric, now = form.get("rubric", ""), parts.clock()
            a_day = _whole(form.get("a_day", ""), "How many a day", A_DAY_MAX)
            at_once = _whole(form.get("now", ""), "How many now", NOW_MAX)
            twice = _whole(form.get("twice", ""), "The share that two people label, in per cent", 100)
            share = None if twice is None else twice / 100
            with tenant(parts.engine, access.project_id) as connection:
                set_plan(
                    connection,
                    access.project_id,
                    rubric,
                    a_day,
                    share,
                    os.urandom(16).hex(),
                    access.who,
                    now,
                )
                if not at_once:
                    return {"done": "Saved. What is planned for a day is drawn within the hour."}
                drawn = draw_reviews(connection, access.project_id, rubric, at_once, now)
            return {"done": _drawn(drawn.new, drawn.pool)}

        return _then(request, parts, "/reviews", change)

    @routes.post("/reviews/{review_id}")
    def answer(
        request: Request, review_id: _Number, access: Access = reader, form: Form = posted
    ) -> Response:
        def change() -> dict[str, Any]:
            _may_review(access)
            now = parts.clock()
            ensure_days(parts.engine, [now.date()])
            with tenant(parts.engine, access.project_id) as connection:
                at = (connection, access.project_id, review_id, access.who)
                if form.get("action") == "skip":
                    skip_review(*at, form.get("reason", ""), now)
                    return {"done": "Skipped. It waits for others."}
                save_labels(
                    *at,
                    _levels(form),
                    now,
                    check_words("The comment", form.get("comment", ""), COMMENT_MAX) or None,
                )
            return {"done": "Saved.", "change": review_id}

        back = f"/reviews?item={review_id}" if form.get("own") else "/reviews"
        return _then(request, parts, "/reviews", change, back)


def _may_review(access: Access) -> None:
    if not access.may_review():
        raise Forbidden("Labelling takes the role review or admin. Ask an administrator of this project.")


def _levels(form: Form) -> dict[str, int]:
    """The levels that a form chose. A dimension that has none is missed by whoever checks them."""
    found = {}
    for name, value in form.items():
        if name.startswith(_LEVEL) and value:
            if not _NUMBER.fullmatch(value):
                raise BadInput("A level is the number of one that is listed.")
            found[name.removeprefix(_LEVEL)] = int(value)
    return found


def _whole(text: str, what: str, most: int) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise BadInput(f"{what} is a whole number up to {most}.")
    return int(text)


def _drawn(new: int, pool: int) -> str:
    if not pool:
        return "Nothing that was judged in the last four weeks still has its text, so nothing could be drawn."
    items = "1 new answer waits" if new == 1 else f"{new:,} new answers wait"
    return f"{items} in the queue, drawn from {pool:,} that were judged. Chance makes it a few more or less."


def plans(found: Queue, rubrics: list[str]) -> list[tuple[str, Plan | None]]:
    """Every rubric that may be planned for, with its plan where there is one."""
    known: Mapping[str, Plan] = {plan.rubric_name: plan for plan in found.plans}
    return [(name, known.get(name)) for name in sorted({*rubrics, *known})]


def texts(item: Item) -> list[Text]:
    """What there is to read of an item: the question, what the model was given, the answer last."""
    material = item.material
    sides = (("Question", material.question), ("Context", material.context), ("Answer", material.answer))
    return [
        Text(title, text if len(text) <= _FOLD else text[:_FOLD], "" if len(text) <= _FOLD else text[_FOLD:])
        for title, text in sides
        if text
    ]


def coefficient(of: Agreement) -> str:
    """A coefficient in two digits."""
    return "–" if of.value is None else f"{of.value:.2f}"


def between(of: Agreement) -> str:
    """Its interval, or why there is none."""
    return of.reason or "" if of.low is None or of.high is None else f"{of.low:.2f} to {of.high:.2f}"


def share_of_ceiling(one: Agreeing) -> str:
    """How the judge stands to what people reach among themselves, in words; empty where either is unknown."""
    judge, people = one.judge_kappa, one.people_kappa
    if judge.value is None or people.value is None or judge.high is None or people.low is None:
        return ""
    if judge.high < people.low:
        return "below people"
    return "as people among themselves" if judge.value >= people.value else "not surely below people"


def percent(progress: Progress) -> int:
    """How much of a rubric's queue is done."""
    whole = progress.open + progress.done
    return 100 * progress.done // whole if whole else 0


def _page(request: Request, parts: Parts, tab: str, **known: Any) -> Response:
    shown = session.shown_once(request, parts.secure) or {}
    page = render(
        f"reviews_{tab}.html",
        path="/reviews",
        tab=tab,
        zone=zone_of(request),
        visitor=session.visitor(request),
        shown=shown,
        second_share=SECOND_SHARE,
        coefficient=coefficient,
        between=between,
        share_of_ceiling=share_of_ceiling,
        percent=percent,
        **known,
    )
    response = HTMLResponse(page)
    if shown:
        session.drop_cookie(response, parts.secure, "shown")
    return response


def _then(
    request: Request, parts: Parts, to: str, change: Callable[[], dict[str, Any]], back: str = ""
) -> Response:
    """Make the change and go on to the page that says what was done, or back to one that says why it was not."""
    try:
        shown = change()
    except (BadInput, NotFound, Forbidden) as error:
        return session.go_and_show(back or to, request, parts.secure, wrong=str(error))
    return session.go_and_show(to, request, parts.secure, **shown)
