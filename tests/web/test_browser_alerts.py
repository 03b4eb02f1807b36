"""The pages of alerts in Chromium: by axe, by keyboard, narrow, dark, printed, with the worst names."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.pricing.price import PriceBook
from core.store import alerts
from core.store.session import tenant
from tests.conftest import Project, make_project
from tests.web.alarmed import alarmed
from tests.web.conftest import HOSTILE, Opener
from tests.web.test_browser_pages import findings, opened

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hit(engine: Engine, owner: Engine, book: PriceBook) -> Project:
    """A project with alerts whose stream has the worst of names."""
    project = make_project(owner)
    alarmed(
        engine, owner, project, book, feature=HOSTILE[1], tier=HOSTILE[6][:120], response_model=HOSTILE[5]
    )
    return project


def paths(engine: Engine, project: Project) -> list[str]:
    with tenant(engine, project.id) as connection:
        found = alerts.list_alerts(connection).items
    assert len(found) == 2
    return ["/alerts", "/settings/channels", *(f"/alerts/{one.id}" for one in found)]


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    look: Opener, engine: Engine, hit: Project, scheme: str, width: int
) -> None:
    window = look(hit, width, color_scheme=scheme)
    for path in paths(engine, hit):
        assert findings(opened(window, path)) == [] and window.fits(), path


def test_the_charts_are_drawn_with_the_change_in_them(look: Opener, engine: Engine, hit: Project) -> None:
    window = look(hit)
    page = window.open(paths(engine, hit)[-1])
    charts = page.locator(".chart")
    assert [charts.nth(at).get_attribute("data-drawn") for at in range(charts.count())] == ["true", "true"]
    drawn = {"rule line": 3, "area path": 1, "rect path": 1, "symbol path": 48}
    for kind, many in drawn.items():
        mark, _, part = kind.partition(" ")
        assert charts.first.locator(f"svg .mark-{mark}.role-mark {part}").count() == many, kind


def test_what_is_printed_has_everything_and_no_buttons(look: Opener, engine: Engine, hit: Project) -> None:
    window = look(hit, 800)
    page = window.open(paths(engine, hit)[-1])
    page.emulate_media(media="print")
    assert page.locator(".deciding").is_hidden() and page.get_by_role("navigation").is_hidden()
    assert page.locator(".printed").is_visible() and page.locator(".verdict .sentence").is_visible()
    assert page.locator(".examples tbody tr").count() == 20
    clipped = (
        "all => all.filter(one => one.scrollWidth > one.clientWidth + 1"
        " && getComputedStyle(one).overflowX !== 'visible').length"
    )
    assert page.locator(".scroll").evaluate_all(clipped) == 0


def test_an_alert_is_resolved_with_the_keyboard(
    look: Opener, engine: Engine, owner: Engine, book: PriceBook
) -> None:
    project = make_project(owner)
    alarmed(engine, owner, project, book)
    window = look(project)
    page = window.open("/alerts")
    page.locator("table.alerts a").last.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/*")
    page.get_by_role("button", name="I am looking at it").focus()
    page.keyboard.press("Enter")
    assert "You are looking at it" in page.locator(".done").inner_text()
    page.locator("summary", has_text="new normal").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".done", has_text="It is resolved").wait_for()
    assert (
        page.locator(".verdict .state").inner_text() == "resolved" and page.locator(".deciding").count() == 0
    )
